/** A kernel that runs in the foreground, and its certain end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { CodeError } from '../../cli/errors.js';
import type { Io } from '../../cli/io.js';
import type { CommandLine } from '../../core/client/boot/command-line.js';

/** Where a kernel may have a socket for what belongs to standard error. */
export const LOG_FD = 3;

/** How long a kernel may take to end when it is told to, milliseconds. */
const END_MS = 2000;

/**
 * Runs beside the kernel, whose process group it is told first. A second line says that nothing of that is left: its number
 * may be another group's by then, so nobody is killed. When standard input ends without it, because we were killed, it ends
 * what is left of the kernel's processes. Then it removes the kernel's directory; a process that ends meanwhile may still
 * add a file.
 */
const REAPER =
  'read -r group; read -r over || kill -9 "-$group" 2>/dev/null; rm -rf "$1" || rm -rf "$1"';

export interface KernelEnd {
  /** Null when a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
}

export class RunningKernel {
  /** Rejects when it could not be started. */
  readonly ended: Promise<KernelEnd>;
  readonly #child: ChildProcess;
  readonly #reaper: Reaper;
  #killTimer: NodeJS.Timeout | undefined;
  #told = false;

  /** @param surroundings the directory is removed after the kernel's end. */
  constructor(line: CommandLine, { directory, io }: { directory: string; io: Io }) {
    const { program, args } = line;
    // First, so that there is never a kernel without it.
    this.#reaper = new Reaper(directory);
    this.#child = spawn(program, args, {
      env: { ...io.env, ...line.env },
      stdio: ['inherit', 'inherit', 'inherit', line.logFd === LOG_FD ? 'pipe' : 'ignore'],
      // It may be many processes: a group of their own ends them together, and keeps our signals from them.
      detached: true,
    });
    const log = this.#child.stdio[LOG_FD];
    log?.on('data', (piece) => io.stderr.write(piece));
    // It ends with the kernel, in whatever way.
    log?.on('error', () => undefined);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (status, signal) => resolve({ status, signal }));
    });
    this.#reaper.watch(this.#child.pid);
  }

  /** Tells the kernel to end, and kills it when it does not, or when it is told so again. */
  end(): void {
    if (this.#told) {
      this.#kill();
      return;
    }
    this.#told = true;
    this.#child.kill('SIGTERM');
    this.#killTimer = setTimeout(() => this.#kill(), END_MS);
  }

  /** Ends it if it still runs. Resolves when nothing is left of it. */
  async clear(): Promise<void> {
    if (!this.#hasEnded) this.end();
    await this.ended.catch(() => undefined);
    clearTimeout(this.#killTimer);
    await this.#reaper.reap();
  }

  get #hasEnded(): boolean {
    const { exitCode, signalCode, pid } = this.#child;
    return exitCode !== null || signalCode !== null || pid === undefined;
  }

  #kill(): void {
    if (this.#hasEnded || this.#child.pid === undefined) return;
    killGroup(this.#child.pid);
  }
}

/** @throws CodeError when the guest has not told how its command ended, and the kernel not ended well. */
export function statusOfGuest(told: number | undefined, { status, signal }: KernelEnd): number {
  if (told !== undefined) return told;
  // The command has switched the guest off itself.
  if (status === 0) return 0;
  const how = signal === null ? `with status ${status}` : `by ${signal}`;
  throw new CodeError(
    'EIO',
    `the kernel ended ${how} before the guest's command did`,
    'what it said is shown with --verbose; --memory gives it more memory',
  );
}

class Reaper {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #group: number | undefined;

  constructor(directory: string) {
    this.#child = spawn('sh', ['-c', REAPER, 'reaper', directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', () => resolve());
    });
    // A signal to our group that comes before it has left it ends it; then it is us who reap.
    this.#child.stdin?.on('error', () => undefined);
  }

  /** @param group undefined when there is no kernel to end. */
  watch(group: number | undefined): void {
    this.#group = group;
    // Nought would mean its own group.
    this.#child.stdin?.write(`${group ?? Number.MAX_SAFE_INTEGER}\n`);
  }

  /** Resolves when no process of the kernel is left. */
  async reap(): Promise<void> {
    if (this.#group !== undefined) killGroup(this.#group);
    this.#child.stdin?.end('over\n');
    await this.#ended;
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
