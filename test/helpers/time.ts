/** Time as tests let it pass. */
import type { VirtualClock } from '../../src/core/simulator/clock.js';
import type { Deadlines } from '../../src/core/simulator/deadlines.js';

/** Lets time pass, from one deadline to the next, and what is due at each happen. */
export function pass(clock: VirtualClock, deadlines: Deadlines, ms: number): void {
  const endMs = clock.monotonicMs() + ms;
  for (;;) {
    const atMs = deadlines.next();
    if (atMs === undefined || atMs > endMs) break;
    clock.advance(Math.max(0, atMs - clock.monotonicMs()));
    deadlines.expire(clock.monotonicMs());
  }
  clock.advance(endMs - clock.monotonicMs());
}
