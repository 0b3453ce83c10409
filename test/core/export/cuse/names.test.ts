import t from 'tap';
import { checkNodeName, isNodeName } from '../../../../src/core/export/cuse/names.js';

t.test('names of nodes', async (t) => {
  const good = [
    'vboxguest',
    'vmm/web1',
    'vmm/a/b.c',
    'vmm/_x-1',
    'vmm/1:2@3',
    `vmm/${'a'.repeat(229)}`,
  ];
  for (const name of good) t.ok(isNodeName(name), name);
  const bad = ['', '/', 'vmm/', '/vmm', 'a//b', '.', '..', '../null', 'vmm/../null', 'vmm/.x'];
  const hostile = ['a!b', 'a b', 'a\nSUBSYSTEM=x', 'a\0b', 'é', '-a', `vmm/${'a'.repeat(230)}`];
  for (const name of [...bad, ...hostile]) t.notOk(isNodeName(name), JSON.stringify(name));
  t.throws(() => checkNodeName('a!b'), { code: 'EINVAL', path: '/dev/a!b' });
});
