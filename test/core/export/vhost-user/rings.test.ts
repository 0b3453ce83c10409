/** Chains of every shape, and rings and messages of none: properties that hold for all of them. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { eventually, Frontend, GUEST_BASE } from '../../../helpers/vhost-frontend.js';
import {
  type Guest,
  type Offered,
  offerEcho,
  QUEUE_MEMORY,
  qemuGuest,
  queueAt,
  umlGuest,
} from '../../../helpers/vhost-setup.js';

const RUNS = 60;

const shape = fc.record({
  readable: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }),
  writable: fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 4 }),
  indirect: fc.boolean(),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

/** What an echo of a chain gives back: as much as there is room for. */
function echoed({ readable, writable }: Shape): number[] {
  const room = writable.reduce((sum, length) => sum + length, 0);
  return readable.flatMap((part) => [...part]).slice(0, room);
}

/** Sends chains as fast as the queue takes them, and compares each that comes back. */
async function exchange(guest: Guest, shapes: readonly Shape[]): Promise<void> {
  const queue = queueAt(guest.queues, 0);
  const waiting = shapes.filter(({ readable, writable }) => readable.length + writable.length > 0);
  const sent = new Map<number, Shape>();
  while (waiting.length > 0 || sent.size > 0) {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const parts = [...next.readable, ...next.writable];
      if (queue.free < (next.indirect ? 1 : parts.length)) break;
      waiting.shift();
      sent.set(queue.add(parts, next), next);
    }
    if (queue.kickWanted()) await guest.kick(0);
    const used = await eventually(() => {
      const found = queue.collect();
      return found.length > 0 ? found : undefined;
    }, 'a chain');
    for (const { head, bytes } of used) {
      const shape = sent.get(head);
      sent.delete(head);
      assert.ok(shape !== undefined);
      assert.deepEqual([...bytes], echoed(shape));
    }
  }
}

for (const make of [umlGuest, qemuGuest]) {
  t.test(`an echo gives back what it got, in chains of any shape (${make.name})`, async (t) => {
    const offered = await offerEcho(t);
    const options = fc.record({
      eventIdx: fc.boolean(),
      num: fc.constantFrom(8, 16, 256),
      start: fc.constantFrom(0, 1, 65500, 65535),
    });
    const shapes = fc.array(shape, { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(options, shapes, async ({ start, ...rest }, all) => {
        const guest = await make(t, offered.path, { ...rest, indirect: true });
        try {
          queueAt(guest.queues, 0).startAt(start);
          await guest.startAgain(0);
          await exchange(guest, all);
        } finally {
          guest.frontend.close();
          guest.memory.close();
        }
      }),
      { numRuns: RUNS },
    );
    t.equal(offered.offer.counters.failures, 0);
  });
}

/** The device still serves a front-end that keeps the rules. */
async function serves(t: Test, { path, offer }: Offered): Promise<boolean> {
  await eventually(() => !offer.connected || undefined, 'the end of the session');
  const guest = await umlGuest(t, path);
  const queue = queueAt(guest.queues, 0);
  queue.add([Uint8Array.of(42), 1]);
  await guest.kick(0);
  const used = await eventually(() => queue.collect()[0], 'the next front-end');
  guest.frontend.close();
  guest.memory.close();
  await eventually(() => !offer.connected || undefined, 'the end of the session');
  return used.bytes[0] === 42;
}

t.test('rings with anything in them are served, or end the session', async (t) => {
  const offered = await offerEcho(t);
  const place = fc.record({
    at: fc.integer({ min: 0, max: 0x1000 }),
    word: fc.oneof(
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 0xffff),
    ),
  });
  const descriptor = fc.record({
    index: fc.integer({ min: 0, max: 15 }),
    address: fc.oneof(
      fc.integer({ min: GUEST_BASE - 100, max: GUEST_BASE + 4 * QUEUE_MEMORY }),
      fc.integer({ min: 0, max: 2 ** 53 - 1 }),
    ),
    length: fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    flags: fc.integer({ min: 0, max: 8 }),
    next: fc.integer({ min: 0, max: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(descriptor, { maxLength: 16 }),
      fc.array(place, { maxLength: 12 }),
      fc.array(fc.integer({ min: 0, max: 17 }), { maxLength: 16 }),
      async (descriptors, places, heads) => {
        const guest = await umlGuest(t, offered.path, { indirect: true });
        const queue = queueAt(guest.queues, 0);
        for (const { index, address, length, flags, next } of descriptors) {
          queue.writeDescriptor(queue.desc + 16 * index, address, length, flags, next);
        }
        for (const { at, word } of places) guest.memory.view.setUint16(at, word, true);
        for (const head of heads) queue.offer(head);
        await guest.kick(0);
        await new Promise(setImmediate);
        guest.frontend.close();
        guest.memory.close();
        return serves(t, offered);
      },
    ),
    { numRuns: RUNS },
  );
});

t.test('messages of anything are answered, ignored, or end the session', async (t) => {
  const offered = await offerEcho(t);
  const message = fc.record({
    request: fc.oneof(fc.integer({ min: 0, max: 45 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    flags: fc.oneof(fc.constantFrom(1, 9), fc.integer({ min: 0, max: 31 })),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom(0, 8, 12, 40).map((length) => new Uint8Array(length)),
    ),
    fds: fc.integer({ min: 0, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 20 }), async (messages) => {
      const frontend = await Frontend.connect(t, offered.path);
      const spare = frontend.eventfd();
      for (const { request, flags, payload, fds } of messages) {
        const bytes = new Uint8Array(12 + payload.length);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, request, true);
        view.setUint32(4, flags, true);
        view.setUint32(8, payload.length, true);
        bytes.set(payload, 12);
        frontend.sendRaw(
          bytes,
          Array.from({ length: fds }, () => spare),
        );
        await new Promise(setImmediate);
      }
      frontend.close();
      return serves(t, offered);
    }),
    { numRuns: RUNS },
  );
});

t.test('bytes of anything end the session, or wait for more', async (t) => {
  const offered = await offerEcho(t);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
      const frontend = await Frontend.connect(t, offered.path);
      frontend.sendRaw(bytes);
      await eventually(() => {
        // It may be over as soon as it has begun.
        frontend.reader.take();
        return offered.offer.connected || frontend.reader.ended || undefined;
      }, 'the session');
      frontend.close();
      return serves(t, offered);
    }),
    { numRuns: RUNS },
  );
});
