/** Memory of several processes: found by its path, never shorter, gone with those who have it. */
import { closeSync, existsSync, ftruncateSync, openSync, readdirSync } from 'node:fs';
import t from 'tap';
import { MemoryFiles } from '../../../src/core/native/memory-file.js';
import { SharedMemories } from '../../../src/core/native/shared-memory.js';

const PAGE = 4096;

t.test('what one maps another one maps too', async (t) => {
  const file = (await MemoryFiles.load()).make(3 * PAGE);
  if (typeof file === 'number') throw new Error(`errno ${-file}`);
  t.match(file.path, /^\/proc\/\d+\/fd\/\d+$/);
  const fd = openSync(file.path, 'r+');
  const other = (await SharedMemories.load()).map(fd, 2 * PAGE, PAGE);
  if (typeof other === 'number') throw new Error(`errno ${-other}`);
  file.memory.view(PAGE, 3).set([1, 2, 3]);
  t.strictSame([...other.view(0, 3)], [1, 2, 3], 'from its offset on');
  other.view(2 * PAGE - 1, 1).set([9]);
  t.equal(file.memory.view(3 * PAGE - 1, 1)[0], 9);
  for (const size of [0, PAGE, 4 * PAGE]) {
    t.throws(
      () => ftruncateSync(fd, size),
      { code: 'EPERM' },
      `it does not become ${size} bytes long`,
    );
  }
  closeSync(fd);
  file.close();
  t.notOk(existsSync(file.path));
  t.equal(other.view(0, 1)[0], 1, 'who has it mapped keeps it');
  file.memory.release();
  other.release();
});

t.test('memory without a file has an address, and zeros', async (t) => {
  const memory = (await SharedMemories.load()).anonymous(2 * PAGE);
  if (typeof memory === 'number') throw new Error(`errno ${-memory}`);
  t.equal(memory.address(0) % BigInt(PAGE), 0n);
  t.equal(memory.length, 2 * PAGE);
  t.ok(memory.view(0, 2 * PAGE).every((byte) => byte === 0));
  t.throws(() => memory.view(PAGE, PAGE + 1), RangeError);
  memory.release();
  t.throws(() => memory.view(0, 1), RangeError);
});

t.test('what can not be made is an error number, and leaves nothing open', async (t) => {
  const files = await MemoryFiles.load();
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (const length of [0, -PAGE]) t.ok(Number(files.make(length)) < 0, `${length} bytes`);
  t.equal(descriptors(), before);
});
