/** The C library's calls: results, errors and memory, against the real system. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { loadLibc } from '../../../src/core/native/libc.js';

const [O_RDONLY, O_RDWR] = [0, 2];
const libc = await loadLibc();
const directory = mkdtempSync(join(tmpdir(), 'vmmctl-native-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

const errno = (code: keyof typeof constants.errno) => -constants.errno[code];

t.test('a call that fails gives its negated errno', async (t) => {
  t.equal(libc.open('/nowhere/at/all', O_RDONLY, 0), errno('ENOENT'));
  t.equal(libc.read(-1, new Uint8Array(1)), errno('EBADF'));
  t.equal(libc.close(-1), errno('EBADF'));
  const file = libc.open('/dev/null', O_RDWR, 0);
  t.equal(libc.ioctl(file, 0x5413, new Uint8Array(8)), errno('ENOTTY'), 'TIOCGWINSZ');
  t.equal(libc.listen(file, 1), errno('ENOTSOCK'));
  t.equal(libc.close(file), 0);
});

t.test(
  'errno is that of the call, whatever came before and whatever memory is collected',
  async (t) => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    let wrong = 0;
    for (let round = 0; round < 2000; round++) {
      if (libc.open('/nowhere', O_RDONLY, 0) !== errno('ENOENT')) wrong++;
      const file = libc.open('/dev/zero', O_RDONLY, 0);
      if (libc.read(file, new Uint8Array(16)) !== 16) wrong++;
      if (libc.close(file) !== 0) wrong++;
      if (libc.close(file) !== errno('EBADF')) wrong++;
      if (round % 500 === 0) collect();
    }
    t.equal(wrong, 0);
  },
);

t.test('reads and writes move bytes of any part of a buffer', async (t) => {
  const path = join(directory, 'file');
  writeFileSync(path, '');
  const file = libc.open(path, O_RDWR, 0);
  const whole = new TextEncoder().encode('0123456789');
  t.equal(libc.write(file, whole.subarray(2, 6)), 4);
  t.equal(readFileSync(path, 'utf8'), '2345');
  libc.close(file);

  const again = libc.open(path, O_RDONLY, 0);
  const into = new Uint8Array(10).fill(1);
  t.equal(libc.read(again, into.subarray(3, 5)), 2);
  t.same([...into], [1, 1, 1, 0x32, 0x33, 1, 1, 1, 1, 1]);
  t.equal(libc.read(again, into), 2);
  t.equal(libc.read(again, into), 0, 'the end');
  libc.close(again);
});

t.test('a mapping is the memory of the file', async (t) => {
  const path = join(directory, 'mapped');
  writeFileSync(path, new Uint8Array(8192));
  const file = libc.open(path, O_RDWR, 0);
  const [PROT_READ_WRITE, MAP_SHARED] = [3, 1];
  const options = { length: 4096, protection: PROT_READ_WRITE, flags: MAP_SHARED, offset: 4096 };
  const mapping = libc.map(file, options);
  if (typeof mapping === 'number') throw new Error(`mmap = ${mapping}`);
  new Uint8Array(mapping.memory).set([1, 2, 3], 10);
  t.same([...readFileSync(path).subarray(4106, 4109)], [1, 2, 3]);
  t.equal(mapping.unmap(), 0);
  t.equal(libc.map(file, { ...options, offset: 1 }), errno('EINVAL'), 'an offset within a page');
  t.equal(libc.map(-1, options), errno('EBADF'));
  libc.close(file);
});

t.test('ioctl takes memory, which it fills in, or a number', async (t) => {
  const path = join(directory, 'ioctl');
  writeFileSync(path, 'abc');
  const file = libc.open(path, O_RDONLY, 0);
  const left = new Int32Array(1);
  t.equal(libc.ioctl(file, 0x541b, new Uint8Array(left.buffer)), 0, 'FIONREAD');
  t.equal(left[0], 3);
  t.equal(libc.ioctl(file, 0x5451, 0), 0, 'FIOCLEX');
  libc.close(file);
});

t.test('an extended attribute that is not there', async (t) => {
  t.equal(libc.getxattr(directory, 'user.vmmctl', new Uint8Array(8)), errno('ENODATA'));
});
