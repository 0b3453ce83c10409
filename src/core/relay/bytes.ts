/**
 * Where bytes come from and where they go. Regular files are read and written synchronously in large pieces: that
 * costs a fraction of a trip through the thread pool, and they do not block. All else goes through streams.
 */
import { readSync, writeSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';

/** How much is read from a file at once, bytes. */
const FILE_CHUNK = 262144;
/** How much is read from a source that fills our memory, bytes. */
export const BUFFER_SIZE = 1 << 20;
/** Pieces of a file after which other events get their turn. */
const PIECES_A_TURN = 16;
/** How long a writer that has not said that it is finished may pause and still count as having more, milliseconds. */
const PATIENCE_MS = 100;

export interface Sink {
  /** How much it is best given at once, bytes; the source's own when left out. */
  readonly pieceSize?: number | undefined;
  /**
   * Takes a piece. A promise, when there is one, is to be waited for before the next; it also says that the
   * memory of the piece may be used again.
   */
  write(piece: Uint8Array): Promise<void> | undefined;
  /**
   * Its own memory for the next bytes, so that a source that reads at once need not have any; undefined when there is no
   * room now. What has been put there is told by `filled`.
   */
  room?(): Uint8Array | undefined;
  filled?(count: number): void;
  /**
   * No more comes: half of a connection is closed, a file stays as it is. The last piece has been taken, unless the
   * source was stopped.
   */
  end(): Promise<void>;
}

export interface Source {
  /** Moves all bytes into the sink, and ends when there are no more, or at `stop`. */
  pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void>;
  /** Whether bytes were left when the pump was stopped; absent where that does not matter. */
  hasMore?(): Promise<boolean>;
}

/** Makes of an error of a stream what is told of it; it always throws. */
export type Explain = (error: unknown) => Promise<never>;

/** A file that is open for reading. */
export class FileSource implements Source {
  readonly #fd: number;
  readonly #pieceSize: number | undefined;

  /** @param pieceSize the most that is read at once, bytes; what the sink likes when left out. */
  constructor(fd: number, pieceSize?: number) {
    this.#fd = fd;
    this.#pieceSize = pieceSize;
  }

  async pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(this.#pieceSize ?? sink.pieceSize ?? FILE_CHUNK);
    for (let pieces = 1; !stop.aborted; pieces++) {
      const room = sink.room?.();
      const into = room ?? buffer;
      const length = readSync(this.#fd, into, 0, Math.min(into.length, buffer.length), null);
      if (length === 0) return;
      if (room === undefined) await sink.write(buffer.subarray(0, length));
      else sink.filled?.(length);
      moved(length);
      if (pieces % PIECES_A_TURN === 0) await turn();
    }
  }

  async hasMore(): Promise<boolean> {
    return readSync(this.#fd, Buffer.alloc(1), 0, 1, null) > 0;
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

/** Reads into the given memory: how many bytes came, or 0 at the end and when the signal aborts. */
export type ReadInto = (into: Uint8Array, options: { signal: AbortSignal }) => Promise<number>;

/** A source that needs no new memory for each piece. */
export class BufferSource implements Source {
  readonly #read: ReadInto;

  constructor(read: ReadInto) {
    this.#read = read;
  }

  async pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
    for (let pieces = 1; !stop.aborted; pieces++) {
      const length = await this.#read(buffer, { signal: stop });
      if (length === 0) return;
      moved(length);
      await sink.write(buffer.subarray(0, length));
      if (pieces % PIECES_A_TURN === 0) await turn();
    }
  }

  async hasMore(): Promise<boolean> {
    return (await this.#read(new Uint8Array(1), { signal: AbortSignal.timeout(PATIENCE_MS) })) > 0;
  }
}

export class StreamSource implements Source {
  readonly #stream: Readable;
  readonly #explain: Explain | undefined;

  constructor(stream: Readable, explain?: Explain) {
    this.#stream = stream;
    this.#explain = explain;
  }

  pump(sink: Sink, stop: AbortSignal, moved: (bytes: number) => void): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve, reject) => {
      /** The piece that the sink is at. */
      let writing: Promise<void> | undefined;
      let over = false;
      const finish = (settle: () => void) => {
        if (over) return;
        over = true;
        stream.off('data', read);
        stream.off('end', ended);
        stream.off('close', ended);
        stream.off('error', broken);
        stop.removeEventListener('abort', stopped);
        stream.pause();
        settle();
      };
      const failed = (error: unknown) => finish(() => reject(error));
      const afterWriting = (settle: () => void) => {
        if (writing === undefined) finish(settle);
        else writing.then(() => finish(settle), failed);
      };
      const stopped = () => finish(resolve);
      const ended = () => afterWriting(resolve);
      const broken = (error: unknown) => {
        afterWriting(() => {
          (this.#explain?.(error) ?? Promise.reject(error)).then(resolve, reject);
        });
      };
      const read = (piece: Uint8Array) => {
        moved(piece.length);
        try {
          writing = sink.write(piece);
          if (writing === undefined) return;
          stream.pause();
          writing.then(() => {
            writing = undefined;
            if (!over) stream.resume();
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
      stream.on('error', broken);
      stop.addEventListener('abort', stopped);
      stream.resume();
    });
  }

  /** A pipe may be empty for a moment although its writer has more to say. */
  hasMore(): Promise<boolean> {
    const stream = this.#stream;
    if (stream.readableLength > 0) return Promise.resolve(true);
    if (stream.readableEnded || stream.destroyed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const finish = (more: boolean) => {
        clearTimeout(timer);
        stream.off('data', found);
        stream.off('end', none);
        stream.off('close', none);
        stream.off('error', none);
        stream.pause();
        resolve(more);
      };
      const found = () => finish(true);
      const none = () => finish(false);
      const timer = setTimeout(none, PATIENCE_MS);
      stream.on('data', found);
      stream.on('end', none);
      stream.on('close', none);
      stream.on('error', none);
      stream.resume();
    });
  }
}

export class StreamSink implements Sink {
  readonly pieceSize: number | undefined;
  readonly #stream: Writable;
  readonly #explain: Explain | undefined;
  #failure: Error | undefined;

  constructor(stream: Writable, explain?: Explain, pieceSize?: number) {
    this.#stream = stream;
    this.#explain = explain;
    this.pieceSize = pieceSize;
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  write(piece: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) return this.#fail(this.#failure);
    let settle: { resolve(): void; reject(error: unknown): void } | undefined;
    this.#stream.write(piece, (error) => {
      if (error) settle?.reject(error);
      else settle?.resolve();
    });
    // Mostly the kernel takes it at once; then there is nothing to wait for, and the source need not pause.
    if (this.#stream.writableLength === 0) return undefined;
    const done = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    return this.#explain === undefined ? done : done.catch((error) => this.#fail(error));
  }

  async end(): Promise<void> {
    if (this.#failure !== undefined) return this.#fail(this.#failure);
    const stream = this.#stream;
    if (stream.destroyed || stream.writableFinished) return;
    try {
      await new Promise<void>((resolve, reject) => {
        stream.once('error', reject);
        stream.end(() => resolve());
      });
    } catch (error) {
      await this.#fail(error);
    }
  }

  #fail(error: unknown): Promise<never> {
    return this.#explain?.(error) ?? Promise.reject(error);
  }
}
