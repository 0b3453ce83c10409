/**
 * Where bytes come from and where they go. Regular files are read and written synchronously in large pieces: that
 * costs a fraction of a trip through the thread pool, and they do not block. All else goes through streams.
 */
import { readSync, writeSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';

/** How much is read from a file at once, bytes. */
const FILE_CHUNK = 262144;
/** Pieces of a file after which other events get their turn. */
const PIECES_A_TURN = 16;

export interface Sink {
  /**
   * Takes a piece. A promise, when there is one, is to be waited for before the next; it also says that the
   * memory of the piece may be used again.
   */
  write(piece: Uint8Array): Promise<void> | undefined;
  /** No more comes: half of a connection is closed, a file stays as it is. */
  end(): Promise<void>;
}

export interface Source {
  /** Moves all bytes into the sink, and ends when there are no more, or at `stop`. */
  pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void>;
}

/** A file that is open for reading. */
export class FileSource implements Source {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  async pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(FILE_CHUNK);
    for (let pieces = 1; !stop.aborted; pieces++) {
      const length = readSync(this.#fd, buffer, 0, buffer.length, null);
      if (length === 0) return;
      await sink.write(buffer.subarray(0, length));
      moved(length);
      if (pieces % PIECES_A_TURN === 0) await turn();
    }
  }
}

/** A file that is open for writing. */
export class FileSink implements Sink {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(piece: Uint8Array): undefined {
    for (let at = 0; at < piece.length; ) at += writeSync(this.#fd, piece, at);
    return undefined;
  }

  async end(): Promise<void> {}
}

export class StreamSource implements Source {
  readonly #stream: Readable;

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        stream.off('data', read);
        stream.off('end', ended);
        stream.off('close', ended);
        stream.off('error', failed);
        stop.removeEventListener('abort', stopped);
        stream.pause();
        settle();
      };
      const ended = () => finish(resolve);
      const failed = (error: unknown) => finish(() => reject(error));
      const stopped = () => finish(resolve);
      const read = (piece: Uint8Array) => {
        moved(piece.length);
        try {
          const wait = sink.write(piece);
          if (wait === undefined) return;
          stream.pause();
          wait.then(() => {
            if (stream.listeners('data').includes(read)) stream.resume();
          }, failed);
        } catch (error) {
          failed(error);
        }
      };
      if (stop.aborted || stream.readableEnded || stream.destroyed) {
        resolve();
        return;
      }
      stream.on('data', read);
      stream.on('end', ended);
      stream.on('close', ended);
      stream.on('error', failed);
      stop.addEventListener('abort', stopped);
      stream.resume();
    });
  }
}

export class StreamSink implements Sink {
  readonly #stream: Writable;
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  write(piece: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    let written = false;
    let settle: { resolve(): void; reject(error: unknown): void } | undefined;
    this.#stream.write(piece, (error) => {
      written = true;
      if (error) settle?.reject(error);
      else settle?.resolve();
    });
    if (written) return undefined;
    return new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
  }

  end(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      if (this.#stream.destroyed || this.#stream.writableFinished) {
        resolve();
        return;
      }
      this.#stream.once('error', reject);
      this.#stream.end(() => resolve());
    });
  }
}
