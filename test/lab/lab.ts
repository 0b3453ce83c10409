/**
 * A lab is a real Linux kernel that a test boots on the host's own files, read-only, and runs commands in. This is
 * what all labs share; `uml.ts` and `qemu.ts` say how a kernel is started.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { type Finished, type LabCommand, SharedCommand } from './command.js';
import { type Launch, Machine, makePlaces, type Places, within } from './machine.js';

/** The unprivileged user of a lab, for `user`. */
export const NOBODY = 65534;

/** How long to wait for what only takes long when it fails, milliseconds. */
const BOOT_MS = 120_000;
const COMMAND_MS = 60_000;
const KILL_MS = 10_000;

/** AF_VSOCK at CID 1, and its list of sockets. What they need is loaded with them. */
const DEFAULT_MODULES = ['vsock_loopback', 'vsock_diag'];

export interface LabOptions {
  /** Loaded before the lab is given to the test, in this order, with what they need. */
  modules?: readonly string[];
  memoryMiB?: number;
  /** Further arguments of the kernel (user-mode Linux) or the emulator (QEMU). */
  args?: readonly string[];
}

export interface StartOptions {
  /** Number of the user and the group; root when left out. */
  user?: number;
}

export interface RunOptions extends StartOptions {
  /** The command is killed then, and the call rejects; a minute when left out. */
  timeoutMs?: number;
}

export interface Lab {
  /** What `uname -r` says. */
  readonly release: string;
  /** A directory that host and lab both see, by the same path, for files that they exchange. */
  readonly directory: string;
  /** What the kernel has written to its console. */
  readonly console: string;
  /** The kernel's process on the host. */
  readonly pid: number;
  /** Runs a command with bash, in the project's directory, where `vmmctl` is the built one and stdin is empty. */
  run(command: string, options?: RunOptions): Promise<Finished>;
  /** Starts a command that goes on. */
  start(command: string, options?: StartOptions): LabCommand;
  /** Loads a module with those that it needs, and rejects with what modprobe says. */
  loadModule(name: string, ...parameters: string[]): Promise<void>;
  unloadModule(name: string): Promise<void>;
  /** Ends the kernel and removes all files. It is called when the test is over. */
  stop(): Promise<void>;
}

/** How a kind of kernel is started. */
export interface Kind {
  /** For error messages. */
  name: string;
  /** What the device of the channel is called inside, a pattern of the shell. */
  channel: string;
  /** Directory that holds the modules, below the kernel's release. */
  modules: string;
  /** Arguments of mount, as shell text, without the directory. */
  mountShare(places: Places): string;
  /** `init` is the path of the first program. */
  launch(places: Places, init: string): Launch;
}

export async function bootLab(t: Test, kind: Kind, options: LabOptions): Promise<Lab> {
  const places = makePlaces();
  const init = join(places.share, 'init');
  writeFileSync(init, initScript(kind, places), { mode: 0o755 });
  const lab = new BootedLab(kind.name, new Machine(kind.launch(places, init), places), places);
  t.teardown(() => lab.stop());
  try {
    await lab.ready();
    await lab.loadModules(options.modules ?? DEFAULT_MODULES);
    return lab;
  } catch (error) {
    await lab.stop();
    throw error;
  }
}

class BootedLab implements Lab {
  readonly directory: string;
  readonly #name: string;
  readonly #machine: Machine;
  readonly #commands = new Map<number, SharedCommand>();
  readonly #ready: Promise<string>;
  #release = '';
  #count = 0;
  #over = false;

  constructor(name: string, machine: Machine, places: Places) {
    this.#name = name;
    this.#machine = machine;
    this.directory = places.share;
    this.#ready = new Promise((resolve) => {
      createInterface({ input: machine.channel }).on('line', (line) => {
        const [verb, subject = '', value] = line.trim().split(' ');
        if (verb === 'ready') resolve(subject);
        if (verb === 'started') this.#commands.get(Number(subject))?.started(Number(value));
        if (verb === 'ended') this.#forget(Number(subject))?.finished(Number(value));
      });
    });
    machine.ended.then(() => this.#abandon()).catch(() => undefined);
  }

  get release(): string {
    return this.#release;
  }

  get console(): string {
    return this.#machine.console;
  }

  get pid(): number {
    return this.#machine.pid;
  }

  /** Resolves when it takes commands. */
  async ready(): Promise<void> {
    const ended = this.#machine.ended.then(() => 'ended' as const);
    const release = await within(BOOT_MS, Promise.race([this.#ready, ended]));
    if (release === 'ended') throw this.#machine.failure(`${this.#name} ended while it booted.`);
    if (release === undefined) {
      throw this.#machine.failure(`${this.#name} did not boot within ${BOOT_MS} ms.`);
    }
    this.#release = release;
  }

  start(command: string, { user = 0 }: StartOptions = {}): LabCommand {
    this.#count += 1;
    const id = this.#count;
    const files = join(this.directory, `${id}`);
    writeFileSync(`${files}.command`, command);
    const started = new SharedCommand(command, files, (pid, signal) => {
      this.#machine.channel.write(`signal ${pid} ${signal}\n`);
    });
    this.#commands.set(id, started);
    if (this.#over) this.#abandon();
    this.#machine.channel.write(`run ${id} ${user}\n`);
    return started;
  }

  async run(command: string, options: RunOptions = {}): Promise<Finished> {
    const { timeoutMs = COMMAND_MS } = options;
    const started = this.start(command, options);
    const finished = await within(timeoutMs, started.exited);
    if (finished !== undefined) return finished;
    const killed = started.kill('SIGKILL').then(() => started.exited);
    if ((await within(KILL_MS, killed)) === undefined) {
      throw this.#machine.failure(`${this.#name} does not answer, after ${command}.`);
    }
    throw new Error(`${command}: killed after ${timeoutMs} ms. ${started.stderr}`);
  }

  /** All in one, since each program that is run takes a while. */
  async loadModules(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#modprobe('-a', ...names);
  }

  loadModule(name: string, ...parameters: string[]): Promise<void> {
    return this.#modprobe(name, ...parameters);
  }

  unloadModule(name: string): Promise<void> {
    return this.#modprobe('-r', name);
  }

  stop(): Promise<void> {
    return this.#machine.stop();
  }

  async #modprobe(...args: string[]): Promise<void> {
    // Without the configuration of the host, which may forbid modules.
    const command = ['modprobe -C /dev/null -d /run/lab/root', ...args.map(quoted)].join(' ');
    const { status, stderr } = await this.run(command);
    if (status !== 0) throw new Error(`${this.#name}: modprobe ${args.join(' ')}: ${stderr}`);
  }

  #forget(id: number): SharedCommand | undefined {
    const command = this.#commands.get(id);
    this.#commands.delete(id);
    return command;
  }

  #abandon(): void {
    this.#over = true;
    const error = this.#machine.failure(`${this.#name} ended while a command ran.`);
    for (const command of this.#commands.values()) command.failed(error);
    this.#commands.clear();
  }
}

/** `init.sh` with the values that it reads. */
function initScript(kind: Kind, places: Places): string {
  const values = {
    LAB_SHARE: places.share,
    LAB_MOUNT: kind.mountShare(places),
    LAB_PROJECT: process.cwd(),
    LAB_CHANNEL: kind.channel,
    LAB_MODULES: kind.modules,
    LAB_PATH: process.env.PATH ?? '',
  };
  const lines = Object.entries(values).map(([name, value]) => `${name}=${quoted(value)}\n`);
  return `#!/bin/bash\n${lines.join('')}${readFileSync(resolve('test/lab/init.sh'), 'utf8')}`;
}

/** A word of the shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
