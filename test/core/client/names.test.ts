import t from 'tap';
import { nameProblem } from '../../../src/core/client/names.js';

t.test('ordinary names pass', async (t) => {
  for (const name of ['web1', 'a', '1a', 'a.b', 'jail/web1', 'Host', 'é', 'x'.repeat(229), '...']) {
    t.equal(nameProblem(name), undefined, name);
  }
});

t.test('names that the kernel can not hold, or that mean something else, do not', async (t) => {
  const refused = [
    '',
    'x'.repeat(230),
    'é'.repeat(115),
    'a b',
    'a\tb',
    'a"b',
    'a\u0000b',
    'a\u009bb',
  ];
  const paths = ['.', '..', 'a/../b', './a', '/a', 'a/', 'a//b'];
  const words = [
    '12',
    'host',
    'local',
    'any',
    '-',
    '-x',
    'a:b',
    'unix',
    'vsock-listen',
    'exec',
    'file',
  ];
  for (const name of [...refused, ...paths, ...words]) t.type(nameProblem(name), 'string', name);
});
