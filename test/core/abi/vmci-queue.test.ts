/** The queues of a pair: their indexes, what fits, what is refused, and that no byte is lost or changed. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import t from 'tap';
import { VMCI_RESULT as R } from '../../../src/core/abi/vmci-errors.js';
import { BufferMemory, JoinedMemory, swapped } from '../../../src/core/abi/vmci-memory.js';
import {
  markQueuePair,
  openQueuePair,
  type Queue,
  type QueueMemory,
  queueBytes,
  queuePairBytes,
  resetQueuePair,
  VMCI_PAGE_SIZE,
  vmci_queue_header,
} from '../../../src/core/abi/vmci-queue.js';

const HANDLE = { context: 7, resource: 1024 };

/** Both ends of a pair in memory of its own. */
function makePair(produceSize: number, consumeSize = produceSize, memory?: QueueMemory) {
  const sizes = { produceSize, consumeSize };
  const pages = memory ?? new BufferMemory(queuePairBytes(sizes));
  const creator = openQueuePair(pages, sizes);
  const crossed = { produceSize: consumeSize, consumeSize: produceSize };
  const attacher = openQueuePair(swapped(pages, sizes), crossed);
  return { pages, sizes, creator, attacher };
}

/** The words of a header: handle, producer_tail, consumer_head. */
function header(pages: QueueMemory, offset: number): DataView {
  const { buffer, byteOffset } = pages.view(offset, vmci_queue_header.size);
  return new DataView(buffer, byteOffset, vmci_queue_header.size);
}

const setTail = (pages: QueueMemory, offset: number, value: bigint) =>
  header(pages, offset).setBigUint64(8, value, true);
const setHead = (pages: QueueMemory, offset: number, value: bigint) =>
  header(pages, offset).setBigUint64(16, value, true);

const bytes = (...values: number[]) => Uint8Array.from(values);

t.test('a pair is both queues, each with a page for its header', async (t) => {
  t.equal(queueBytes(0), VMCI_PAGE_SIZE);
  t.equal(queueBytes(1), 2 * VMCI_PAGE_SIZE);
  t.equal(queueBytes(VMCI_PAGE_SIZE), 2 * VMCI_PAGE_SIZE);
  t.equal(queueBytes(VMCI_PAGE_SIZE + 1), 3 * VMCI_PAGE_SIZE);
  t.equal(queuePairBytes({ produceSize: 8192, consumeSize: 4096 }), 5 * VMCI_PAGE_SIZE);
});

t.test('the tail stands in the header of the writer, the head in that of the reader', async (t) => {
  const { pages, sizes, creator, attacher } = makePair(100, 5000);
  const other = queueBytes(sizes.produceSize);
  creator.produce.enqueue(bytes(1, 2, 3));
  attacher.produce.enqueue(bytes(4, 5));
  attacher.consume.dequeue(new Uint8Array(1));
  creator.consume.dequeue(new Uint8Array(2));
  const words = (offset: number) => {
    const view = header(pages, offset);
    return [view.getBigUint64(8, true), view.getBigUint64(16, true)];
  };
  t.strictSame(words(0), [3n, 2n], "the creator's: what it wrote, and what it read");
  t.strictSame(words(other), [2n, 1n], "the attacher's");
  t.strictSame([...pages.view(VMCI_PAGE_SIZE, 3)], [1, 2, 3]);
  t.strictSame([...pages.view(other + VMCI_PAGE_SIZE, 2)], [4, 5]);
});

t.test('a queue is measured by the right two words', async (t) => {
  const { pages, creator, attacher } = makePair(16);
  const other = queueBytes(16);
  setTail(pages, 0, 10n);
  setHead(pages, other, 4n);
  for (const queue of [creator.produce, attacher.consume]) {
    t.strictSame(queue.indexes(), { tail: 10, head: 4 });
    t.equal(queue.bufReady, 6);
    t.equal(queue.freeSpace, 9);
  }
  t.equal(creator.consume.bufReady, 0, 'with the headers exchanged it would be empty');
});

t.test('a queue holds one byte less than its size', async (t) => {
  for (const size of [1, 2, 128, 1000, 4096, 65536]) {
    const { creator, attacher } = makePair(size);
    t.equal(creator.produce.freeSpace, size - 1);
    const taken = creator.produce.enqueue(new Uint8Array(size + 10));
    t.equal(taken, size === 1 ? R.VMCI_ERROR_QUEUEPAIR_NOSPACE : size - 1, `${size} bytes`);
    t.equal(creator.produce.freeSpace, 0);
    t.equal(attacher.consume.bufReady, size - 1);
  }
});

t.test('a queue of no bytes is of no use', async (t) => {
  const { creator, attacher } = makePair(16, 0);
  for (const queue of [creator.consume, attacher.produce]) {
    t.equal(queue.enqueue(bytes(1)), R.VMCI_ERROR_INVALID_SIZE);
    t.equal(queue.dequeue(new Uint8Array(1)), R.VMCI_ERROR_INVALID_SIZE);
    t.equal(queue.freeSpace, R.VMCI_ERROR_INVALID_SIZE);
    t.equal(queue.bufReady, R.VMCI_ERROR_INVALID_SIZE);
    t.equal(queue.indexes(), R.VMCI_ERROR_INVALID_SIZE);
  }
  t.equal(creator.produce.enqueue(bytes(1)), 1, 'the other way works');
});

t.test('a full queue takes nothing, an empty one gives nothing', async (t) => {
  const { creator, attacher } = makePair(3);
  t.equal(attacher.consume.dequeue(new Uint8Array(4)), R.VMCI_ERROR_QUEUEPAIR_NODATA);
  t.equal(attacher.consume.peek(new Uint8Array(4)), R.VMCI_ERROR_QUEUEPAIR_NODATA);
  t.equal(attacher.consume.bytes(), R.VMCI_ERROR_QUEUEPAIR_NODATA);
  t.equal(creator.produce.enqueue(new Uint8Array(0)), 0, 'no bytes fit where there is room');
  creator.produce.enqueue(bytes(1, 2));
  t.equal(creator.produce.enqueue(bytes(3)), R.VMCI_ERROR_QUEUEPAIR_NOSPACE);
  t.equal(creator.produce.enqueue(new Uint8Array(0)), R.VMCI_ERROR_QUEUEPAIR_NOSPACE);
  t.equal(creator.produce.room(), R.VMCI_ERROR_QUEUEPAIR_NOSPACE);
  t.equal(attacher.consume.dequeue(new Uint8Array(0)), 0);
});

t.test('peeking leaves the bytes', async (t) => {
  const { creator, attacher } = makePair(8);
  creator.produce.enqueue(bytes(1, 2, 3));
  const into = new Uint8Array(2);
  t.equal(attacher.consume.peek(into), 2);
  t.equal(attacher.consume.peek(into), 2);
  t.strictSame([...into], [1, 2]);
  t.equal(attacher.consume.bufReady, 3);
});

t.test('several pieces go in and out at once, around the end of the ring', async (t) => {
  const { creator, attacher } = makePair(8);
  creator.produce.enqueue(bytes(0, 0, 0, 0, 0, 0));
  attacher.consume.dequeue(new Uint8Array(6));
  t.equal(creator.produce.enqueuev([bytes(1), bytes(), bytes(2, 3, 4), bytes(5, 6, 7, 8, 9)]), 7);
  const into = [new Uint8Array(3), new Uint8Array(0), new Uint8Array(10)];
  t.equal(attacher.consume.peekv(into), 7);
  for (const piece of into) piece.fill(0);
  t.equal(attacher.consume.dequeuev(into), 7);
  t.strictSame([...(into[0] ?? [])], [1, 2, 3]);
  t.strictSame([...(into[2] ?? [])], [4, 5, 6, 7, 0, 0, 0, 0, 0, 0]);
});

t.test('bytes can be put into the queue and taken out of it in place', async (t) => {
  const { creator, attacher } = makePair(8);
  creator.produce.enqueue(new Uint8Array(6));
  attacher.consume.dequeue(new Uint8Array(6));
  const first = creator.produce.room() as Uint8Array;
  t.equal(first.length, 2, 'up to the end of the ring');
  first.set([1, 2]);
  t.equal(attacher.consume.bufReady, 0, 'nobody sees them yet');
  creator.produce.produced(2);
  const second = creator.produce.room() as Uint8Array;
  t.equal(second.length, 5, 'all but one');
  second.set([3]);
  creator.produce.produced(1);
  const taken = attacher.consume.bytes() as Uint8Array;
  t.strictSame([...taken], [1, 2]);
  attacher.consume.consumed(2);
  t.strictSame([...(attacher.consume.bytes() as Uint8Array)], [3]);
  creator.produce.enqueue(bytes(4));
  attacher.consume.bytes();
  attacher.consume.consumed(1);
  attacher.consume.consumed(1);
  t.equal(attacher.consume.bufReady, 0, 'in parts, too');
});

t.test('memory in pieces is no different', async (t) => {
  const page = () => new BufferMemory(VMCI_PAGE_SIZE);
  const pages = [1, 2, 3, 4, 5]
    .map(page)
    .reduce<QueueMemory>((a, b) => new JoinedMemory(a, b), page());
  const { creator, attacher } = makePair(2 * VMCI_PAGE_SIZE, VMCI_PAGE_SIZE, pages);
  const sent = Uint8Array.from({ length: 3000 }, (_, index) => index);
  const got = new Uint8Array(3000);
  for (let round = 0; round < 10; round++) {
    t.equal(creator.produce.enqueue(sent), sent.length);
    t.equal(attacher.consume.dequeue(got.fill(0)), sent.length);
    t.strictSame(got, sent);
  }
});

t.test('a pair needs its memory', async (t) => {
  const sizes = { produceSize: 4096, consumeSize: 1 };
  const memory = new BufferMemory(queuePairBytes(sizes) - VMCI_PAGE_SIZE);
  t.throws(() => openQueuePair(memory, sizes), RangeError);
  const shifted = new BufferMemory(new Uint8Array(queuePairBytes(sizes) + 4).subarray(4));
  t.throws(() => openQueuePair(shifted, sizes), RangeError, 'an index has to be in one word');
});

t.test('headers get the handle, and keep or lose their indexes', async (t) => {
  const { pages, sizes, creator } = makePair(100);
  creator.produce.enqueue(bytes(1));
  markQueuePair(pages, sizes, HANDLE);
  for (const offset of [0, queueBytes(100)]) {
    const { handle } = vmci_queue_header.decode(pages.view(offset, vmci_queue_header.size));
    t.strictSame({ ...handle }, HANDLE);
  }
  t.equal(creator.produce.bufReady, 1);
  resetQueuePair(pages, sizes, HANDLE);
  t.equal(creator.produce.bufReady, 0);
});

t.test('an index is written as 64 bits', async (t) => {
  const { pages, creator } = makePair(100);
  setTail(pages, 0, 99n);
  setHead(pages, queueBytes(100), 50n);
  t.equal(creator.produce.enqueue(bytes(7)), 1);
  t.equal(header(pages, 0).getBigUint64(8, true), 0n);
});

const HOSTILE = [
  16n,
  17n,
  2n ** 31n,
  2n ** 32n,
  2n ** 32n + 3n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

t.test('indexes outside of the queue are refused, whichever and however large', async (t) => {
  const { pages, creator, attacher } = makePair(16);
  const spoil = [
    (value: bigint) => setTail(pages, 0, value),
    (value: bigint) => setHead(pages, queueBytes(16), value),
  ];
  for (const set of spoil) {
    for (const value of HOSTILE) {
      set(value);
      for (const queue of [creator.produce, attacher.consume]) {
        const calls = [
          queue.indexes(),
          queue.freeSpace,
          queue.bufReady,
          queue.room(),
          queue.bytes(),
          queue.enqueue(bytes(1)),
          queue.dequeue(new Uint8Array(1)),
          queue.peek(new Uint8Array(1)),
        ];
        t.ok(
          calls.every((result) => result === R.VMCI_ERROR_INVALID_SIZE),
          `${value}`,
        );
      }
    }
    set(0n);
  }
  t.equal(creator.produce.enqueue(bytes(1)), 1, 'and well again afterwards');
});

t.test('whatever stands in the headers, an operation ends inside of its queue', async () => {
  const word = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: 0n, max: 300n }),
  );
  const operation = fc.constantFrom('enqueue', 'dequeue', 'peek', 'room', 'bytes');
  const length = fc.nat(400);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.tuple(word, word, word, word, operation, length)),
      (size, steps) => {
        const guarded = guard(size);
        const { creator, attacher } = makePair(size, size, guarded.memory);
        return steps.every(([a, b, c, d, name, count]) => {
          setTail(guarded.memory, 0, a);
          setHead(guarded.memory, 0, b);
          setTail(guarded.memory, queueBytes(size), c);
          setHead(guarded.memory, queueBytes(size), d);
          for (const queue of [
            creator.produce,
            creator.consume,
            attacher.produce,
            attacher.consume,
          ]) {
            if (!within(queue, name, count)) return false;
          }
          return guarded.intact();
        });
      },
    ),
    { numRuns: 300 },
  );
});

/** Memory whose bytes behind each queue's end are watched. */
function guard(size: number) {
  const sizes = { produceSize: size, consumeSize: size };
  const memory = new BufferMemory(queuePairBytes(sizes));
  const rests = [0, queueBytes(size)].map((start) => {
    const begin = start + VMCI_PAGE_SIZE + size;
    const end = start + queueBytes(size);
    return end > begin ? memory.view(begin, end - begin).fill(0xa5) : new Uint8Array(0);
  });
  const intact = () => rests.every((rest) => rest.every((byte) => byte === 0xa5));
  return { memory, intact };
}

/** Whether an operation gives an error, or no more than the queue can have. */
function within(
  queue: Queue,
  name: 'enqueue' | 'dequeue' | 'peek' | 'room' | 'bytes',
  count: number,
): boolean {
  const given =
    name === 'room' || name === 'bytes' ? queue[name]() : queue[name](new Uint8Array(count));
  const result = typeof given === 'number' ? given : given.length;
  return result < 0 || result < queue.size;
}

t.test('free and ready make up the capacity, for all indexes', async (t) => {
  for (let size = 1; size <= 24; size++) {
    const { pages, creator } = makePair(size);
    for (let tail = 0; tail < size; tail++) {
      for (let head = 0; head < size; head++) {
        setTail(pages, 0, BigInt(tail));
        setHead(pages, queueBytes(size), BigInt(head));
        const { freeSpace, bufReady } = creator.produce;
        if (freeSpace + bufReady !== size - 1) t.fail(`${size}: ${tail} ${head}`);
        if (bufReady !== (tail - head + size) % size) t.fail(`${size}: ${tail} ${head}`);
      }
    }
  }
});

t.test('a million times around, with sizes of all kinds, each byte arrives', async (t) => {
  const size = 13;
  const { creator, attacher } = makePair(size);
  const buffer = new Uint8Array(size);
  const into = new Uint8Array(size);
  const chance = randomly(20_260);
  let [sent, got] = [0, 0];
  const rounds = 1_000_000 * size;
  while (got < rounds) {
    const piece = buffer.subarray(0, 1 + (chance() % size));
    for (let index = 0; index < piece.length; index++) piece[index] = sent + index;
    sent += Math.max(0, creator.produce.enqueue(piece));
    const count = attacher.consume.dequeue(into.subarray(0, 1 + (chance() % size)));
    for (let index = 0; index < count; index++) {
      if (into[index] !== ((got + index) & 0xff)) {
        t.fail(`byte ${got + index} is ${into[index]}`);
        return;
      }
    }
    got += Math.max(0, count);
  }
  t.ok(got >= rounds);
});

t.test('two threads at once: what one writes the other reads', async (t) => {
  const sizes = { produceSize: 1000, consumeSize: 1000 };
  const shared = new SharedArrayBuffer(queuePairBytes(sizes));
  const total = 2_000_000;
  const library = (name: string) =>
    new URL(`../../../src/core/abi/${name}.js`, import.meta.url).href;
  const code = `
    const { workerData } = require('node:worker_threads');
    (async () => {
      const { BufferMemory } = await import(workerData.memory);
      const { openQueuePair } = await import(workerData.queue);
      const { produce } = openQueuePair(new BufferMemory(new Uint8Array(workerData.shared)), workerData.sizes);
      const piece = new Uint8Array(700);
      for (let sent = 0; sent < workerData.total; ) {
        const length = Math.min(1 + (sent * 7) % 700, workerData.total - sent);
        for (let index = 0; index < length; index++) piece[index] = (sent + index) % 251;
        sent += Math.max(0, produce.enqueue(piece.subarray(0, length)));
      }
    })();`;
  const names = { memory: library('vmci-memory'), queue: library('vmci-queue') };
  const worker = new Worker(code, { eval: true, workerData: { ...names, shared, sizes, total } });
  const ended = once(worker, 'exit');
  const pages = new BufferMemory(new Uint8Array(shared));
  const { consume } = openQueuePair(swapped(pages, sizes), sizes);
  const into = new Uint8Array(500);
  let [got, wrong] = [0, 0];
  while (got < total) {
    const count = Math.max(0, consume.dequeue(into));
    for (let index = 0; index < count; index++) {
      if (into[index] !== (got + index) % 251) wrong++;
    }
    got += count;
    // The thread may need this one to get started.
    if (count === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  t.equal(wrong, 0);
  t.equal(consume.bufReady, 0);
});

/** Numbers without a pattern, always the same. */
function randomly(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
}
