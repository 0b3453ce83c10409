/** One end of a relay, opened: where its bytes come from and go to, and how it ends. */
import type { ChildProcessByStdio } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { Socket as NetSocket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { isatty } from 'node:tty';
import type { VsockStream } from '../backend/port.js';
import { FileSink, FileSource, type Sink, type Source, StreamSink, StreamSource } from './bytes.js';

export interface End {
  readonly source: Source;
  readonly sink: Sink;
  /** Resolves when it takes no more bytes, so that nothing need be read for it. */
  readonly hungUp?: Promise<void>;
  /** Settles when it is over; rejects when it did not end well. */
  readonly ended?: Promise<void>;
  /** Lets go of it at once. */
  destroy(): void;
}

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

export interface Stdio {
  readonly stdin: Readable;
  readonly stdinFd: number;
  readonly stdoutFd: number;
}

/** The process's own stdin and stdout. Pipes are written without blocking, which Node's own stdout would do. */
export function stdioEnd(stdin: () => Readable): End {
  const input = inputOf(0, stdin);
  const output = outputOf(1);
  return {
    source: input.source,
    sink: guarded(output.sink),
    destroy: () => {
      input.destroy();
      output.destroy();
    },
  };
}

function inputOf(fd: number, stdin: () => Readable): { source: Source; destroy(): void } {
  if (isClosed(fd)) return { source: NOTHING, destroy: () => undefined };
  if (isSynchronous(fd)) return { source: new FileSource(fd), destroy: () => undefined };
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
  if (isatty(fd)) return { sink: new StreamSink(process.stdout), destroy: () => undefined };
  const stream = new NetSocket({ fd, readable: false, writable: true });
  return { sink: new StreamSink(stream), destroy: () => stream.destroy() };
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
export function fileEnd(path: string, mode: 'read' | 'write'): End {
  const fd = openSync(path, mode === 'read' ? 'r' : 'w');
  return {
    source: mode === 'read' ? new FileSource(fd) : NOTHING,
    sink: mode === 'write' ? new FileSink(fd) : NOWHERE,
    destroy: () => closeSync(fd),
  };
}

export function streamEnd(stream: Duplex): End {
  return {
    source: new StreamSource(stream),
    sink: new StreamSink(stream),
    destroy: () => stream.destroy(),
  };
}

export function vsockEnd({ duplex, hungUp, ended }: VsockStream): End {
  return { ...streamEnd(duplex), hungUp, ended };
}

/** A process, by its stdin and stdout. One that ends without reading all of its input is no failure. */
export function childEnd(child: ChildProcessByStdio<Writable, Readable, null>): End {
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  child.stdin.on('error', () => undefined);
  const input = new StreamSink(child.stdin);
  return {
    source: new StreamSource(child.stdout),
    sink: {
      write(piece) {
        if (child.stdin.destroyed) return undefined;
        return input.write(piece)?.catch(() => undefined);
      },
      end: () => input.end().catch(() => undefined),
    },
    hungUp: exited,
    destroy: () => {
      child.stdin.destroy();
      child.stdout.destroy();
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    },
  };
}
