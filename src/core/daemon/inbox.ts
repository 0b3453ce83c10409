/** What has come for a client that fetches it: a bounded queue with one who waits. */
import { SystemError } from '../abi/errno.js';

export class Inbox<T> {
  readonly #limit: number;
  readonly #items: { item: T; bytes: number }[] = [];
  #bytes = 0;
  #failure: SystemError | undefined;
  #awaited = false;
  #wake: (() => void) | undefined;

  /** @param limit bytes that wait, always fewer. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get empty(): boolean {
    return this.#items.length === 0;
  }

  /** False when there is no room for it, or when it is closed. */
  put(item: T, bytes: number): boolean {
    if (this.#failure !== undefined || this.#bytes + bytes >= this.#limit) return false;
    this.#bytes += bytes;
    this.#items.push({ item, bytes });
    this.#wake?.();
    return true;
  }

  /** Takes no more. What has come before can still be fetched; who waits then fails. */
  close(failure: SystemError): void {
    this.#failure ??= failure;
    this.#wake?.();
  }

  /** The oldest one, waiting for it. @throws SystemError EINTR, EBUSY when another call waits, why it was closed. */
  async next(signal: AbortSignal): Promise<T> {
    if (this.#awaited) throw new SystemError('EBUSY');
    this.#awaited = true;
    const interrupt = () => this.#wake?.();
    signal.addEventListener('abort', interrupt);
    try {
      return await this.#next(signal);
    } finally {
      signal.removeEventListener('abort', interrupt);
      this.#awaited = false;
    }
  }

  async #next(signal: AbortSignal): Promise<T> {
    for (;;) {
      if (signal.aborted) throw new SystemError('EINTR');
      const first = this.#items.shift();
      if (first !== undefined) {
        this.#bytes -= first.bytes;
        return first.item;
      }
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
