/** Moves bytes between two ends, both ways at once, until both directions are over or one end is gone. */
import type { End } from './end.js';

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
 * for it. When one end breaks, both are let go.
 * @throws the first error of an end; AbortError's reason when the signal aborts.
 */
export async function relay(first: End, second: End, options: RelayOptions): Promise<RelayResult> {
  const result: RelayResult = { sent: 0, received: 0 };
  const stop = new AbortController();
  const aborted = () => stop.abort();
  options.signal.addEventListener('abort', aborted);
  if (options.signal.aborted) stop.abort();
  const forth = direction(first, second, stop.signal, (bytes) => {
    result.sent += bytes;
    options.onProgress?.(result.sent, result.received);
  });
  const back = direction(second, first, stop.signal, (bytes) => {
    result.received += bytes;
    options.onProgress?.(result.sent, result.received);
  });
  const parts = [forth, back, ...[first.ended, second.ended].flatMap((end) => end ?? [])];
  try {
    await Promise.race([Promise.all(parts), rejected(options.signal)]);
    return result;
  } catch (error) {
    throw await reason(error, [first.ended, second.ended]);
  } finally {
    stop.abort();
    options.signal.removeEventListener('abort', aborted);
    first.destroy();
    second.destroy();
    // What still fails because the ends were let go is no news.
    for (const part of parts) part.catch(() => undefined);
  }
}

async function direction(
  from: End,
  to: End,
  signal: AbortSignal,
  moved: (bytes: number) => void,
): Promise<void> {
  const stop = new AbortController();
  const aborted = () => stop.abort();
  signal.addEventListener('abort', aborted);
  to.hungUp?.then(aborted, aborted);
  try {
    await from.source.pump(to.sink, stop.signal, moved);
    await to.sink.end();
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

/**
 * A write to a connection that is over fails with a word about the pipe between us and the backend; how the
 * connection itself ended says more, and comes a moment later.
 */
async function reason(error: unknown, ends: readonly (Promise<void> | undefined)[]) {
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (name === 'OutputError' || (code !== 'EPIPE' && code !== 'ECONNRESET')) return error;
  for (const end of ends) {
    const better = await end?.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    if (better !== undefined) return better;
  }
  return error;
}
