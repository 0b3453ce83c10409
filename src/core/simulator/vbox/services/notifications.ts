/** The latest changes of properties, for guests that ask what came after one that they know. */
import { GUEST_PROP_MAX_GUEST_NOTIFICATIONS } from '../../../abi/guest-prop.js';
import type { Patterns } from './patterns.js';
import type { GuestPropertyChange } from './property-store.js';

export class Notifications {
  /** Oldest first. */
  readonly #queue: GuestPropertyChange[] = [];

  add(change: GuestPropertyChange): void {
    this.#queue.push(change);
    if (this.#queue.length > GUEST_PROP_MAX_GUEST_NOTIFICATIONS) this.#queue.shift();
  }

  /** Whether a change of that time is still here, and the oldest that matches after it, or of all when it is not. */
  after(timestamp: bigint, patterns: Patterns): { known: boolean; change?: GuestPropertyChange } {
    const at = this.#queue.findLastIndex((change) => change.timestamp === timestamp);
    const change = this.#queue.slice(at + 1).find(({ name }) => patterns.matches(name));
    return change === undefined ? { known: at >= 0 } : { known: at >= 0, change };
  }
}
