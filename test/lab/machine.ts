/** The process that is a lab's kernel, on the host's side: its console, its channel, and its certain end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

/** How long a kernel may take to switch itself off before it is killed, milliseconds. */
const POWER_OFF_MS = 5_000;
/** How much of a console is kept, characters. */
const CONSOLE_MAX = 200_000;
const CONSOLE_LINES_SHOWN = 20;

/**
 * Runs beside the kernel. When its stdin ends, because the lab is over or because the test has been killed, it ends
 * what is left of the kernel's process group and removes the lab's files.
 */
const REAPER = 'cat >/dev/null; kill -9 "-$1" 2>/dev/null; rm -rf "$2" || rm -rf "$2"';

/** The descriptor that leads from the kernel's process to the test. */
export const CHANNEL_FD = 3;

export interface Launch {
  program: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
}

/** The files of one lab, all below one directory of its own. */
export interface Places {
  readonly directory: string;
  /** What host and lab both see, by the same path. */
  readonly share: string;
}

export function makePlaces(): Places {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'vmmctl-lab-'));
  const share = join(directory, 'share');
  // A lab's unprivileged users come here as well.
  mkdirSync(share, { mode: 0o755 });
  return { directory, share };
}

export class Machine {
  /** Resolves when the process, and all that hold its output, have ended. */
  readonly ended: Promise<void>;
  readonly channel: Duplex;
  readonly pid: number;
  readonly #kernel: ChildProcess;
  readonly #reaper: ChildProcess;
  readonly #reaped: Promise<void>;
  #console = '';
  #stopped: Promise<void> | undefined;

  constructor(launch: Launch, places: Places) {
    const { program, args, env = process.env } = launch;
    this.#kernel = spawn(program, args, {
      cwd: places.directory,
      env,
      // User-mode Linux is many processes: a group of its own ends them together.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.ended = closed(this.#kernel, (error) => {
      this.#console += `${error.message}\n`;
    });
    // Nought would mean our own group.
    this.pid = this.#kernel.pid ?? Number.MAX_SAFE_INTEGER;
    this.#reaper = spawn('sh', ['-c', REAPER, 'reaper', `${this.pid}`, places.directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#reaped = closed(this.#reaper);
    this.channel = this.#kernel.stdio[CHANNEL_FD] as Duplex;
    // What is said to a kernel that is gone is lost; `ended` tells.
    this.channel.on('error', () => undefined);
    for (const output of [this.#kernel.stdout, this.#kernel.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text).slice(-CONSOLE_MAX);
      });
    }
  }

  /** What the kernel has said. */
  get console(): string {
    return this.#console.replaceAll('\r', '');
  }

  /** An error that shows the end of the console. */
  failure(sentence: string): Error {
    const all = this.console.trimEnd().split('\n');
    // The stack that a panic prints tells less than what went before.
    const panic = all.findIndex((line) => line.includes('Kernel panic'));
    const lines = all.slice(0, panic < 0 ? all.length : panic + 1).slice(-CONSOLE_LINES_SHOWN);
    return new Error(`${sentence} The end of its console:\n${lines.join('\n')}`);
  }

  /** Ends it, whatever it is doing, and removes its files. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.channel.write('off\n');
    await within(POWER_OFF_MS, this.ended);
    this.#reaper.stdin?.end();
    await this.#reaped;
    await this.ended;
  }
}

/** What a promise gives, or undefined when it takes longer. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function closed(child: ChildProcess, onError: (error: Error) => void = () => undefined) {
  return new Promise<void>((resolve) => {
    child.on('error', (error) => {
      onError(error);
      if (child.pid === undefined) resolve();
    });
    child.once('close', () => resolve());
  });
}
