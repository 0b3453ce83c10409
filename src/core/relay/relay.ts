/** Moves bytes between two ends, both ways at once, until both directions are over or one end is gone. */
import { SystemError } from '../abi/errno.js';
import { type End, OutputError } from './end.js';

export interface RelayOptions {
  signal: AbortSignal;
  /** Told of each piece: bytes from the first end to the second, and back. */
  onProgress?: ((sent: number, received: number) => void) | undefined;
}

export interface RelayResult {
  /** Bytes from the first end to the second. */
  sent: number;
  received: number;
}

/**
 * Each end of input is passed on as a half-close. An end that takes no more (its peer is gone) ends the reading
 * for it, and when it has also said all, the other one is closed as well. When one end breaks, what it had said
 * before still arrives, then both are let go.
 * @throws the first error of an end; EPIPE when one takes no more and the other had more for it; the signal's
 *   reason when it aborts.
 */
export async function relay(first: End, second: End, options: RelayOptions): Promise<RelayResult> {
  const result: RelayResult = { sent: 0, received: 0 };
  const stop = new AbortController();
  const stopForth = new AbortController();
  const tell = () => options.onProgress?.(result.sent, result.received);
  const forth = direction(first, second, AbortSignal.any([stop.signal, stopForth.signal]), (n) => {
    result.sent += n;
    tell();
  });
  const back = direction(second, first, stop.signal, (n) => {
    result.received += n;
    tell();
  });
  if (first.interactive) back.done.then(() => stopForth.abort()).catch(() => undefined);
  closeAfter(first, forth, second);
  closeAfter(second, back, first);
  const parts = [
    patient(forth, back, second),
    patient(back, forth, first),
    fate(first, forth),
    fate(second, back),
  ];
  const interruption = new Interruption(options.signal);
  try {
    await Promise.race([Promise.all(parts), interruption.promise]);
    return result;
  } finally {
    interruption.forget();
    stop.abort();
    first.destroy();
    second.destroy();
    // What still fails because the ends were let go is no news.
    for (const part of parts) part.catch(() => undefined);
  }
}

interface Direction {
  /** All bytes have arrived. */
  readonly delivered: Promise<void>;
  /** The end of them was passed on, too. */
  readonly done: Promise<void>;
}

function direction(
  from: End,
  to: End,
  stop: AbortSignal,
  moved: (bytes: number) => void,
): Direction {
  const delivered = deliver(from, to, stop, moved);
  return { delivered, done: delivered.then(() => to.sink.end()) };
}

async function deliver(
  from: End,
  to: End,
  stop: AbortSignal,
  moved: (bytes: number) => void,
): Promise<void> {
  const halt = new AbortController();
  const stopped = () => halt.abort();
  let gone = false;
  const hangUp = () => {
    gone = true;
    halt.abort();
  };
  stop.addEventListener('abort', stopped);
  if (stop.aborted) halt.abort();
  to.hungUp?.then(hangUp, hangUp);
  try {
    await from.source.pump(to.sink, halt.signal, moved);
    if (gone && !stop.aborted) await leave(from, to);
  } finally {
    stop.removeEventListener('abort', stopped);
  }
}

/** Stops reading `from`, since nobody takes it any more. @throws SystemError EPIPE when that loses bytes. */
async function leave(from: End, to: End): Promise<void> {
  const lost = to.takesAll && (await from.source.hasMore?.());
  from.stopReading?.();
  if (lost) {
    throw new SystemError('EPIPE', { message: 'the peer closed before it had taken all bytes' });
  }
}

/** An end that has said all and takes no more is gone; nothing is left to do for the other one. */
function closeAfter(end: End, out: Direction, other: End): void {
  if (end.hungUp === undefined || other.close === undefined) return;
  Promise.all([out.done, end.hungUp]).then(
    () => other.close?.(),
    () => undefined,
  );
}

/**
 * One direction; when its reader is gone, what that had said before is waited for. How the reader ended says more
 * than the pipe that broke with it.
 */
async function patient(way: Direction, opposite: Direction, reader: End): Promise<void> {
  try {
    await way.done;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'EPIPE' && !(error instanceof OutputError)) {
      await opposite.delivered.catch(() => undefined);
      await Promise.race([reader.ended, Promise.resolve()]);
    }
    throw error;
  }
}

/** How an end ends; when it breaks, what it had said before is waited for. */
async function fate(end: End, out: Direction): Promise<void> {
  try {
    await end.ended;
  } catch (error) {
    await out.delivered.catch(() => undefined);
    throw error;
  }
}

/** Rejects when a signal aborts. It outlives many relays, so each takes its listener away again. */
class Interruption {
  readonly promise: Promise<never>;
  readonly #signal: AbortSignal;
  #reject: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.promise = new Promise((_, reject) => {
      this.#reject = () => reject(signal.reason);
    });
    signal.addEventListener('abort', this.#reject);
    if (signal.aborted) this.#reject();
  }

  forget(): void {
    this.#signal.removeEventListener('abort', this.#reject);
  }
}
