/** A device over vhost-user, driven by scripted front-ends: how it is set up, used, left and come back to. */
import { existsSync, statSync } from 'node:fs';
import t from 'tap';
import * as v from '../../../../src/core/abi/vhost-user.js';
import { eventually, Frontend, GUEST_BASE } from '../../../helpers/vhost-frontend.js';
import {
  type Guest,
  offerEcho,
  qemuGuest,
  stopRing,
  umlGuest,
  wordOf,
} from '../../../helpers/vhost-setup.js';

const text = (value: string) => new TextEncoder().encode(value);

/** Makes a chain available on ring 0, kicks where that is wanted, and waits for what comes back. */
async function roundTrip(guest: Guest, parts: (Uint8Array | number)[], options = {}) {
  const [queue] = guest.queues;
  if (queue === undefined) throw new Error('no queue');
  queue.add(parts, options);
  if (queue.kickWanted()) await guest.kick(0);
  const [used] = await eventually(() => {
    const found = queue.collect();
    return found.length > 0 ? found : undefined;
  }, 'the chain');
  if (used === undefined) throw new Error('nothing came back');
  return used;
}

for (const [name, make] of [
  ['user-mode Linux, in band', umlGuest],
  ['QEMU, with eventfds', qemuGuest],
] as const) {
  t.test(`${name}: a device is set up, and gives back what it reads`, async (t) => {
    const { path, device, log, offer } = await offerEcho(t);
    const guest = await make(t, path);
    const used = await roundTrip(guest, [text('hello '), text('world'), 4, 100]);
    t.equal(new TextDecoder().decode(used.bytes), 'hello world');
    t.equal(used.length, 11);
    await eventually(() => guest.interrupts(0) || undefined, 'an interrupt');
    t.same(device.events, ['attached 0x140000002', 'started 0']);
    t.equal(offer.connected, true);

    await guest.kick(2);
    await eventually(() => device.events.includes('started 2') || undefined, 'ring 2');
    guest.frontend.close();
    await eventually(() => device.events.find((e) => e.startsWith('detached')), 'the end');
    t.same(device.events.slice(3), ['stopped 0', 'stopped 2', 'detached: the front-end left']);
    t.match(log.at(-1), /gone after 0\.0 s: the front-end left$/);
    t.equal(offer.counters.failures, 0);
    t.equal(offer.connected, false);
  });

  t.test(`${name}: a driver stops its rings, and begins anew on the same connection`, async (t) => {
    const { path, device } = await offerEcho(t);
    const guest = await make(t, path);
    for (let round = 0; round < 3; round++) await roundTrip(guest, [text('x'), 1]);
    t.equal(await stopRing(guest, 0), 3, 'where it was');
    t.same(device.events.splice(0), [
      'attached 0x140000002',
      'started 0',
      'stopped 0',
      'detached: its driver has stopped',
    ]);
    t.equal(await stopRing(guest, 0), 3, 'still');
    await guest.startAgain(0);
    await roundTrip(guest, [text('again'), 5]);
    t.same(device.events, ['attached 0x140000002', 'started 0']);
    // A driver that only disables its rings, as user-mode Linux does, has stopped as well.
    await guest.frontend.state(v.VHOST_USER_SET_VRING_ENABLE, 0, 0);
    await guest.frontend.ask(v.VHOST_USER_GET_FEATURES);
    t.same(device.events.slice(2), ['stopped 0', 'detached: its driver has stopped']);
    await guest.frontend.state(v.VHOST_USER_SET_VRING_ENABLE, 0, 1);
    await roundTrip(guest, [text('and again'), 9]);
  });
}

t.test('the event index says who wants to be told, on both sides', async (t) => {
  const { path } = await offerEcho(t);
  for (const make of [umlGuest, qemuGuest]) {
    const guest = await make(t, path, { eventIdx: true, indirect: true });
    const [queue] = guest.queues;
    if (queue === undefined) throw new Error('no queue');
    for (let round = 0; round < 5; round++) {
      const used = await roundTrip(guest, [text('abc'), 3], { indirect: round % 2 === 1 });
      t.equal(new TextDecoder().decode(used.bytes), 'abc');
      await eventually(() => guest.interrupts(0) || undefined, 'an interrupt');
    }
    // An interrupt for the third from now.
    queue.usedEvent = (queue.usedIdx + 2) & 0xffff;
    for (let round = 0; round < 2; round++) queue.add([text('x'), 1]);
    await guest.kick(0);
    await eventually(() => queue.usedIdx === 7 || undefined, 'two chains');
    await guest.frontend.ask(v.VHOST_USER_GET_FEATURES);
    t.equal(guest.interrupts(0), 0, 'not yet');
    queue.add([text('x'), 1]);
    await guest.kick(0);
    await eventually(() => guest.interrupts(0) || undefined, 'the interrupt');
    guest.frontend.close();
  }
});

t.test('who wants no interrupts gets none, and none is told that needs no kicks', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  const [queue] = guest.queues;
  if (queue === undefined) throw new Error('no queue');
  queue.interruptFlags = 1;
  await roundTrip(guest, [text('x'), 1]);
  await guest.frontend.ask(v.VHOST_USER_GET_FEATURES);
  t.equal(guest.interrupts(0), 0);
  let wanted: boolean | undefined;
  device.take = (deviceQueue, chain) => {
    wanted = queue.kickWanted();
    deviceQueue.push(chain, 0);
  };
  await roundTrip(guest, [text('x'), 1]);
  t.equal(wanted, false, 'while the device is at work');
  t.equal(queue.kickWanted(), true, 'when it has found nothing more');
});

t.test('indices run over their end', async (t) => {
  const { path } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  const [queue] = guest.queues;
  if (queue === undefined) throw new Error('no queue');
  queue.startAt(65530);
  await guest.frontend.state(v.VHOST_USER_SET_VRING_BASE, 0, 65530);
  for (let round = 0; round < 20; round++) {
    const used = await roundTrip(guest, [text(`round ${round}`), 20]);
    t.equal(new TextDecoder().decode(used.bytes), `round ${round}`);
  }
  t.equal(await stopRing(guest, 0), 14);
});

t.test('a busy driver does not keep others from their turn', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await umlGuest(t, path, { num: 1024 });
  const [queue] = guest.queues;
  if (queue === undefined) throw new Error('no queue');
  let taken = 0;
  const turns: number[] = [];
  device.take = (deviceQueue, chain) => {
    taken++;
    deviceQueue.push(chain, 0);
    queue.collect();
    // As fast as they are taken new ones come.
    if (taken < 2000) queue.add([1]);
    if (taken === 1) setImmediate(() => turns.push(taken));
  };
  for (let count = 0; count < 8; count++) queue.add([1]);
  await guest.kick(0);
  await eventually(() => taken >= 2000 || undefined, 'all chains');
  t.ok((turns[0] ?? 2000) <= 512, `others came after ${turns[0]} chains`);
});

t.test('the configuration is read in parts, written, and read anew when it changes', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  const head = (offset: number, size: number) => {
    const payload = new Uint8Array(v.vhost_user_config_head.size + size);
    payload.set(v.vhost_user_config_head.encode({ offset, size }));
    return payload;
  };
  t.same(
    [...(await guest.frontend.ask(v.VHOST_USER_GET_CONFIG, head(0, 8)))].slice(12),
    [3, 0, 0, 0, 0, 0, 0, 0],
  );
  t.same([...(await guest.frontend.ask(v.VHOST_USER_GET_CONFIG, head(7, 1)))].slice(12), [0]);
  t.equal((await guest.frontend.ask(v.VHOST_USER_GET_CONFIG, head(7, 2))).length, 0, 'no more');
  const write = head(4, 2);
  write.set([7, 8], 12);
  await guest.frontend.tell(v.VHOST_USER_SET_CONFIG, write);
  t.same([...device.space], [3, 0, 0, 0, 7, 8, 0, 0]);
  await t.rejects(guest.frontend.tell(v.VHOST_USER_SET_CONFIG, head(8, 1)), /failed/);

  await guest.kick(0);
  const host = await eventually(() => device.host, 'the device');
  host.configChanged();
  t.same(guest.messages(), [v.VHOST_USER_BACKEND_CONFIG_CHANGE_MSG]);
});

t.test(
  'a second front-end is refused while the first is there, and welcome afterwards',
  async (t) => {
    const { path, device, log, offer } = await offerEcho(t);
    const first = await umlGuest(t, path);
    const second = await Frontend.connect(t, path);
    await second.closed();
    t.equal(offer.counters.refusedConnections, 1);
    t.match(log.at(-1), /a second front-end was refused/);
    await roundTrip(first, [text('still here'), 20]);
    // It leaves, and its successor comes in the same moment.
    first.frontend.close();
    const third = await umlGuest(t, path);
    const used = await roundTrip(third, [text('reboot'), 20]);
    t.equal(new TextDecoder().decode(used.bytes), 'reboot');
    t.same(device.events, [
      'attached 0x140000002',
      'started 0',
      'stopped 0',
      'detached: the front-end left',
      'attached 0x140000002',
      'started 0',
    ]);
  },
);

t.test('taken away, a device leaves its front-end and removes its socket', async (t) => {
  const { path, device, offer } = await offerEcho(t);
  t.equal(statSync(path).mode & 0o777, 0o600, 'a socket of its owner alone');
  const guest = await umlGuest(t, path);
  await roundTrip(guest, [text('x'), 1]);
  offer.close();
  await guest.frontend.closed();
  t.notOk(existsSync(path));
  t.equal(device.events.at(-1), 'detached: the device was taken away');
  offer.close();
});

t.test(
  'requests that are not known are refused where that can be said, and ignored elsewhere',
  async (t) => {
    const { path, offer, log } = await offerEcho(t);
    const frontend = await Frontend.connect(t, path);
    frontend.send(v.VHOST_USER_SEND_RARP, new Uint8Array(8));
    frontend.send(4711, new Uint8Array(100), [frontend.fd]);
    await frontend.word(v.VHOST_USER_SET_PROTOCOL_FEATURES, 0x8n);
    frontend.needReply = true;
    await t.rejects(frontend.tell(v.VHOST_USER_IOTLB_MSG), /request 22 failed/);
    t.equal(await wordOf(frontend.ask(v.VHOST_USER_GET_FEATURES)), 0x174000002n);
    t.equal(offer.counters.refusedRequests, 3);
    for (let count = 0; count < 20; count++) {
      await t.rejects(frontend.tell(v.VHOST_USER_NET_SET_MTU), /failed/);
    }
    t.equal(log.filter((line) => line.includes('not known')).length, 8, 'not all of it is logged');
    t.equal(offer.counters.failures, 0);
  },
);

t.test('memory that is given back reads as zeros, in whole pages', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  await guest.kick(0);
  const host = await eventually(() => device.host, 'the device');
  const page = 4096;
  guest.memory.bytes.fill(7, 100 * page, 110 * page);
  const before = statSync(`/proc/self/fd/${guest.memory.fd}`).blocks;
  t.equal(host.release({ address: GUEST_BASE + 100 * page, length: 2 * page }), 2 * page);
  t.equal(host.release({ address: GUEST_BASE + 103 * page - 1, length: page + 2 }), page);
  t.equal(statSync(`/proc/self/fd/${guest.memory.fd}`).blocks, before - 3 * 8);
  t.equal(guest.memory.bytes[100 * page], 0);
  t.equal(guest.memory.bytes[102 * page], 7);
  t.equal(guest.memory.bytes[103 * page - 1], 7);
  t.equal(guest.memory.bytes[103 * page], 0);
  t.equal(host.release({ address: 0, length: page }), 0, 'no memory of the guest');
  device.take = (queue, chain) => {
    const [piece] = chain.writable;
    t.equal(piece && host.release(piece), 2 * page);
    queue.push(chain, 0);
  };
  const [queue] = guest.queues;
  if (queue === undefined) throw new Error('no queue');
  queue.describe(5, 104 * page, 2 * page, 2);
  queue.offer(5);
  await guest.kick(0);
  await eventually(() => queue.usedIdx === 1 || undefined, 'the pages');
  t.equal(guest.memory.bytes[104 * page], 0);
  t.equal(guest.memory.bytes[106 * page], 7);
});
