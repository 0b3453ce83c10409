import t from 'tap';
import { SeededRng } from '../../../src/core/simulator/rng.js';

const numbers = (seed: number, bound: number, count: number) => {
  const rng = new SeededRng(seed);
  return Array.from({ length: count }, () => rng.below(bound));
};

t.test('a seed gives the same numbers everywhere', async (t) => {
  t.same(numbers(1, 1000, 5), numbers(1, 1000, 5));
  t.same(numbers(1, 1000, 5), numbers(2 ** 32 + 1, 1000, 5), 'of which 32 bits count');
  t.notSame(numbers(1, 1000, 5), numbers(2, 1000, 5));
  t.matchOnly(numbers(42, 100, 4), [60, 44, 85, 66]);
});

t.test('numbers are whole, below their bound, and reach both ends of it', async (t) => {
  const seen = new Set(numbers(7, 10, 1000));
  t.same(
    [...seen].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  t.same(new Set(numbers(7, 1, 50)), new Set([0]));
  t.ok(numbers(7, 2 ** 32, 100).every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 32));
});

t.test('a bound that is none is refused', async (t) => {
  const rng = new SeededRng(1);
  for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
    t.throws(() => rng.below(bound), RangeError);
  }
});

t.test('a chance is as likely as it says', async (t) => {
  const rng = new SeededRng(1);
  const hits = Array.from({ length: 10_000 }, () => rng.chance(0.3)).filter(Boolean).length;
  t.ok(hits > 2800 && hits < 3200, `${hits} of 10000`);
  t.notOk(rng.chance(0));
  t.ok(rng.chance(1));
});
