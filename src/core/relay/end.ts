/** One end of a relay, opened: where its bytes come from and go to, and how it ends. */
import type { ChildProcessByStdio } from 'node:child_process';
import { closeSync, createReadStream, createWriteStream, fstatSync, open, openSync } from 'node:fs';
import { Socket as NetSocket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import type { VsockSocket, VsockStream } from '../backend/port/vsock.js';
import {
  BUFFER_SIZE,
  BufferSource,
  type Explain,
  FileSink,
  FileSource,
  type Sink,
  type Source,
  StreamSink,
  StreamSource,
} from './bytes.js';

export interface End {
  readonly source: Source;
  readonly sink: Sink;
  /** Resolves when it takes no more bytes, so that nothing need be read for it. */
  readonly hungUp?: Promise<void>;
  /** To take no more before all was said is an error. */
  readonly takesAll?: boolean;
  /** Somebody sits before it, who has nothing to add once the other end has said all. */
  readonly interactive?: boolean;
  /** Settles when it is over; rejects when it did not end well. */
  readonly ended?: Promise<void>;
  /** Closes it in both directions, after what was written to it; `ended` settles then. */
  close?(): void;
  /** Nobody reads it any more. */
  stopReading?(): void;
  /** Lets go of it at once. */
  destroy(): void;
}

const openFile = promisify(open);

/** Nothing comes out of it. */
const NOTHING: Source = { pump: async () => undefined };
/** What is written to it is dropped. */
const NOWHERE: Sink = { write: () => undefined, end: async () => undefined };

/** An error of stdout, which a command treats unlike those of its peers. */
export class OutputError extends Error {
  readonly code: string;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause });
    this.name = 'OutputError';
    this.code = cause.code ?? 'EIO';
  }
}

export interface StdioOptions {
  /** Other connections get the same stdout afterwards, so it is never closed. */
  keepOpen?: boolean | undefined;
  /** The most that is read from a file for one message, bytes. */
  pieceSize?: number | undefined;
}

/** The process's own stdin and stdout. Pipes are written without blocking, which Node's own stdout would do. */
export function stdioEnd(stdin: () => Readable, options: StdioOptions = {}): End {
  const input = inputOf(0, stdin, options.pieceSize);
  const output = outputOf(1);
  const sink = guarded(output.sink);
  return {
    source: input.source,
    sink: options.keepOpen ? { write: sink.write, end: async () => undefined } : sink,
    interactive: isatty(0),
    destroy: () => {
      input.destroy();
      output.destroy();
    },
  };
}

function inputOf(fd: number, stdin: () => Readable, pieceSize: number | undefined) {
  if (isClosed(fd)) return { source: NOTHING, destroy: () => undefined };
  if (isSynchronous(fd)) return { source: new FileSource(fd, pieceSize), destroy: () => undefined };
  const stream = stdin();
  return {
    source: new StreamSource(stream),
    destroy: () => {
      stream.pause();
      if (stream instanceof NetSocket) stream.unref();
    },
  };
}

function outputOf(fd: number): { sink: Sink; destroy(): void } {
  if (isClosed(fd)) return { sink: NOWHERE, destroy: () => undefined };
  if (isSynchronous(fd)) return { sink: new FileSink(fd), destroy: () => undefined };
  if (isatty(fd)) {
    // A terminal stays open for what comes after.
    const { write } = bound(new StreamSink(process.stdout));
    return { sink: { write, end: async () => undefined }, destroy: () => undefined };
  }
  const stream = new NetSocket({ fd, readable: false, writable: true });
  const { write, end } = bound(new StreamSink(stream));
  const sink = { write, end: () => end().then(() => letGo(fd, stream)) };
  return { sink, destroy: () => stream.destroy() };
}

function bound(sink: Sink): Sink {
  return { write: (piece) => sink.write(piece), end: () => sink.end() };
}

/**
 * Closes stdout, so that its reader sees the end although this process goes on. Node never closes it by itself;
 * what else may be written to it goes nowhere.
 */
function letGo(fd: number, stream: NetSocket): void {
  stream.destroy();
  closeSync(fd);
  // The lowest free number is taken: the same.
  openSync('/dev/null', 'w');
}

/** Regular files and devices such as /dev/null, which never make one wait. */
function isSynchronous(fd: number): boolean {
  const status = fstatSync(fd);
  return status.isFile() || (status.isCharacterDevice() && !isatty(fd));
}

function isClosed(fd: number): boolean {
  try {
    fstatSync(fd);
    return false;
  } catch {
    return true;
  }
}

function guarded(sink: Sink): Sink {
  const rethrow = (error: unknown): never => {
    throw new OutputError(error as NodeJS.ErrnoException);
  };
  return {
    write(piece) {
      try {
        return sink.write(piece)?.catch(rethrow);
      } catch (error) {
        return rethrow(error);
      }
    },
    end: () => sink.end().catch(rethrow),
  };
}

/** A file that is read as the first end, and written (made or cut to nothing) as the second. */
export async function fileEnd(path: string, mode: 'read' | 'write'): Promise<End> {
  // Opening a fifo waits for its other side, which must not keep signals from being served.
  const fd = await openFile(path, mode === 'read' ? 'r' : 'w');
  if (!isSynchronous(fd)) return mode === 'read' ? readingEnd(fd) : writingEnd(fd);
  return {
    source: mode === 'read' ? new FileSource(fd) : NOTHING,
    sink: mode === 'write' ? new FileSink(fd) : NOWHERE,
    destroy: () => closeSync(fd),
  };
}

function readingEnd(fd: number): End {
  const stream = createReadStream('', { fd });
  return { source: new StreamSource(stream), sink: NOWHERE, destroy: () => stream.destroy() };
}

function writingEnd(fd: number): End {
  const stream = createWriteStream('', { fd });
  return { source: NOTHING, sink: new StreamSink(stream), destroy: () => stream.destroy() };
}

export function streamEnd(stream: Duplex): End {
  return {
    source: new StreamSource(stream),
    sink: new StreamSink(stream),
    destroy: () => stream.destroy(),
  };
}

/** A vsock connection. A failure of the stream that leads to it says little; how the connection ended says more. */
export async function vsockEnd(socket: VsockSocket): Promise<End> {
  const stream = await socket.stream();
  const { duplex, hungUp, ended } = stream;
  const explain = async (error: unknown): Promise<never> => {
    await ended;
    throw error;
  };
  const close = () => {
    socket.close().catch(() => undefined);
  };
  return {
    source: sourceOf(stream, explain),
    // A kernel's socket takes a large piece at once.
    sink: new StreamSink(duplex, explain, stream.read && BUFFER_SIZE),
    hungUp,
    takesAll: true,
    ended,
    close,
    destroy: () => {
      duplex.destroy();
      close();
    },
  };
}

function sourceOf(stream: VsockStream, explain: Explain): Source {
  if (stream.read === undefined) return new StreamSource(stream.duplex, explain);
  return new BufferSource((into, options) => stream.read?.(into, options) ?? Promise.resolve(0));
}

/**
 * A process, by its stdin and stdout. One that ends without reading all of its input is no failure, and one that
 * nobody listens to any more learns of it when it writes.
 */
export function childEnd(
  child: ChildProcessByStdio<Writable, Readable, null>,
  signal: AbortSignal,
): End {
  const kill = () => child.kill('SIGTERM');
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  signal.addEventListener('abort', kill);
  exited.then(() => signal.removeEventListener('abort', kill)).catch(() => undefined);
  child.stdin.on('error', () => undefined);
  const input = new StreamSink(child.stdin);
  // Node throws away what nobody waits to read when a process exits, and reading may begin later than that.
  const hold = () => undefined;
  child.stdout.on('readable', hold);
  const output = new StreamSource(child.stdout);
  return {
    source: {
      pump(sink, stop, moved) {
        child.stdout.off('readable', hold);
        return output.pump(sink, stop, moved);
      },
    },
    sink: {
      write(piece) {
        if (child.stdin.destroyed) return undefined;
        return input.write(piece)?.catch(() => undefined);
      },
      end: () => input.end().catch(() => undefined),
    },
    hungUp: exited,
    ended: exited,
    stopReading: () => child.stdout.destroy(),
    destroy: () => {
      child.stdin.destroy();
      child.stdout.destroy();
    },
  };
}
