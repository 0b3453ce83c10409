/** What front-ends leave behind: no descriptor, and no mapping once its last view is collected. */
import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { toBytes, u64 } from '../../../../src/core/abi/layout.js';
import * as v from '../../../../src/core/abi/vhost-user.js';
import {
  eventually,
  Frontend,
  memTable,
  region,
  type System,
  system,
  TestMemory,
} from '../../../helpers/vhost-frontend.js';
import {
  type Offered,
  offerEcho,
  qemuGuest,
  queueAt,
  umlGuest,
} from '../../../helpers/vhost-setup.js';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

const descriptors = () => readdirSync('/proc/self/fd').length;
/** Mappings of memfds, which are the tests' own kind of memory. */
const mappings = () =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('memfd:guest')).length;

/** Address space, bytes. */
const space = () => Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * 4096;

async function gone({ offer }: Offered): Promise<void> {
  await eventually(() => !offer.connected || undefined, 'the end of the session');
}

t.test('many sessions of all kinds leave no descriptor and no mapping', async (t) => {
  const offered = await offerEcho(t);
  const once = async () => {
    for (const make of [umlGuest, qemuGuest]) {
      const guest = await make(t, offered.path, { eventIdx: true });
      const queue = queueAt(guest.queues, 0);
      queue.add([Uint8Array.of(1), 1]);
      await guest.kick(0);
      await eventually(() => queue.usedIdx || undefined, 'the chain');
      // The same things once more, over what is there.
      await guest.frontend.setMemory(guest.memory, queue.guest, queue.user);
      await guest.frontend.word(v.VHOST_USER_SET_VRING_CALL, 0n, [guest.frontend.eventfd()]);
      await guest.frontend.word(v.VHOST_USER_SET_VRING_ERR, 0n, [guest.frontend.eventfd()]);
      await guest.frontend.word(v.VHOST_USER_SET_VRING_KICK, 0n, [guest.frontend.eventfd()]);
      guest.frontend.close();
      guest.memory.close();
      await gone(offered);
    }
  };
  await once();
  const [fds, maps] = [descriptors(), mappings()];
  for (let round = 0; round < 20; round++) await once();
  t.equal(descriptors(), fds);
  t.equal(mappings(), maps, 'the memory of others is let go at once');
});

/** What may come with descriptors, and never keeps them. */
const STRAY: readonly [string, (frontend: Frontend, memory: TestMemory, spare: number) => void][] =
  [
    ['an unknown request', (f, _m, fd) => f.send(4711, new Uint8Array(8), [fd, fd])],
    ['a request without descriptors', (f, _m, fd) => f.send(1, undefined, [fd, fd, fd])],
    ['a message that stops', (f, _m, fd) => f.sendRaw(new Uint8Array(5).fill(1), [fd, fd])],
    ['a version of its own', (f, _m, fd) => f.sendRaw(new Uint8Array(12).fill(2), [fd])],
    ['a channel too many', (f, _m, fd) => f.send(21, undefined, [fd, fd])],
    ['a ring that is not there', (f, _m, fd) => f.send(13, toBytes(u64, 99n), [fd])],
    ['no descriptor, with one', (f, _m, fd) => f.send(14, toBytes(u64, 0x100n), [fd])],
    ['a kick by a file', (f, m) => f.send(12, toBytes(u64, 0n), [m.fd])],
    [
      'one good region and a bad one',
      (f, m, fd) => f.send(5, memTable([region(4096), region(0)]), [m.fd, fd]),
    ],
    [
      'too many regions',
      (f, _m, fd) =>
        f.send(
          5,
          memTable([]),
          Array.from({ length: 9 }, () => fd),
        ),
    ],
  ];

for (const [name, act] of STRAY) {
  t.test(`${name} leaves no descriptor and no mapping`, async (t) => {
    const offered = await offerEcho(t);
    const calls: System = await system();
    const memory = new TestMemory(calls, 8192);
    const spare = calls.libc.eventfd(0, 0);
    t.teardown(() => {
      memory.close();
      calls.libc.close(spare);
    });
    const [fds, maps] = [descriptors(), mappings()];
    for (let round = 0; round < 5; round++) {
      const frontend = new Frontend(calls, offered.path);
      act(frontend, memory, spare);
      await eventually(
        () => offered.offer.counters.connections > round || undefined,
        'the session',
      );
      frontend.close();
      await gone(offered);
    }
    t.equal(descriptors(), fds);
    t.equal(mappings(), maps);
  });
}

t.test('addresses are free again when nobody holds a view any more', async (t) => {
  const offered = await offerEcho(t);
  const size = 2 ** 32;
  const once = async () => {
    const frontend = await Frontend.connect(t, offered.path);
    const fd = frontend.own(frontend.system.libc.memfdCreate('guest', 0));
    frontend.system.libc.ftruncate(fd, size);
    frontend.send(5, memTable([region(size)]), [fd]);
    await frontend.ask(v.VHOST_USER_GET_FEATURES);
    frontend.close();
    await gone(offered);
  };
  await once();
  const before = space();
  for (let round = 0; round < 20; round++) await once();
  // Finalizers run in turns of their own.
  await eventually(() => {
    collect();
    return space() - before < size || undefined;
  }, 'the address space');
  t.pass();
});
