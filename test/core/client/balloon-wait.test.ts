import t from 'tap';
import type { BalloonRecord } from '../../../src/core/backend/port/guest.js';
import {
  BALLOON_STALL_MS,
  type Patience,
  waitForBalloon,
} from '../../../src/core/client/balloon-wait.js';

const MIB = 2 ** 20;

/** A clock that moves by sleeping, and a balloon that is as large as a function of the time says. */
function scene(actualAt: (ms: number) => number, targetAt: (ms: number) => number) {
  let now = 1000;
  let looks = 0;
  const patience: Patience = {
    now: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      now += ms;
    },
  };
  const look = async (): Promise<BalloonRecord> => {
    looks += 1;
    const sizes = { target: targetAt(now - 1000), actual: actualAt(now - 1000) };
    return { vm: 'web1', memory: 512 * MIB, ...sizes, unit: MIB, guestStats: null };
  };
  return { patience, look, passed: () => now - 1000, looks: () => looks };
}

t.test('a balloon that is there already needs one look and no time', async (t) => {
  const { look, patience, passed, looks } = scene(
    () => 64,
    () => 64,
  );
  t.match(await waitForBalloon(look, 64, { patience }), { end: 'reached', record: { actual: 64 } });
  t.same([passed(), looks()], [0, 1]);
});

t.test('inflating and deflating end when the size is there, and each look is told', async (t) => {
  for (const [from, to] of [
    [0, 100],
    [100, 0],
  ] as const) {
    const step = Math.sign(to - from);
    const { look, patience, passed } = scene(
      (ms) => from + step * Math.min(100, ms / 100),
      () => to,
    );
    const seen: (number | null)[] = [];
    const onLook = ({ actual }: BalloonRecord) => seen.push(actual);
    const { end } = await waitForBalloon(look, to, { patience, onLook });
    t.same([end, passed()], ['reached', 10_000], 'however long it takes');
    t.equal(seen[0], from);
    t.equal(seen.at(-1), to);
  }
});

t.test('a guest that does not move for three seconds has stopped', async (t) => {
  const { look, patience, passed } = scene(
    (ms) => (ms < 500 ? 0 : 180),
    () => 256,
  );
  t.match(await waitForBalloon(look, 256, { patience }), {
    end: 'stopped',
    record: { actual: 180, target: 256 },
  });
  t.equal(passed(), 500 + BALLOON_STALL_MS);
});

t.test('one that moves a little in time has not', async (t) => {
  const slow = BALLOON_STALL_MS - 50;
  const { look, patience } = scene(
    (ms) => Math.min(5, Math.floor(ms / slow)),
    () => 5,
  );
  t.match(await waitForBalloon(look, 5, { patience }), { end: 'reached' });
});

t.test('another target ends it', async (t) => {
  const { look, patience } = scene(
    () => 0,
    (ms) => (ms < 200 ? 64 : 128),
  );
  t.match(await waitForBalloon(look, 64, { patience }), {
    end: 'overtaken',
    record: { target: 128 },
  });
});

t.test('the signal ends it, and so does a look that fails', async (t) => {
  const { look, patience } = scene(
    () => 0,
    () => 64,
  );
  const reason = new Error('enough');
  const abort = new AbortController();
  const onLook = () => abort.abort(reason);
  await t.rejects(waitForBalloon(look, 64, { patience, onLook, signal: abort.signal }), reason);
  const gone = new Error('gone');
  await t.rejects(
    waitForBalloon(() => Promise.reject(gone), 64, { patience }),
    gone,
  );
});
