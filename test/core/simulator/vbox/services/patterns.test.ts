/** Patterns of property names, against a matcher that is slow and plainly right. */
import fc from 'fast-check';
import t from 'tap';
import { Patterns } from '../../../../../src/core/simulator/vbox/services/patterns.js';

const encoder = new TextEncoder();

/** What RTStrSimplePatternMatch says in words: after a `*`, each `*` and `?` that follows is skipped. */
function naive(pattern: readonly number[], name: readonly number[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name.length === 0;
  if (first === 0x2a) {
    const next = rest.findIndex((byte) => byte !== 0x2a && byte !== 0x3f);
    const tail = next < 0 ? [] : rest.slice(next);
    if (tail.length === 0) return true;
    return Array.from({ length: name.length + 1 }, (_, at) => name.slice(at)).some((end) =>
      naive(tail, end),
    );
  }
  return name.length > 0 && (first === 0x3f || first === name[0]) && naive(rest, name.slice(1));
}

function naiveList(text: string, name: string): boolean {
  if (text === '') return true;
  const data = [...encoder.encode(name)];
  return text.split('|').some((pattern) => naive([...encoder.encode(pattern)], data));
}

const CASES: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
  ['', 'anything', true],
  ['abc', 'abc', true],
  ['abc', 'abcd', false],
  ['abc', 'ABC', false],
  ['*', 'anything', true],
  ['a*', 'a', true],
  ['a*c', 'abbbc', true],
  ['a*c', 'abbbd', false],
  ['?', 'a', true],
  ['?', '', false],
  ['a?c', 'abc', true],
  ['a?c', 'ac', false],
  ['*?', '', true],
  ['a*?', 'a', true],
  ['a*??b', 'ab', true],
  ['a?*', 'a', false],
  ['?*', 'a', true],
  ['a|b', 'b', true],
  ['a|b', 'a|b', false],
  ['a||b', 'b', true],
  ['|', 'a', false],
  ['?', 'é', false],
  ['??', 'é', true],
];

t.test('patterns match as RTStrSimplePatternMultiMatch does', async (t) => {
  for (const [pattern, name, expected] of CASES) {
    t.equal(new Patterns(pattern).matches(name), expected, `'${pattern}' and '${name}'`);
    t.equal(naiveList(pattern, name), expected, `the naive matcher agrees on '${pattern}'`);
  }
});

t.test('a NUL stands between patterns as | does', async (t) => {
  const patterns = new Patterns(encoder.encode('a\0b*'));
  t.ok(patterns.matches('a'));
  t.ok(patterns.matches('bcd'));
  t.notOk(patterns.matches('c'));
});

t.test('any patterns match any name as the naive matcher says, `*?` included', async (t) => {
  const letters = (...more: string[]) =>
    fc.string({ unit: fc.constantFrom('a', 'b', 'é', ...more), maxLength: 8 });
  fc.assert(
    fc.property(letters('*', '*', '?', '?', '|'), letters(), (pattern, name) => {
      return new Patterns(pattern).matches(name) === naiveList(pattern, name);
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test('a pattern with many * costs no more than its length for each byte', async (t) => {
  const started = process.hrtime.bigint();
  const pattern = new Patterns('*a'.repeat(500));
  for (let i = 0; i < 256; i++) t.notOk(pattern.matches('a'.repeat(62) + 'b'.repeat(i % 2)));
  t.ok(process.hrtime.bigint() - started < 5_000_000_000n, 'it took no exponential time');
});
