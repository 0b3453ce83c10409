/** Files that are read and written by calls, while their owner may cut them. */
import t from 'tap';
import { FileMemories, type FileMemory } from '../../../src/core/native/file-memory.js';
import { loadLibc } from '../../../src/core/native/libc.js';
import { SharedMemories } from '../../../src/core/native/shared-memory.js';

const [libc, memories, files] = [
  await loadLibc(),
  await SharedMemories.load(),
  await FileMemories.load(),
];
const PAGE = 4096;
/** Source: linux/memfd.h. */
const MFD_HUGETLB = 4;

function opened(length: number, offset = 0): { fd: number; file: FileMemory } {
  const fd = libc.memfdCreate('test', 0);
  libc.ftruncate(fd, offset + length);
  t.teardown(() => libc.close(fd));
  const mapping = memories.map(fd, length, offset);
  if (typeof mapping === 'number') throw new Error(`mmap = ${mapping}`);
  const file = files.open(fd, offset, mapping);
  if (typeof file === 'number') throw new Error(`dup = ${file}`);
  return { fd, file };
}

function bytesAt(file: FileMemory, at: number, length: number): number[] {
  const bytes = new Uint8Array(length);
  if (!file.read(at, bytes)) throw new Error('not all is there');
  return [...bytes];
}

t.test('bytes are where they were put, from an offset on', async (t) => {
  const { fd, file } = opened(2 * PAGE, PAGE);
  t.equal(file.length, 2 * PAGE);
  t.ok(file.write(10, Uint8Array.of(1, 2, 3)));
  t.same(bytesAt(file, 9, 5), [0, 1, 2, 3, 0]);
  const other = memories.map(fd, 3 * PAGE, 0);
  if (typeof other === 'number') throw new Error(`mmap = ${other}`);
  const { buffer, offset } = other.at(PAGE + 10, 3);
  t.same([...new Uint8Array(buffer, offset, 3)], [1, 2, 3]);
  for (const memory of [file, other]) memory.release();
});

t.test('files that can not be written by calls are not for it', async (t) => {
  const file = libc.memfdCreate('test', 0);
  const huge = libc.memfdCreate('test', MFD_HUGETLB);
  const readOnly = libc.open(`/proc/self/fd/${file}`, 0, 0);
  const fds = [file, huge, readOnly];
  t.same(
    fds.map((fd) => files.supports(fd)),
    [true, false, false],
  );
  t.notOk(files.supports(-1));
  for (const fd of fds) libc.close(fd);
});

t.test('bits are added and set in their word, with what is carried', async (t) => {
  const { file } = opened(PAGE);
  file.write(8, Uint8Array.of(0xff, 0xff, 0xff, 0x00));
  t.ok(file.addBit(8, 16));
  t.same(bytesAt(file, 8, 4), [0xff, 0xff, 0x00, 0x01]);
  file.write(8, Uint8Array.of(1, 0, 0xff, 0xff));
  t.ok(file.addBit(8, 16));
  t.same(bytesAt(file, 7, 6), [0, 1, 0, 0, 0, 0], 'the word ends there');
  for (let bit = 0; bit < 32; bit += 1) t.ok(file.setBit(16, bit));
  t.same(bytesAt(file, 15, 6), [0, 0xff, 0xff, 0xff, 0xff, 0]);
  file.release();
});

t.test('what was cut off is missing, and no signal', async (t) => {
  const { fd, file } = opened(2 * PAGE);
  file.write(0, new Uint8Array(2 * PAGE).fill(5));
  libc.ftruncate(fd, PAGE);
  const bytes = new Uint8Array(4).fill(9);
  t.notOk(file.read(PAGE - 2, bytes));
  t.same([...bytes], [5, 5, 0, 0]);
  t.notOk(file.read(PAGE + 8, bytes));
  t.same([...bytes], [0, 0, 0, 0]);
  t.notOk(file.addBit(PAGE, 0));
  t.notOk(file.setBit(PAGE, 0));
  t.ok(file.addBit(PAGE - 4, 0), 'what is left is as before');
  file.release();
});

t.test('nothing is reached outside of it, and nothing when it is released', async (t) => {
  const { file } = opened(PAGE);
  for (const [at, length] of [
    [-1, 1],
    [0, PAGE + 1],
    [PAGE, 1],
  ] as const) {
    t.throws(() => file.read(at, new Uint8Array(length)), RangeError);
    t.throws(() => file.write(at, new Uint8Array(length)), RangeError);
  }
  t.throws(() => file.setBit(PAGE - 3, 0), RangeError);
  file.write(0, Uint8Array.of(7));
  file.release();
  t.same(bytesAt(file, 0, 2), [0, 0]);
  t.ok(file.write(0, Uint8Array.of(1)));
  t.ok(file.addBit(0, 1));
  t.equal(file.discard(0, PAGE), 0);
  file.release();
});
