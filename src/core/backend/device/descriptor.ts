/** A socket's descriptor, without waiting in the kernel: what it is told of, and the end of it. */
import { type ErrorDetails, SystemError } from '../../abi/errno.js';
import type { Libc } from '../../native/libc.js';
import type { Reactor } from '../../native/reactor.js';
import type { CallOptions } from '../port/node.js';
import { check } from './errors.js';

/** The calls and events that sockets are made of. */
export interface SocketSystem {
  libc: Libc;
  reactor: Reactor;
}

export class Descriptor {
  readonly libc: Libc;
  readonly #reactor: Reactor;
  readonly #fd: number;
  #closed = false;
  #waiting: (() => void)[] = [];
  /** Told of each event, as EPOLL* bits. */
  onEvent: ((events: number) => void) | undefined;

  /** @throws SystemError what keeps the descriptor from being watched; it is closed then. */
  constructor({ libc, reactor }: SocketSystem, fd: number) {
    this.libc = libc;
    this.#reactor = reactor;
    this.#fd = fd;
    const result = reactor.add(fd, (events) => this.#happened(events));
    if (result < 0) libc.close(fd);
    check(result, { syscall: 'epoll_ctl' });
  }

  /** @throws SystemError EBADF when it is closed. */
  get fd(): number {
    if (this.#closed) throw new SystemError('EBADF');
    return this.#fd;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Calls until the result is another one than `again`; between two calls it waits for an event. */
  async retry(
    call: (fd: number) => number,
    again: readonly number[],
    details: ErrorDetails,
    { signal }: CallOptions = {},
  ): Promise<number> {
    for (;;) {
      if (signal?.aborted) throw new SystemError('EINTR', details);
      const result = call(this.fd);
      if (!again.includes(result)) return check(result, details);
      await this.nextEvent(signal);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reactor.remove(this.#fd);
    this.libc.close(this.#fd);
    this.#wake();
  }

  /** Resolves at the next event, or when the signal aborts or the descriptor is closed. */
  nextEvent(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.push(wake);
      signal?.addEventListener('abort', wake);
    });
  }

  #happened(events: number): void {
    this.#wake();
    this.onEvent?.(events);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
