import t from 'tap';
import { VirtualClock } from '../../../src/core/simulator/clock.js';

t.test('a virtual clock moves when it is told to, and not back', async (t) => {
  const clock = new VirtualClock();
  t.equal(clock.monotonicMs(), 0);
  t.equal(clock.wallMs(), Date.UTC(2026, 0, 1));
  clock.advance(1500);
  clock.advance(0);
  t.equal(clock.monotonicMs(), 1500);
  t.equal(clock.wallMs(), Date.UTC(2026, 0, 1) + 1500);
  t.throws(() => clock.advance(-1), RangeError);
  t.equal(clock.monotonicMs(), 1500);
});

t.test('its wall clock begins where it is set', async (t) => {
  const clock = new VirtualClock(1000);
  clock.advance(1);
  t.equal(clock.wallMs(), 1001);
});
