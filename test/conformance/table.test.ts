import t from 'tap';
import { CASES } from './suite.js';
import { compare, DECIDED, type Decision, differences, table } from './table.js';

const decision: Decision = { name: 'a', labs: ['QEMU'], linux: 'y', why: 'for a test' };
const seen = (a: string, b: string) => [
  { name: 'a', observation: a },
  { name: 'b', observation: b },
];

t.test('what is the same is no difference', async (t) => {
  t.strictSame(differences(compare(seen('x', 'z'), seen('x', 'z')), 'QEMU', []), []);
});

t.test('what differs needs a decision, for that lab and that observation', async (t) => {
  const rows = compare(seen('x', 'z'), seen('y', 'z'));
  t.strictSame(differences(rows, 'QEMU', [decision]), []);
  t.strictSame(differences(rows, 'QEMU', []), ["a: simulator 'x', Linux 'y'"]);
  t.equal(differences(rows, 'user-mode Linux', [decision]).length, 1);
  const other = compare(seen('x', 'z'), seen('v', 'z'));
  t.strictSame(differences(other, 'QEMU', [decision]), ["a: simulator 'x', Linux 'v'"]);
});

t.test('a decision that nothing needs any more is told', async (t) => {
  const rows = compare(seen('x', 'z'), seen('x', 'z'));
  t.match(differences(rows, 'QEMU', [decision]), [/a: .*not there/]);
});

t.test('a case that only one was asked differs', async (t) => {
  const rows = compare(seen('x', 'z'), seen('x', 'z').slice(0, 1));
  t.match(differences(rows, 'QEMU', []), [/b: .*not asked/]);
});

t.test('the table shows what Linux gives where that differs', async (t) => {
  const lines = table(compare(seen('x', 'z'), seen('y', 'z')), '6.12.1').split('\n');
  t.strictSame(lines, [
    'case | simulator | Linux loopback (6.12.1) | same',
    'a    | x         | y                       | no',
    'b    | z         |                         | yes',
  ]);
});

t.test('decisions are about cases that there are', async (t) => {
  const names = new Set(CASES.map(({ name }) => name));
  t.equal(names.size, CASES.length, 'no two cases have one name');
  for (const { name } of DECIDED) t.ok(names.has(name), name);
});
