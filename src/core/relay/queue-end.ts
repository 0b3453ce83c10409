/** A queue pair of VMCI as an end of a relay. */
import { setImmediate as turn } from 'node:timers/promises';
import { SystemError } from '../abi/errno.js';
import type { QueueStream } from '../client/vmci-queue.js';
import type { Sink, Source } from './bytes.js';
import type { End } from './end.js';

/** Pieces after which other events get their turn: what finds the queue ready never waits. */
const PIECES_A_TURN = 16;

/** The other end has to be there. */
export function queueEnd(stream: QueueStream): End {
  const stop = new AbortController();
  let settle: { resolve(): void; reject(error: unknown): void } | undefined;
  const ended = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // A relay that has ended by something else does not look at it any more.
  ended.catch(() => undefined);
  return {
    source: sourceOf(stream, {
      resolve: () => settle?.resolve(),
      reject: (e) => settle?.reject(e),
    }),
    sink: sinkOf(stream, stop.signal),
    hungUp: stream.left,
    takesAll: true,
    ended,
    destroy: () => stop.abort(),
  };
}

/** Bytes go from the queue's memory to the sink. */
function sourceOf(
  stream: QueueStream,
  fate: { resolve(): void; reject(error: unknown): void },
): Source {
  return {
    async pump(sink, stop, moved) {
      for (let pieces = 1; !stop.aborted; pieces++) {
        const piece = await stream.next({ signal: stop }).catch((error) => {
          if (!isInterruption(error)) fate.reject(error);
          return null;
        });
        if (piece === null) return;
        if (piece === undefined) {
          fate.resolve();
          return;
        }
        moved(piece.length);
        await sink.write(piece);
        stream.consumed(piece.length);
        if (pieces % PIECES_A_TURN === 0) await turn();
      }
    },
  };
}

function sinkOf(stream: QueueStream, signal: AbortSignal): Sink {
  /** A source that was stopped does not wait for what it has handed over. */
  let writing: Promise<void> | undefined;
  return {
    write(piece) {
      const done = stream.writeSome(piece);
      writing = done === piece.length ? undefined : stream.write(piece.subarray(done), { signal });
      return writing;
    },
    room: () => stream.room(),
    filled: (count) => stream.filled(count),
    async end() {
      await writing;
      // Who was interrupted has not said all, and must not tell the other end so.
      if (!signal.aborted) await stream.end({ signal });
    },
  };
}

function isInterruption(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EINTR';
}
