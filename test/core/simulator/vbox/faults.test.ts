/** Faults: which there are, what they take, and how long they are on. */
import t from 'tap';
import { VirtualClock } from '../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../src/core/simulator/deadlines.js';
import { FAULTS, FaultSet } from '../../../../src/core/simulator/vbox/faults.js';

class FaultLab {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  readonly log: [kind: string, value: number | undefined][] = [];
  readonly faults = new FaultSet({
    clock: this.clock,
    deadlines: this.deadlines,
    apply: (kind, value) => this.log.push([kind, value]),
  });

  advance(ms: number): void {
    this.clock.advance(ms);
    this.deadlines.expire(this.clock.monotonicMs());
  }
}

t.test('the kinds of faults, each with one line', async (t) => {
  t.same(
    FAULTS.map(({ kind, value }) => `${kind} ${value}`),
    [
      'heartbeat-stop none',
      'balloon-refuse none',
      'balloon-lag ms',
      'agent-stop none',
      'agent-refuse none',
      'agent-lag ms',
      'vsock-stall none',
      'vsock-reset none',
      'drop-packets share',
    ],
  );
  for (const { summary } of FAULTS) t.match(summary, /^\S.{10,60}$/);
});

t.test('what happens once is not on afterwards', async (t) => {
  const lab = new FaultLab();
  lab.faults.set('vsock-reset', undefined, 10);
  t.same(lab.faults.active(), []);
  lab.advance(20);
  t.same(lab.log, [['vsock-reset', 0]]);
});

t.test('faults begin again when what they act on is new', async (t) => {
  const lab = new FaultLab();
  lab.faults.set('drop-packets', 0.25);
  lab.faults.set('vsock-stall', undefined, 10);
  lab.log.length = 0;
  lab.faults.renew();
  t.same(
    lab.log,
    [
      ['vsock-stall', 0],
      ['drop-packets', 0.25],
    ].toReversed(),
  );
  lab.advance(10);
  t.same(lab.faults.active(), ['drop-packets']);
});

t.test('a fault stays until it is cleared', async (t) => {
  const lab = new FaultLab();
  lab.faults.set('agent-stop');
  lab.faults.set('balloon-lag', 20);
  lab.advance(1e9);
  t.same(lab.faults.active(), ['balloon-lag', 'agent-stop'], 'in the order of the table');
  lab.faults.clear('agent-stop');
  t.same(lab.faults.active(), ['balloon-lag']);
  lab.faults.clear('agent-stop');
  t.same(lab.log, [
    ['agent-stop', 0],
    ['balloon-lag', 20],
    ['agent-stop', undefined],
  ]);
});

t.test('a fault with a time ends by itself', async (t) => {
  const lab = new FaultLab();
  lab.faults.set('agent-lag', 5, 1000);
  lab.advance(999);
  t.same(lab.faults.active(), ['agent-lag']);
  lab.advance(1);
  t.same(lab.faults.active(), []);
  t.same(lab.log, [
    ['agent-lag', 5],
    ['agent-lag', undefined],
  ]);
});

t.test('a fault that is set again has its new value and its new time', async (t) => {
  const lab = new FaultLab();
  lab.faults.set('agent-lag', 5, 1000);
  lab.advance(900);
  lab.faults.set('agent-lag', 6, 1000);
  lab.advance(900);
  t.same(lab.faults.active(), ['agent-lag']);
  lab.faults.set('agent-lag', 7);
  lab.advance(1e9);
  t.same(lab.faults.active(), ['agent-lag'], 'and without a time none');
  t.equal(lab.deadlines.size, 0);
  t.same(
    lab.log.map(([, value]) => value),
    [5, 6, 7],
  );
});

t.test('all faults are cleared at once', async (t) => {
  const lab = new FaultLab();
  lab.faults.set('heartbeat-stop', undefined, 50);
  lab.faults.set('vsock-stall');
  lab.faults.clear();
  t.same(lab.faults.active(), []);
  t.equal(lab.deadlines.size, 0);
  t.same(lab.log.slice(2), [
    ['heartbeat-stop', undefined],
    ['vsock-stall', undefined],
  ]);
});

const WRONG: readonly (readonly [
  kind: string,
  value: number | undefined,
  forMs: number | undefined,
])[] = [
  ['nothing', undefined, undefined],
  ['toString', undefined, undefined],
  ['agent-stop', 1, undefined],
  ['agent-lag', undefined, undefined],
  ['agent-lag', -1, undefined],
  ['agent-lag', 0.5, undefined],
  ['agent-lag', Number.NaN, undefined],
  ['agent-lag', Number.POSITIVE_INFINITY, undefined],
  ['agent-lag', 86_400_001, undefined],
  ['agent-stop', undefined, 0],
  ['agent-stop', undefined, -1],
  ['agent-stop', undefined, Number.NaN],
  ['agent-stop', undefined, Number.POSITIVE_INFINITY],
];
for (const [kind, value, forMs] of WRONG) {
  t.test(`EINVAL: ${kind}, value ${value}, for ${forMs} ms`, async (t) => {
    const lab = new FaultLab();
    t.throws(() => lab.faults.set(kind, value, forMs), { code: 'EINVAL' });
    t.same(lab.log, []);
    t.same(lab.faults.active(), []);
  });
}

t.test('EINVAL: to clear an unknown kind', async (t) => {
  t.throws(() => new FaultLab().faults.clear('nothing'), { code: 'EINVAL' });
});
