/** Waits until a guest has made its balloon as large as its host wants it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { BalloonRecord } from '../backend/port/guest.js';

/** How often the balloon is looked at, milliseconds. */
const POLL_MS = 50;

/** A guest that has not moved for so long has stopped, milliseconds. It asks for no more until it is told anew. */
export const BALLOON_STALL_MS = 3000;

/** What passes the time; a test has its own. */
export interface Patience {
  /** Milliseconds, of any origin. */
  now(): number;
  /** Rejects when the signal aborts. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

const REAL: Patience = {
  now: () => performance.now(),
  sleep: async (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
};

export interface BalloonEnd {
  /** `stopped`: the guest does not move. `overtaken`: the host wants another size by now. */
  end: 'reached' | 'stopped' | 'overtaken';
  /** At the last look. */
  record: BalloonRecord;
}

/**
 * Looks until the balloon has the size `target`, in bytes, or will not get it.
 * @throws what `look` throws, and the signal's error when it aborts.
 */
export async function waitForBalloon(
  look: () => Promise<BalloonRecord>,
  target: number,
  options: {
    signal?: AbortSignal | undefined;
    /** Called with what each look has found. */
    onLook?(record: BalloonRecord): void;
    patience?: Patience;
  } = {},
): Promise<BalloonEnd> {
  const { signal, onLook, patience = REAL } = options;
  let actual: number | null | undefined;
  let movedAt = patience.now();
  for (;;) {
    const record = await look();
    onLook?.(record);
    if (record.target !== target) return { end: 'overtaken', record };
    if (record.actual === target) return { end: 'reached', record };
    if (record.actual !== actual) movedAt = patience.now();
    if (patience.now() - movedAt >= BALLOON_STALL_MS) return { end: 'stopped', record };
    actual = record.actual;
    await patience.sleep(POLL_MS, signal);
  }
}
