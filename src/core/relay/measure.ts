/** An end of a relay that says zeros and drops what it hears, so that a connection can be measured. */
import { setImmediate as turn } from 'node:timers/promises';
import { BUFFER_SIZE } from './bytes.js';
import type { End } from './end.js';

/** Pieces after which timers get their turn. */
const PIECES_A_TURN = 16;

/**
 * Ends its input after so many bytes, or at the signal; nothing is said at all for 0 bytes.
 * @param bytes may be Infinity.
 */
export function zerosEnd(bytes: number, enough: AbortSignal): End {
  const zeros = new Uint8Array(BUFFER_SIZE);
  return {
    source: {
      async pump(sink, stop, moved) {
        const ended = () => stop.aborted || enough.aborted;
        for (let pieces = 1, left = bytes; left > 0 && !ended(); pieces++) {
          const piece = zeros.subarray(0, Math.min(left, sink.pieceSize ?? BUFFER_SIZE));
          await sink.write(piece);
          moved(piece.length);
          left -= piece.length;
          if (pieces % PIECES_A_TURN === 0) await turn();
        }
      },
    },
    sink: { write: () => undefined, end: async () => undefined },
    destroy: () => undefined,
  };
}
