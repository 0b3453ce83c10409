/** Memory of queue pairs: parts, joints, and the other end's view. */
import t from 'tap';
import {
  BufferMemory,
  JoinedMemory,
  PartOfMemory,
  swapped,
} from '../../../src/core/abi/vmci-memory.js';
import { queueBytes, queuePairBytes } from '../../../src/core/abi/vmci-queue.js';

const numbered = (length: number, from = 0) =>
  new BufferMemory(Uint8Array.from({ length }, (_, index) => from + index));

t.test('memory is seen from an offset on, and not beyond its end', async (t) => {
  const memory = numbered(10);
  t.strictSame([...memory.view(3, 4)], [3, 4, 5, 6]);
  for (const [offset, length] of [
    [-1, 1],
    [0, 0],
    [0, 11],
    [10, 1],
    [5, 6],
    [Number.NaN, 1],
    [0, Number.NaN],
  ] as const) {
    t.throws(() => memory.view(offset, length), RangeError, `${length} at ${offset}`);
  }
});

t.test('two memories are one, and a view ends where the first does', async (t) => {
  const memory = new JoinedMemory(numbered(4), numbered(4, 4));
  t.equal(memory.length, 8);
  t.strictSame([...memory.view(2, 6)], [2, 3]);
  t.strictSame([...memory.view(4, 4)], [4, 5, 6, 7]);
  t.throws(() => memory.view(4, 5), RangeError);
});

t.test('a part of a memory knows nothing of the rest', async (t) => {
  const memory = new PartOfMemory(numbered(10), 4, 3);
  t.strictSame([...memory.view(0, 3)], [4, 5, 6]);
  t.throws(() => memory.view(0, 4), RangeError);
  t.throws(() => new PartOfMemory(numbered(10), 8, 3), RangeError);
});

t.test('the other end reads what the owner writes', async (t) => {
  const sizes = { produceSize: 5000, consumeSize: 10 };
  const pages = new BufferMemory(queuePairBytes(sizes));
  const theirs = swapped(pages, sizes);
  pages.view(0, 1).set([1]);
  pages.view(queueBytes(5000), 1).set([2]);
  t.equal(theirs.view(0, 1)[0], 2);
  t.equal(theirs.view(queueBytes(10), 1)[0], 1);
  t.equal(theirs.length, pages.length);
  const back = swapped(theirs, { produceSize: 10, consumeSize: 5000 });
  t.equal(back.view(0, 1)[0], 1, 'twice is once more its own');
});
