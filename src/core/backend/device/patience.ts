/**
 * When a send may wait in the kernel for room. There the peer's reading wakes it at once, without a way through the event
 * loop for each part of a large piece. But while it waits nothing else happens in this process, so the wait is
 * bounded, and a peer that is slow, or that waits for us to read, is waited for less and less often.
 */

/** The most that one send waits, milliseconds. */
export const LONGEST_WAIT_MS = 20;
/** Smaller pieces never wait, bytes: there is no way to be saved. */
const LEAST_PIECE = 1 << 17;
/** Sends that don't wait after the first one that waited in vain, and the most that may become of it. */
const FIRST_PENALTY = 8;
const LAST_PENALTY = 1 << 16;

export class Patience {
  #penalty = FIRST_PENALTY;
  /** Sends that are not to wait. */
  #left = 0;

  /** Whether a send of so many bytes may wait. Asked once for each send. */
  allows(bytes: number): boolean {
    if (bytes < LEAST_PIECE) return false;
    if (this.#left === 0) return true;
    this.#left -= 1;
    return false;
  }

  /** A send that waited has ended; in vain, when there was not room for all of it. */
  waited(inVain: boolean): void {
    if (inVain) {
      this.#left = this.#penalty;
      this.#penalty = Math.min(2 * this.#penalty, LAST_PENALTY);
    } else this.#penalty = FIRST_PENALTY;
  }
}
