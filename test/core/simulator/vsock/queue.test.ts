import fc from 'fast-check';
import t from 'tap';
import { GOOD_COPY_LEN, PayloadQueue } from '../../../../src/core/simulator/vsock/queue.js';

const MAX = Number.MAX_SAFE_INTEGER;

t.test('an empty queue gives nothing', async (t) => {
  const queue = new PayloadQueue();
  t.equal(queue.length, 0);
  t.equal(queue.take(10), undefined);
  t.equal(queue.flags(), 0);
});

t.test('a payload is given without being copied, and can be taken in parts', async (t) => {
  const queue = new PayloadQueue();
  const payload = new Uint8Array(200).fill(7);
  queue.push(payload, 3);
  t.equal(queue.flags(), 3);
  t.match(queue.take(150), { finished: 0, flags: 3, bytes: { length: 150 } });
  const rest = queue.take(150);
  t.match(rest, { finished: 200, flags: 3, bytes: { length: 50 } });
  t.equal(rest?.bytes.buffer, payload.buffer);
  t.equal(queue.length, 0);
});

t.test('small payloads are merged, up to a bound', async (t) => {
  const queue = new PayloadQueue();
  for (let n = 0; n < 33; n++) queue.push(new Uint8Array(GOOD_COPY_LEN).fill(n), 0);
  t.equal(queue.length, 2);
  t.equal(queue.take(MAX)?.bytes.length, 4096);
  t.equal(queue.take(MAX)?.bytes.length, GOOD_COPY_LEN);
});

t.test('what is merged goes behind what was taken', async (t) => {
  const queue = new PayloadQueue();
  queue.push(Uint8Array.of(1, 2, 3), 0);
  const first = queue.take(2)?.bytes;
  queue.push(Uint8Array.of(4), 0);
  t.same(first, Uint8Array.of(1, 2), 'bytes that were given do not change');
  t.match(queue.take(MAX), { bytes: Uint8Array.of(3, 4), finished: 4 });
});

t.test('a payload that ends a message is merged with none', async (t) => {
  const queue = new PayloadQueue();
  queue.push(Uint8Array.of(1), 1);
  queue.push(Uint8Array.of(2), 0);
  queue.push(Uint8Array.of(3), 1);
  t.equal(queue.length, 3);
});

t.test('clear forgets everything', async (t) => {
  const queue = new PayloadQueue();
  queue.push(new Uint8Array(500), 0);
  queue.clear();
  t.equal(queue.length, 0);
  t.equal(queue.take(1), undefined);
});

t.test('many payloads go through in order, without the queue keeping them', async (t) => {
  const queue = new PayloadQueue();
  let next = 0;
  for (let n = 0; n < 5000; n++) {
    queue.push(new Uint8Array(200).fill(n % 251), 0);
    if (n % 3 === 0) continue;
    if (queue.take(MAX)?.bytes[0] !== next % 251) t.fail(`payload ${next} is out of order`);
    next++;
  }
  t.equal(queue.length, 5000 - next);
});

t.test('properties', async (t) => {
  const payload = fc.uint8Array({ minLength: 1, maxLength: 400 });
  const push = fc.record({ payload, flags: fc.constantFrom(0, 0, 0, 1, 3) });
  const take = fc.record({ max: fc.integer({ min: 1, max: 600 }) });

  t.test('bytes out are the bytes in, in order, and flags stay where they were', async () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(push, take), { maxLength: 150 }), (steps) => {
        const queue = new PayloadQueue();
        const given: number[] = [];
        const taken: number[] = [];
        const marks = new Map<number, number>();
        let finished = 0;
        const one = (max: number) => {
          const item = queue.take(max);
          if (item === undefined) return false;
          taken.push(...item.bytes);
          finished += item.finished;
          if (item.finished === 0) return true;
          const flags = marks.get(taken.length) ?? 0;
          marks.delete(taken.length);
          if (flags !== item.flags) throw new Error(`flags ${item.flags} at ${taken.length}`);
          return true;
        };
        for (const step of steps) {
          if ('max' in step) one(step.max);
          else {
            queue.push(step.payload, step.flags);
            given.push(...step.payload);
            if (step.flags !== 0) marks.set(given.length, step.flags);
          }
        }
        while (one(1000));
        const same = taken.length === given.length && taken.every((byte, n) => byte === given[n]);
        return same && finished === given.length && marks.size === 0;
      }),
    );
  });
});
