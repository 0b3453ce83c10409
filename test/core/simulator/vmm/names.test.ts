import t from 'tap';
import {
  checkNameLength,
  DevfsPaths,
  devfsPath,
  memsegPath,
  takeName,
  vmPath,
} from '../../../../src/core/simulator/vmm/names.js';
import { codeOf } from '../../../helpers/vmm.js';

const FULL = new Uint8Array(230).fill(0x61);

t.test('a name without a terminator loses its last byte in what landed', async (t) => {
  const { name, field } = takeName(FULL, 'landed');
  t.equal(name, 'a'.repeat(229));
  t.equal(field[229], 0, 'as the caller gets it back');
  t.equal(FULL[229], 0x61, 'the bytes that were given are not changed');
});

t.test('a name without a terminator is EINVAL in the draft', async (t) => {
  t.equal(
    codeOf(() => takeName(FULL, 'draft')),
    'EINVAL',
  );
  const longest = FULL.slice();
  longest[229] = 0;
  t.equal(takeName(longest, 'draft').name.length, 229);
});

t.test('a name ends at its first zero', async (t) => {
  t.equal(takeName(Uint8Array.of(0x61, 0, 0x62, 0), 'landed').name, 'a');
});

t.test('white space and quotes are EINVAL, wherever they are', async (t) => {
  for (const bad of [' ', '\t', '\n', '\v', '\f', '\r', '"']) {
    t.equal(
      codeOf(() => vmPath(`${bad}a`)),
      'EINVAL',
    );
    t.equal(
      codeOf(() => vmPath(`a${bad}b`)),
      'EINVAL',
    );
    t.equal(
      codeOf(() => vmPath(`a${bad}`)),
      'EINVAL',
    );
  }
});

t.test('other bytes are taken as they are', async (t) => {
  for (const name of ['\x01', "it's", '\\', '*', '\u00a0', '\u00e9', 'A', '...', '.a', '-']) {
    t.equal(vmPath(name), `vmm/${name}`);
  }
});

t.test('an empty name is EINVAL, and so is a slash at the end', async (t) => {
  for (const name of ['', '/', '//', 'a/', 'a//']) {
    t.equal(
      codeOf(() => vmPath(name)),
      'EINVAL',
      name,
    );
  }
});

t.test('a component . or .. is EINVAL', async (t) => {
  for (const name of ['.', '..', './a', 'a/.', 'a/../b', '/..']) {
    t.equal(
      codeOf(() => vmPath(name)),
      'EINVAL',
      name,
    );
  }
});

t.test('repeated slashes are one', async (t) => {
  t.equal(vmPath('a//b'), 'vmm/a/b');
  t.equal(vmPath('/x'), 'vmm/x');
  t.equal(devfsPath('//vmm//x'), 'vmm/x');
});

t.test('a path of more than 255 bytes is ENAMETOOLONG', async (t) => {
  t.equal(devfsPath('x'.repeat(255)).length, 255);
  t.equal(
    codeOf(() => devfsPath('x'.repeat(256))),
    'ENAMETOOLONG',
  );
  t.equal(
    codeOf(() => devfsPath('\u00e9'.repeat(128))),
    'ENAMETOOLONG',
    'bytes, not characters',
  );
  t.equal(memsegPath('v'.repeat(229), 's'.repeat(15)).length, 252, 'the longest names fit');
});

t.test('a name of more than 229 bytes is EINVAL', async (t) => {
  t.equal(
    codeOf(() => checkNameLength('x'.repeat(229))),
    'ok',
  );
  t.equal(
    codeOf(() => checkNameLength('x'.repeat(230))),
    'EINVAL',
  );
  t.equal(
    codeOf(() => checkNameLength('\u00e9'.repeat(115))),
    'EINVAL',
    'bytes, not characters',
  );
});

t.test('a path that is taken is EEXIST, and free again when it is removed', async (t) => {
  const paths = new DevfsPaths();
  paths.add('vmm/a');
  t.equal(
    codeOf(() => paths.add('vmm/a')),
    'EEXIST',
  );
  paths.remove('vmm/a');
  t.equal(
    codeOf(() => paths.add('vmm/a')),
    'ok',
  );
  t.equal(paths.size, 1);
});

t.test('a node and a directory of the same path are EEXIST, either way round', async (t) => {
  const paths = new DevfsPaths();
  paths.add('vmm/a/b');
  t.equal(
    codeOf(() => paths.add('vmm/a')),
    'EEXIST',
  );
  t.equal(
    codeOf(() => paths.add('vmm')),
    'EEXIST',
  );
  t.equal(
    codeOf(() => paths.add('vmm/a/b/c')),
    'EEXIST',
  );
  t.equal(
    codeOf(() => paths.add('vmm/a/c')),
    'ok',
  );
  t.equal(
    codeOf(() => paths.add('vmm/ab')),
    'ok',
  );
  paths.remove('vmm/a/b');
  t.equal(
    codeOf(() => paths.add('vmm/a')),
    'EEXIST',
    'another node is still in the directory',
  );
  paths.remove('vmm/a/c');
  t.equal(
    codeOf(() => paths.add('vmm/a')),
    'ok',
  );
});

t.test('removing what is not there changes nothing', async (t) => {
  const paths = new DevfsPaths();
  paths.add('vmm/a/b');
  paths.remove('vmm/a');
  t.equal(
    codeOf(() => paths.add('vmm/a')),
    'EEXIST',
  );
});
