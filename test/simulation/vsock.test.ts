import t from 'tap';
import { optionsFor } from './options.js';
import { simulate } from './vsock.js';

const SEEDS = 200;

t.test(`${SEEDS} seeded networks keep every promise`, async (t) => {
  let connections = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      connections += simulate(seed).connections;
    } catch (error) {
      t.fail(error instanceof Error ? error.message : String(error));
    }
  }
  t.ok(connections > SEEDS, 'and have something to keep them for');
});

t.test('a seed always runs the same way', async (t) => {
  for (const seed of [3, 69, 1696]) t.same(simulate(seed), simulate(seed));
});

t.test('the options of a seed can be changed', async (t) => {
  const options = optionsFor(5);
  t.same(optionsFor(5), options);
  const still = { connections: 3, policy: 'siblings', profile: 'linux-6.12' } as const;
  t.equal(simulate(5, { ...still, guests: 2 }).connections, 3);
});

t.test('a failure tells its seed, its options and how to see it again', async (t) => {
  const broken = { connections: 1, guests: -1, resetPermille: Number.NaN, maxStepMs: -2 };
  t.throws(() => simulate(7, broken), {
    message: /^seed 7: [^\n]+\nreplay: npm run simulate -- --seed 7\noptions: \{.*"guests":-1/,
  });
});
