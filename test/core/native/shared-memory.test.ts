/** Files that are mapped, and what becomes of views when the mapping is gone. */
import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import t, { type Test } from 'tap';
import { loadLibc } from '../../../src/core/native/libc.js';
import { SharedMemories, type SharedMemory } from '../../../src/core/native/shared-memory.js';

const [libc, memories] = [await loadLibc(), await SharedMemories.load()];
const [PAGE, GIB] = [4096, 2 ** 30];
const [MFD_ALLOW_SEALING, F_ADD_SEALS, F_SEAL_SEAL] = [2, 1033, 1];

function file(t: Test, size: number, flags = 0): number {
  const fd = libc.memfdCreate('test', flags);
  libc.ftruncate(fd, size);
  t.teardown(() => libc.close(fd));
  return fd;
}

function mapped(fd: number, length: number, offset = 0): SharedMemory {
  const memory = memories.map(fd, length, offset);
  if (typeof memory === 'number') throw new Error(`mmap = ${memory}`);
  return memory;
}

function view(memory: SharedMemory, at: number, length: number): Uint8Array {
  const { buffer, offset } = memory.at(at, length);
  return new Uint8Array(buffer, offset, length);
}

t.test('two mappings of a file are the same bytes, from an offset on', async (t) => {
  const fd = file(t, 3 * PAGE);
  const [all, part] = [mapped(fd, 3 * PAGE), mapped(fd, 2 * PAGE, PAGE)];
  view(all, PAGE + 10, 2).set([7, 8]);
  t.same([...view(part, 9, 4)], [0, 7, 8, 0]);
  t.equal(memories.map(fd, PAGE, 1), -constants.errno.EINVAL);
  t.equal(memories.map(-1, PAGE, 0), -constants.errno.EBADF);
  for (const memory of [all, part]) memory.release();
});

t.test('nothing is seen outside of it, or when it is released', async (t) => {
  const memory = mapped(file(t, PAGE), PAGE);
  for (const [at, length] of [
    [-1, 1],
    [0, PAGE + 1],
    [PAGE, 1],
    [0, 0],
  ] as const) {
    t.throws(() => memory.at(at, length), RangeError);
  }
  const last = view(memory, PAGE - 1, 1);
  last[0] = 5;
  memory.release();
  t.throws(() => memory.at(0, 1), RangeError);
  t.equal(last[0], 0, 'a view that is left reads zeros');
  last[0] = 6;
  memory.release();
});

t.test('memory of more than an ArrayBuffer can have is seen in windows', async (t) => {
  const size = 6 * GIB;
  const memory = mapped(file(t, size), size);
  const edges = [0, GIB - 1, 2 * GIB - 1, 4 * GIB - 2, 5 * GIB, size - 4];
  for (const [index, at] of edges.entries()) view(memory, at, 4).fill(index + 1);
  for (const [index, at] of edges.entries()) {
    const piece = view(memory, at, 4);
    t.same([...piece], Array(4).fill(index + 1));
  }
  t.equal(view(memory, 4 * GIB - 1, GIB).length, GIB, 'whole, over the end of a window');
  t.throws(() => memory.at(0, GIB + 1), RangeError);
  memory.release();
});

t.test('whole pages are given back', async (t) => {
  const fd = file(t, 4 * PAGE);
  const memory = mapped(fd, 4 * PAGE);
  view(memory, 0, 4 * PAGE).fill(1);
  const blocks = fstatSync(fd).blocks;
  t.equal(memory.discard(1, 3 * PAGE), 2 * PAGE);
  t.equal(fstatSync(fd).blocks, blocks / 2);
  t.equal(memory.discard(1, PAGE), 0);
  t.equal(memory.discard(3 * PAGE, 2 * PAGE), 0);
  t.same(
    [0, 1, 2, 3].map((page) => view(memory, page * PAGE, 1)[0]),
    [1, 0, 0, 1],
  );
  memory.release();
  t.equal(memory.discard(0, PAGE), 0);
});

t.test('a file is kept from being made shorter, where that can be', async (t) => {
  const open = file(t, PAGE, MFD_ALLOW_SEALING);
  t.equal(memories.seal(open), true);
  t.equal(libc.ftruncate(open, 0), -constants.errno.EPERM);
  t.equal(memories.seal(file(t, PAGE)), false, 'no seals allowed');
  const sealed = file(t, PAGE, MFD_ALLOW_SEALING);
  libc.fcntl(sealed, F_ADD_SEALS, F_SEAL_SEAL);
  t.equal(memories.seal(sealed), false);
});
