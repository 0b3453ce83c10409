/**
 * The events that the driver keeps for programs: one word for the whole device, and those who wait for a bit of it.
 * Follows vbg_ioctl_wait_for_events() in vboxguest_core.c.
 */
import type { ErrorCode } from '../../../abi/errno.js';
import {
  VMMDEV_EVENT,
  VMMDEV_EVENT_VALID_EVENT_MASK,
  VMMDEV_GUEST_SUPPORTS,
} from '../../../abi/vmmdev.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';

const { VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST, VMMDEV_EVENT_SEAMLESS_MODE_CHANGE_REQUEST } =
  VMMDEV_EVENT;
const { VMMDEV_GUEST_SUPPORTS_GRAPHICS, VMMDEV_GUEST_SUPPORTS_SEAMLESS } = VMMDEV_GUEST_SUPPORTS;

/** In acquire mode an event belongs to whoever holds its capability. */
const HELD_EVENTS = [
  { capability: VMMDEV_GUEST_SUPPORTS_GRAPHICS, event: VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST },
  { capability: VMMDEV_GUEST_SUPPORTS_SEAMLESS, event: VMMDEV_EVENT_SEAMLESS_MODE_CHANGE_REQUEST },
] as const;

/** What a wait needs to know of the session that it belongs to. */
export interface EventSession {
  readonly acquiredCaps: number;
  readonly cancelWaiters: boolean;
}

interface Wait {
  readonly session: EventSession;
  readonly mask: number;
  end(outcome: number | ErrorCode): void;
}

/** msecs_to_jiffies() takes what is negative as an int for no limit at all. */
export function waitsForever(timeoutMs: number): boolean {
  return timeoutMs > 0x7fffffff;
}

export class Events {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #waits = new Map<Wait, Deadline | undefined>();
  #pending = 0;
  /** Capabilities that are in acquire mode. */
  acquireMode = 0;

  constructor(clock: Clock, deadlines: Deadlines) {
    this.#clock = clock;
    this.#deadlines = deadlines;
  }

  /** Events that came and that nobody has taken. */
  get pending(): number {
    return this.#pending;
  }

  /** Adds events, and wakes all who wait. */
  post(events: number): void {
    this.#pending = (this.#pending | events) >>> 0;
    this.wake();
  }

  /** Lets everybody look again; the first who wants an event takes it. */
  wake(): void {
    for (const wait of [...this.#waits.keys()]) {
      if (!this.#waits.has(wait)) continue;
      const outcome = this.#outcome(wait);
      if (outcome !== undefined) this.#end(wait, outcome);
    }
  }

  /**
   * Waits until an event of the mask is there, and takes it. `end` is called once, with the events or the error (EINTR,
   * ETIMEDOUT), perhaps before this returns. Gives what a signal does.
   */
  wait(
    session: EventSession,
    mask: number,
    timeoutMs: number,
    end: (outcome: number | ErrorCode) => void,
  ): () => void {
    const wait: Wait = { session, mask, end };
    const outcome = this.#outcome(wait) ?? (timeoutMs === 0 ? 'ETIMEDOUT' : undefined);
    if (outcome !== undefined) {
      end(outcome);
      return () => undefined;
    }
    const expire = () => this.#end(wait, 'ETIMEDOUT');
    const deadline = waitsForever(timeoutMs)
      ? undefined
      : this.#deadlines.schedule(this.#clock.monotonicMs() + timeoutMs, expire);
    this.#waits.set(wait, deadline);
    return () => this.#end(wait, 'EINTR');
  }

  /** Forgets all who wait, without a word. */
  abandon(): void {
    for (const deadline of this.#waits.values()) deadline?.cancel();
    this.#waits.clear();
  }

  /** How a wait ends now, if it does; events are taken then. */
  #outcome({ session, mask }: Wait): number | ErrorCode | undefined {
    if (session.cancelWaiters) return 'EINTR';
    const events = (this.#pending & mask & this.#allowed(session)) >>> 0;
    this.#pending = (this.#pending & ~events) >>> 0;
    return events === 0 ? undefined : events;
  }

  #allowed({ acquiredCaps }: EventSession): number {
    const hidden = HELD_EVENTS.filter(
      ({ capability }) => (this.acquireMode & capability & ~acquiredCaps) !== 0,
    );
    return hidden.reduce((mask, { event }) => mask & ~event, VMMDEV_EVENT_VALID_EVENT_MASK);
  }

  #end(wait: Wait, outcome: number | ErrorCode): void {
    if (!this.#waits.has(wait)) return;
    this.#waits.get(wait)?.cancel();
    this.#waits.delete(wait);
    wait.end(outcome);
  }
}
