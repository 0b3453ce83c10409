/** A front-end that makes the file of its memory shorter: a mapping of it would end the process that touches it. */
import t, { type Test } from 'tap';
import type { Chain, DeviceQueue } from '../../../../src/core/export/vhost-user/device.js';
import { eventually } from '../../../helpers/vhost-frontend.js';
import {
  echo,
  type Guest,
  type Offered,
  offerEcho,
  qemuGuest,
  queueAt,
  umlGuest,
} from '../../../helpers/vhost-setup.js';

/** From now on the test must not touch the memory itself. */
function cut({ frontend, memory }: Guest, length = 0): void {
  const result = frontend.system.libc.ftruncate(memory.fd, length);
  if (result < 0) throw new Error(`ftruncate = ${result}`);
}

async function thrownOut(t: Test, { path, offer }: Offered): Promise<void> {
  await eventually(() => offer.lastFailure, 'the end');
  // What is written makes the file longer again: then there are zeros where the ring was.
  t.match(offer.lastFailure, /its memory was made shorter|65535 chains available/);
  await eventually(() => !offer.connected || undefined, 'the end of the session');
  const guest = await umlGuest(t, path);
  queueAt(guest.queues, 0).add([Uint8Array.of(42), 1]);
  await guest.kick(0);
  await eventually(() => queueAt(guest.queues, 0).usedIdx || undefined, 'the next front-end');
}

t.test('cut before the ring is looked at', async (t) => {
  const offered = await offerEcho(t);
  const guest = await umlGuest(t, offered.path);
  queueAt(guest.queues, 0).add([Uint8Array.of(1), 1]);
  await guest.kick(0);
  await eventually(() => queueAt(guest.queues, 0).usedIdx || undefined, 'the first chain');
  queueAt(guest.queues, 0).add([Uint8Array.of(1), 1]);
  cut(guest);
  guest.frontend.needReply = false;
  await guest.kick(0);
  await thrownOut(t, offered);
});

t.test('cut before the ring starts', async (t) => {
  const offered = await offerEcho(t);
  const guest = await umlGuest(t, offered.path);
  cut(guest);
  guest.frontend.needReply = false;
  await guest.kick(0);
  await thrownOut(t, offered);
});

const MOMENTS: Readonly<
  Record<string, (queue: DeviceQueue, chain: Chain, act: () => void) => void>
> = {
  'before a buffer is read'(queue, chain, act) {
    act();
    queue.push(chain, echo(chain));
  },
  'between what is read and what is written'(queue, chain, act) {
    const [readable] = chain.readable;
    readable?.read(0, new Uint8Array(readable.length));
    act();
    queue.push(chain, echo(chain));
  },
  'before it is given back'(queue, chain, act) {
    const written = echo(chain);
    act();
    queue.push(chain, written);
    queue.notify();
  },
};

for (const [when, take] of Object.entries(MOMENTS)) {
  t.test(`cut ${when}`, async (t) => {
    const offered = await offerEcho(t);
    const guest = await umlGuest(t, offered.path);
    queueAt(guest.queues, 0).add([Uint8Array.of(1, 2, 3), 3]);
    offered.device.take = (queue, chain) => {
      offered.device.take = undefined;
      take(queue, chain, () => cut(guest));
    };
    guest.frontend.needReply = false;
    await guest.kick(0);
    await thrownOut(t, offered);
  });
}

t.test('what can be sealed is sealed, and can not be cut', async (t) => {
  const { path, log } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  t.throws(() => cut(guest), /ftruncate = -1$/);
  t.notMatch(log.join('\n'), /made shorter/);
});

t.test('a file that can be cut is told of once', async (t) => {
  const { path, log } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  await guest.frontend.setMemory(guest.memory);
  t.equal(log.filter((line) => /can be made shorter, so it is not mapped/.test(line)).length, 1);
});
