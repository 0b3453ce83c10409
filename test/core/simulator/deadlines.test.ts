import fc from 'fast-check';
import t from 'tap';
import { Deadlines } from '../../../src/core/simulator/deadlines.js';

t.test('deadlines run by time, and by the order of scheduling', async (t) => {
  const deadlines = new Deadlines();
  const ran: string[] = [];
  for (const [atMs, name] of [
    [5, 'c'],
    [3, 'a'],
    [5, 'd'],
    [3, 'b'],
  ] as const) {
    deadlines.schedule(atMs, () => ran.push(name));
  }
  t.equal(deadlines.next(), 3);
  deadlines.expire(4);
  t.same(ran, ['a', 'b']);
  t.equal(deadlines.next(), 5);
  t.equal(deadlines.size, 2);
  deadlines.expire(5);
  t.same(ran, ['a', 'b', 'c', 'd']);
  t.equal(deadlines.next(), undefined);
  t.equal(deadlines.size, 0);
});

t.test('a cancelled deadline does not run, and is not next', async (t) => {
  const deadlines = new Deadlines();
  const first = deadlines.schedule(1, () => t.fail('it was cancelled'));
  let ran = false;
  const second = deadlines.schedule(2, () => {
    ran = true;
  });
  first.cancel();
  first.cancel();
  t.equal(deadlines.size, 1);
  t.equal(deadlines.next(), 2);
  deadlines.expire(10);
  t.ok(ran);
  second.cancel();
  t.equal(deadlines.size, 0, 'cancelling what has run is nothing');
});

t.test(
  'what becomes due meanwhile runs as well, what is cancelled meanwhile does not',
  async (t) => {
    const deadlines = new Deadlines();
    const ran: string[] = [];
    const never = deadlines.schedule(3, () => ran.push('never'));
    deadlines.schedule(1, () => {
      ran.push('first');
      never.cancel();
      deadlines.schedule(2, () => ran.push('due'));
      deadlines.schedule(99, () => ran.push('later'));
    });
    deadlines.expire(3);
    t.same(ran, ['first', 'due']);
    t.equal(deadlines.next(), 99);
  },
);

t.test('a thousand deadlines in any order, some cancelled, run in theirs', async () => {
  const entry = fc.record({ atMs: fc.integer({ min: 0, max: 50 }), cancelled: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 1000 }),
      fc.integer({ min: 0, max: 60 }),
      (all, now) => {
        const deadlines = new Deadlines();
        const ran: number[] = [];
        const handles = all.map(({ atMs }, n) => deadlines.schedule(atMs, () => ran.push(n)));
        all.forEach(({ cancelled }, n) => {
          if (cancelled) handles[n]?.cancel();
        });
        deadlines.expire(now);
        const expected = all
          .map(({ atMs, cancelled }, n) => ({ atMs, cancelled, n }))
          .filter(({ atMs, cancelled }) => atMs <= now && !cancelled)
          .sort((a, b) => a.atMs - b.atMs || a.n - b.n)
          .map(({ n }) => n);
        const left = all.filter(({ atMs, cancelled }) => atMs > now && !cancelled).length;
        return ran.join() === expected.join() && deadlines.size === left;
      },
    ),
  );
});
