/** When a send may wait. */
import t from 'tap';
import { Patience } from '../../../../src/core/backend/device/patience.js';

const LARGE = 1 << 20;

/** How many sends may not wait until one may. */
function untilAllowed(patience: Patience): number {
  let refused = 0;
  while (!patience.allows(LARGE)) refused++;
  return refused;
}

t.test('a small piece never waits, and costs no turn of a large one', async (t) => {
  const patience = new Patience();
  t.notOk(patience.allows(1000));
  t.ok(patience.allows(LARGE));
});

t.test(
  'waiting in vain makes it rarer, and a wait that was worth it makes it usual again',
  async (t) => {
    const patience = new Patience();
    const pauses = Array.from({ length: 4 }, () => {
      patience.waited(true);
      return untilAllowed(patience);
    });
    t.strictSame(pauses, [8, 16, 32, 64]);
    patience.waited(false);
    patience.waited(true);
    t.equal(untilAllowed(patience), 8);
  },
);
