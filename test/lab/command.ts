/** One command that runs in a lab. Its output comes through files, so it is what the command wrote, byte for byte. */
import { readFileSync } from 'node:fs';
import { until } from '../helpers/host.js';

export interface Finished {
  /** 128 and its number when a signal ended it. */
  status: number;
  stdout: Buffer;
  stderr: string;
}

/** A command that has been started. It runs on until it ends, is killed, or the lab is stopped. */
export interface LabCommand {
  /** Rejects when the lab's kernel ends first. */
  readonly exited: Promise<Finished>;
  /** What it has written so far. */
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Its number inside the lab. */
  readonly pid: Promise<number>;
  /** Resolves with what a pattern found in stderr; rejects when the command ends before. */
  waitFor(pattern: string | RegExp): Promise<RegExpExecArray>;
  /** The same for stdout. */
  waitForOutput(pattern: string | RegExp): Promise<RegExpExecArray>;
  /** Sends a signal to the command and all that it started. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** The host's side of a command. The lab that owns it tells it what happened. */
export class SharedCommand implements LabCommand {
  readonly exited: Promise<Finished>;
  readonly pid: Promise<number>;
  readonly #text: string;
  readonly #files: string;
  readonly #signal: (pid: number, signal: string) => void;
  readonly #started = settable<number>();
  readonly #finished = settable<Finished>();
  #over = false;

  /** `files` is the path of its files without their last part. */
  constructor(text: string, files: string, signal: (pid: number, signal: string) => void) {
    this.#text = text;
    this.#files = files;
    this.#signal = signal;
    this.pid = this.#started.promise;
    this.exited = this.#finished.promise;
  }

  get stdout(): Buffer {
    return this.#read('stdout');
  }

  get stderr(): string {
    return this.#read('stderr').toString();
  }

  started(pid: number): void {
    this.#started.resolve(pid);
  }

  finished(status: number): void {
    this.#over = true;
    this.#finished.resolve({ status, stdout: this.stdout, stderr: this.stderr });
  }

  failed(error: Error): void {
    this.#over = true;
    this.#started.reject(error);
    this.#finished.reject(error);
  }

  waitFor(pattern: string | RegExp): Promise<RegExpExecArray> {
    return this.#find(pattern, () => this.stderr);
  }

  waitForOutput(pattern: string | RegExp): Promise<RegExpExecArray> {
    return this.#find(pattern, () => this.stdout.toString());
  }

  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const pid = await this.pid;
    if (!this.#over) this.#signal(pid, signal);
  }

  #read(name: 'stdout' | 'stderr'): Buffer {
    try {
      return readFileSync(`${this.#files}.${name}`);
    } catch {
      // It has not begun.
      return Buffer.alloc(0);
    }
  }

  async #find(pattern: string | RegExp, output: () => string): Promise<RegExpExecArray> {
    const wanted = typeof pattern === 'string' ? literal(pattern) : pattern;
    let found: RegExpExecArray | null = null;
    await until(`${this.#text} says ${pattern}`, () => {
      // In this order: what it wrote last may hold the pattern.
      const over = this.#over;
      found = wanted.exec(output());
      if (found === null && over) {
        throw new Error(`${this.#text} ended without saying ${pattern}: ${this.stderr}`);
      }
      return found !== null;
    });
    return found as unknown as RegExpExecArray;
  }
}

interface Settable<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** A promise that is settled from outside. A rejection that nobody waits for is no error. */
function settable<T>(): Settable<T> {
  let settle: Omit<Settable<T>, 'promise'> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => undefined);
  return { promise, ...(settle as unknown as Omit<Settable<T>, 'promise'>) };
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}
