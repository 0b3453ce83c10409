/**
 * A simulated host of a test's own, and the built command to use it with. Everything that is started is ended
 * with the test, also when that fails.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { Test } from 'tap';

/** How long a condition may take to become true, milliseconds. It only ends a test that hangs. */
const PATIENCE_MS = 60_000;
const POLL_MS = 20;
/** How much of an output is shown of a program that hangs, characters. */
const DESCRIBED = 500;

export interface Ended {
  /** Undefined when a signal ended it. */
  status: number | undefined;
  signal: string | undefined;
  stdout: Buffer;
  stderr: string;
}

export interface RunOptions {
  /** What stdin gives; nothing when left out. */
  input?: string | Uint8Array;
  /** A file as stdin. */
  from?: string;
  /** A file as stdout. */
  to?: string;
  env?: Record<string, string>;
  /** stdin stays open until it is ended. */
  openStdin?: boolean;
}

export interface Running {
  readonly pid: number;
  /** The command line, and what came from it until now: what somebody asks who sees it hang. */
  describe(): string;
  /** Only with `openStdin`. */
  readonly stdin: NodeJS.WritableStream;
  /** Only without `to`. */
  readonly stdout: NodeJS.ReadableStream;
  readonly ended: Promise<Ended>;
  /** Resolves with what a pattern found in stderr; rejects when the process ends before. */
  waitFor(pattern: string | RegExp): Promise<RegExpExecArray>;
  /** Resolves when stdout has so many bytes, or that text. */
  waitForOutput(text: string): Promise<void>;
  kill(signal?: NodeJS.Signals): void;
}

export interface Host {
  readonly directory: string;
  readonly env: Record<string, string>;
  /** The directory of a simulated host's sockets. */
  readonly runtime: string;
  path(name: string): string;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  start(args: readonly string[], options?: RunOptions): Running;
  /** A line for bash, in which `vmmctl` is the built command. */
  shell(line: string, options?: RunOptions): Running;
  /** Another program, with the host's environment. */
  program(file: string, args: readonly string[], options?: RunOptions): Running;
  /** Runs a command that must succeed, and gives its JSON. */
  json<T>(args: readonly string[]): Promise<T>;
  /** The number of the process that keeps the simulated host alive. */
  daemon(): Promise<number>;
  /** Runs a command again and again until a check of its result holds. */
  until(args: readonly string[], check: (ended: Ended) => boolean): Promise<Ended>;
}

export async function simulatedHost(t: Test): Promise<Host> {
  const directory = mkdtempSync('/tmp/ve');
  const env = environment(directory);
  const running = new Set<Running>();
  mkdirSync(join(directory, 'bin'));
  symlinkSync(resolve('bin/vmmctl.cjs'), join(directory, 'bin', 'vmmctl'));

  const program: Host['program'] = (file, args, options = {}) => {
    const process = launch(file, args, directory, { ...env, ...options.env }, options);
    running.add(process);
    process.ended.finally(() => running.delete(process)).catch(() => undefined);
    return process;
  };
  const start: Host['start'] = (args, options) => program('vmmctl', args, options);
  const host: Host = {
    directory,
    env,
    runtime: join(directory, 'r', 'vmmctl', 'default'),
    path: (name) => join(directory, name),
    start,
    program,
    run: (args, options) => start(args, options).ended,
    shell: (line, options) => program('bash', ['-o', 'pipefail', '-c', line], options),
    async json<T>(args: readonly string[]) {
      const { status, stdout, stderr } = await start([...args, '--json']).ended;
      if (status !== 0) throw new Error(`${args.join(' ')}: ${status} ${stderr}`);
      return JSON.parse(stdout.toString()) as T;
    },
    async daemon() {
      return (await host.json<{ pid: number }>(['sim', 'status'])).pid;
    },
    async until(args, check) {
      let last: Ended | undefined;
      await until(`vmmctl ${args.join(' ')}`, async () => {
        last = await start(args).ended;
        return check(last);
      });
      return last as Ended;
    },
  };
  t.teardown(async () => {
    for (const process of running) {
      if (!t.passing()) t.comment('still running:', process.describe());
      process.kill('SIGKILL');
    }
    await stopDaemons(host);
    rmSync(directory, { recursive: true, force: true });
  });
  return host;
}

/** What a process has open. */
export function openFiles(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).map((fd) => readlinkSync(join(directory, fd)));
}

/** Waits until a condition holds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`this did not come true: ${what}`);
    await new Promise((next) => setTimeout(next, POLL_MS));
  }
}

/** A number of a process from /proc/PID/status, such as VmHWM in KiB. Throws when it is gone. */
export function processNumber(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
}

/** One that has ended and that nobody has asked for its status counts as gone. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Ends a process that was started for this host, if it is still there; its number may be another's by now. */
export function killOwn(host: Host, pid: number): void {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
    if (environment.includes(host.directory)) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

export function random(length: number): Buffer {
  return randomBytes(length);
}

/** What the test's own surroundings would change is left out. */
function environment(directory: string): Record<string, string> {
  return {
    PATH: `${join(directory, 'bin')}:${process.env.PATH ?? ''}`,
    HOME: directory,
    LANG: 'C.UTF-8',
    XDG_RUNTIME_DIR: join(directory, 'r'),
    XDG_STATE_HOME: join(directory, 's'),
    XDG_CONFIG_HOME: join(directory, 'c'),
  };
}

function launch(
  file: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
  options: RunOptions,
): Running {
  const { input = '', from, to, openStdin = false } = options;
  const given = from === undefined ? undefined : openSync(from, 'r');
  const taken = to === undefined ? undefined : openSync(to, 'w');
  const child = spawn(file, args, {
    cwd,
    env,
    stdio: [given ?? 'pipe', taken ?? 'pipe', 'pipe'],
    // A group of its own, so that all of a pipeline can be ended.
    detached: true,
  });
  for (const fd of [given, taken]) if (fd !== undefined) closeSync(fd);
  const text = { stdout: '', stderr: '' };
  const parts: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    parts.push(chunk);
    if (text.stdout.length < 1_000_000) text.stdout += chunk.toString('latin1');
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    text.stderr += chunk.toString();
  });
  // A program need not read all of its input.
  child.stdin?.on('error', () => undefined);
  if (!openStdin) child.stdin?.end(input);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve({
        status: code ?? undefined,
        signal: signal ?? undefined,
        stdout: Buffer.concat(parts),
        stderr: text.stderr,
      });
    });
  });
  let over = false;
  child.once('exit', () => {
    over = true;
  });
  const find = async (name: 'stdout' | 'stderr', pattern: string | RegExp) => {
    const wanted = typeof pattern === 'string' ? new RegExp(escaped(pattern)) : pattern;
    let found: RegExpExecArray | null = null;
    await until(`${args.join(' ')} says ${pattern}`, () => {
      found = wanted.exec(text[name]);
      if (found === null && over) throw new Error(`${args.join(' ')} ended: ${text.stderr}`);
      return found !== null;
    });
    return found as unknown as RegExpExecArray;
  };
  return {
    pid: child.pid ?? 0,
    describe: () =>
      [file, ...args, text.stdout.slice(-DESCRIBED), text.stderr.slice(-DESCRIBED)].join(' '),
    stdin: child.stdin as NodeJS.WritableStream,
    stdout: child.stdout as NodeJS.ReadableStream,
    ended,
    waitFor: (pattern) => find('stderr', pattern),
    waitForOutput: async (wanted) => {
      await find('stdout', wanted);
    },
    kill: (signal = 'SIGTERM') => {
      if (child.pid === undefined || over) return;
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It ended just now.
      }
    },
  };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Ends every simulated host that was started, by its command or, when that fails, by its number. */
async function stopDaemons(host: Host): Promise<void> {
  for (const name of namesIn(join(host.directory, 's', 'vmmctl'))) {
    const backend = name === 'default' ? 'sim' : `sim:${name}`;
    const stop = host.start(['sim', 'stop', '--backend', backend, '--timeout', '15s']);
    const { status } = await stop.ended;
    if (status !== 0) killLogged(host, join(host.directory, 's', 'vmmctl', name, 'sim.log'));
  }
}

function killLogged(host: Host, log: string): void {
  const pids = [...readFileSync(log, 'utf8').matchAll(/started, process (\d+)/g)];
  const pid = pids.at(-1)?.[1];
  if (pid !== undefined) killOwn(host, Number(pid));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
