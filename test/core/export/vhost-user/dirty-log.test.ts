/** Pages that a device writes are marked for a front-end that wants to know, as in a migration. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { toBytes, u64 } from '../../../../src/core/abi/layout.js';
import * as v from '../../../../src/core/abi/vhost-user.js';
import { DirtyLog } from '../../../../src/core/export/vhost-user/dirty-log.js';
import { loadSystem } from '../../../../src/core/export/vhost-user/system.js';
import { eventually, GUEST_BASE, TestMemory } from '../../../helpers/vhost-frontend.js';
import {
  type Guest,
  guestFeatures,
  offerEcho,
  qemuGuest,
  queueAt,
  ringAddress,
} from '../../../helpers/vhost-setup.js';

const PAGE = 4096;
const LOG_ALL = 1n << 26n;
/** Bytes of a log that reaches over the guest's memory, and where it begins in its file. */
const [LOG_SIZE, LOG_OFFSET] = [64 * 1024, 4 * PAGE + 8];
const system = await loadSystem();

/** The pages that are marked, as addresses in the guest's memory. */
function marked(log: TestMemory): number[] {
  const pages: number[] = [];
  for (let bit = 0; bit < LOG_SIZE * 8; bit++) {
    const byte = log.bytes[LOG_OFFSET + (bit >> 3)] ?? 0;
    if ((byte >> (bit & 7)) & 1) pages.push(bit * PAGE - GUEST_BASE);
  }
  return pages;
}

const logMessage = (size: number, offset: number) =>
  v.vhost_user_log.encode({ mmap_size: BigInt(size), mmap_offset: BigInt(offset) });

function logFile(t: Test, flags = 0): TestMemory {
  const log = new TestMemory(system, LOG_OFFSET + LOG_SIZE, flags);
  t.teardown(() => log.close());
  return log;
}

async function setLog({ frontend }: Guest, log: TestMemory): Promise<void> {
  frontend.send(v.VHOST_USER_SET_LOG_BASE, logMessage(LOG_SIZE, LOG_OFFSET), [log.fd]);
  const { request, payload } = await frontend.answer();
  assert.deepEqual([request, ...payload], [v.VHOST_USER_SET_LOG_BASE, 0, 0, 0, 0, 0, 0, 0, 0]);
}

function enable({ frontend }: Guest, on: boolean): Promise<void> {
  return frontend.word(v.VHOST_USER_SET_FEATURES, guestFeatures({}) | (on ? LOG_ALL : 0n));
}

/** Has the device write so many bytes at an offset of the memory. */
async function write(guest: Guest, at: number, length: number): Promise<void> {
  const queue = queueAt(guest.queues, 0);
  const before = queue.usedIdx;
  guest.memory.bytes.fill(7, at + 8 * PAGE, at + 8 * PAGE + length);
  queue.describe(0, at + 8 * PAGE, length, 1, 1);
  queue.describe(1, at, length, 2);
  queue.offer(0);
  await guest.kick(0);
  await eventually(() => queue.usedIdx !== before || undefined, 'the chain');
}

t.test('pages that the device writes are marked while the front-end wants it', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  const log = logFile(t);
  await write(guest, 20 * PAGE, 1);
  await setLog(guest, log);
  await write(guest, 21 * PAGE, 1);
  t.same(marked(log), [], 'a log alone does nothing');
  await enable(guest, true);
  await write(guest, 22 * PAGE - 1, 2);
  t.same(marked(log), [21 * PAGE, 22 * PAGE], 'what is read is not marked');
  await write(guest, 30 * PAGE, PAGE);
  t.same(marked(log), [21 * PAGE, 22 * PAGE, 30 * PAGE]);
  await enable(guest, false);
  await write(guest, 40 * PAGE, 1);
  t.same(marked(log).length, 3);
  t.same(device.events.slice(1), ['started 0'], 'the ring ran all the time');
});

t.test('writes to the used ring are marked where its flag says so', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  const [log, queue] = [logFile(t), queueAt(guest.queues, 0)];
  await write(guest, 20 * PAGE, 1);
  await setLog(guest, log);
  await enable(guest, true);
  await write(guest, 20 * PAGE, 1);
  t.same(marked(log), [20 * PAGE]);
  // The log's address of the used ring is taken as it is said.
  const address = ringAddress(queue, 0, GUEST_BASE + 50 * PAGE + 100);
  await guest.frontend.tell(v.VHOST_USER_SET_VRING_ADDR, address);
  await write(guest, 20 * PAGE, 1);
  t.same(marked(log), [20 * PAGE, 50 * PAGE]);
  t.same(device.events.slice(1), ['started 0'], 'the ring ran all the time');
  await guest.frontend.tell(v.VHOST_USER_SET_VRING_ADDR, ringAddress(queue, 0));
  log.bytes.fill(0);
  await write(guest, 20 * PAGE, 1);
  t.same(marked(log), [20 * PAGE]);
});

t.test('the front-end is told that there are new bits, by its descriptor', async (t) => {
  const { path } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  const event = guest.frontend.eventfd();
  await guest.frontend.tell(v.VHOST_USER_SET_LOG_FD, undefined, [event]);
  await setLog(guest, logFile(t));
  await enable(guest, true);
  t.equal(guest.frontend.count(event), 0);
  await write(guest, 20 * PAGE, 1);
  t.ok(guest.frontend.count(event) > 0);
});

t.test(
  'a log that is replaced gets no more bits, and one that was cut short harms nobody',
  async (t) => {
    const { path, offer } = await offerEcho(t);
    const guest = await qemuGuest(t, path);
    const [first, second] = [logFile(t), logFile(t)];
    await setLog(guest, first);
    await enable(guest, true);
    await setLog(guest, second);
    await write(guest, 20 * PAGE, 1);
    t.same(marked(first), []);
    t.same(marked(second), [20 * PAGE]);
    system.libc.ftruncate(second.fd, 0);
    await write(guest, 21 * PAGE, 1);
    await setLog(guest, first);
    await write(guest, 22 * PAGE, 1);
    t.same(marked(first), [22 * PAGE]);
    t.equal(offer.counters.failures, 0);
  },
);

t.test('a log that can not be is refused', async (t) => {
  const { path, offer } = await offerEcho(t);
  const { frontend } = await qemuGuest(t, path);
  const log = logFile(t);
  for (const [name, size, offset] of [
    ['beyond its file', LOG_SIZE, LOG_OFFSET + 4],
    ['of no word', 3, 0],
    ['between words', 64, 2],
    ['at the end of all numbers', 64, Number.MAX_SAFE_INTEGER - 3],
  ] as const) {
    const told = frontend.tell(v.VHOST_USER_SET_LOG_BASE, logMessage(size, offset), [log.fd]);
    await t.rejects(told, /request 6 failed/, name);
  }
  t.equal(offer.counters.refusedRequests, 4);
  t.equal(offer.counters.failures, 0);
  frontend.send(v.VHOST_USER_SET_LOG_BASE, logMessage(LOG_SIZE, 0));
  await eventually(() => offer.lastFailure, 'the end');
  t.match(offer.lastFailure, /SET_LOG_BASE without a descriptor/);
});

t.test(
  'a log that was not agreed to, or an event without a descriptor, ends the session',
  async (t) => {
    for (const [request, payload, reason] of [
      [v.VHOST_USER_SET_LOG_BASE, logMessage(64, 0), /SET_LOG_BASE: protocol feature 1/],
      [v.VHOST_USER_SET_LOG_FD, undefined, /SET_LOG_FD without a descriptor/],
    ] as const) {
      const { path, offer } = await offerEcho(t);
      const { frontend } = await qemuGuest(t, path);
      await frontend.word(v.VHOST_USER_SET_PROTOCOL_FEATURES, 0x208n);
      const fds = payload === undefined ? [] : [frontend.eventfd()];
      frontend.send(request, payload, fds);
      await eventually(() => offer.lastFailure, 'the end');
      t.match(offer.lastFailure, reason);
    }
  },
);

t.test('nothing of a log is left', async (t) => {
  const { path, offer } = await offerEcho(t);
  const log = logFile(t);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const once = async () => {
    const guest = await qemuGuest(t, path);
    for (let count = 0; count < 3; count++) {
      await setLog(guest, log);
      const event = guest.frontend.eventfd();
      await guest.frontend.tell(v.VHOST_USER_SET_LOG_FD, undefined, [event]);
    }
    guest.frontend.close();
    guest.memory.close();
    await eventually(() => !offer.connected || undefined, 'the end of the session');
  };
  await once();
  const before = descriptors();
  for (let round = 0; round < 5; round++) await once();
  t.equal(descriptors(), before);
});

t.test('all pages of a range are marked, and no others', async (t) => {
  const log = logFile(t);
  const range = { fd: log.fd, offset: LOG_OFFSET, length: LOG_SIZE };
  const dirty = new DirtyLog(system, range, () => undefined);
  const last = LOG_SIZE * 8 * PAGE;
  const written = fc.record({
    address: fc.oneof(
      fc.integer({ min: 0, max: 40 * PAGE }),
      fc.integer({ min: last - 40 * PAGE, max: last + 40 * PAGE }),
      fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 2 ** 32 }),
    ),
    length: fc.integer({ min: 0, max: 40 * PAGE }),
  });
  fc.assert(
    fc.property(fc.array(written, { maxLength: 5 }), (ranges) => {
      log.bytes.fill(0);
      const wanted = new Set<number>();
      for (const { address, length } of ranges) {
        dirty.mark(address, length);
        const first = Math.floor(address / PAGE);
        for (let page = first; page * PAGE < address + length; page++) {
          if (length > 0 && page < LOG_SIZE * 8) wanted.add(page * PAGE - GUEST_BASE);
        }
      }
      assert.deepEqual(
        marked(log),
        [...wanted].sort((a, b) => a - b),
      );
    }),
    { numRuns: 40 },
  );
  t.ok(
    log.bytes.subarray(0, LOG_OFFSET).every((byte) => byte === 0),
    'nothing before it',
  );
  dirty.release();
});

t.test('features but the log stay as they are while rings run', async (t) => {
  const { path, offer } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  await write(guest, 20 * PAGE, 1);
  const word = toBytes(u64, (guestFeatures({}) | LOG_ALL) & ~2n);
  guest.frontend.send(v.VHOST_USER_SET_FEATURES, word);
  await eventually(() => offer.lastFailure, 'the end');
  t.match(offer.lastFailure, /features change while rings run/);
});
