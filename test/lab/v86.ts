/**
 * A lab in v86: Debian's kernel for PCs of 32 bits in this process, with devices that are written in TypeScript, and
 * busybox as all its programs. Nothing of it is outside the process, so nothing is left behind.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { Test } from 'tap';
import { missing, requireFile, requireTool } from '../helpers/requires.js';
import type { Finished } from './command.js';
import { type DebianKernel, debianKernelI386, moduleFiles } from './debian-kernel.js';
import { type Entry, initramfs } from './initramfs.js';
import { within } from './machine.js';
import { FIRMWARE, V86Machine } from './v86-machine.js';

/** How long to wait for what only takes long when it fails, milliseconds. */
const BOOT_MS = 120_000;
const COMMAND_MS = 60_000;
const CONSOLE_LINES_SHOWN = 20;

const MEMORY_MIB = 128;
/** Bytes of a line that a terminal takes, the newline included. */
const LINE_MAX = 4095;

/** Parts of the kernel that take seconds here, and that nobody needs: tracing, tests of ciphers, ISA cards. */
const COMMAND_LINE = [
  ...['console=ttyS0', 'mitigations=off', 'nokaslr', 'tsc=reliable', 'panic=0'],
  ...['cryptomgr.notests', 'noisapnp'],
  'initcall_blacklist=trace_eval_init,init_kprobe_trace,tracer_init_tracefs,crypto_kdf108_init',
];

export interface V86Options {
  /** Their files, with what they need, lie in the lab's root as NAME.ko. */
  modules?: readonly string[];
  /** Further files of the lab's root. */
  files?: readonly Entry[];
  memoryMiB?: number;
  /** Puts devices into the machine before it runs. */
  attach?(machine: V86Machine): void;
}

export interface RunOptions {
  /** The call rejects then; a minute when left out. */
  timeoutMs?: number;
}

export interface V86Lab {
  /** What `uname -r` says. */
  readonly release: string;
  /** What the kernel has written to its console. */
  readonly console: string;
  /** Runs a command with busybox' shell, where stdin is empty. Commands may run beside each other. */
  run(command: string, options?: RunOptions): Promise<Finished>;
  /** The same, of a command that has to succeed; gives its output. */
  output(command: string): Promise<string>;
  /** The guest's clocks jump, as if it had run for so long. */
  skip(ms: number): void;
  /** The processor stops, and with it all that the guest does; time goes on. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the machine. It is called when the test is over. */
  close(): Promise<void>;
}

/** Whether this lab can run here. When it can't, the test is over: return from it. */
export function requireV86(t: Test): boolean {
  if (process.arch !== 'x64') {
    return missing(t, `This lab's program is built for x86, by the compiler of ${process.arch}.`);
  }
  const tools =
    requireTool(t, 'gcc') &&
    requireTool(t, 'apt-get') &&
    requireFile(t, '/usr/sbin/modprobe', 'package kmod') &&
    requireFile(t, FIRMWARE, 'package seabios');
  if (!tools) return false;
  try {
    debianKernelI386();
    return true;
  } catch (error) {
    return missing(t, `Debian's kernel for i386 can't be had: ${String(error)}`);
  }
}

/** Boots it. The test closes it when it ends, in whatever way. */
export async function bootV86(t: Test, options: V86Options = {}): Promise<V86Lab> {
  const kernel = debianKernelI386();
  const machine = await V86Machine.create({
    kernel: readFileSync(kernel.image),
    initramfs: initramfs(firstFiles(kernel, options)),
    commandLine: COMMAND_LINE.join(' '),
    memoryMiB: options.memoryMiB ?? MEMORY_MIB,
  });
  const lab = new BootedV86(machine);
  t.teardown(() => lab.close());
  options.attach?.(machine);
  await machine.run();
  await lab.ready();
  return lab;
}

interface Command {
  ended(finished: Finished): void;
  failed(error: Error): void;
}

class BootedV86 implements V86Lab {
  readonly #machine: V86Machine;
  readonly #ready: Promise<string>;
  readonly #commands = new Map<number, Command>();
  #release = '';
  #count = 0;
  #closed: Promise<void> | undefined;

  constructor(machine: V86Machine) {
    this.#machine = machine;
    this.#ready = new Promise((resolve) => {
      machine.onChannelLine((line) => {
        const [verb, subject = '', ...words] = line.split(' ');
        if (verb === 'ready') resolve(subject);
        if (verb === 'ended') this.#end(Number(subject), words);
      });
    });
  }

  get release(): string {
    return this.#release;
  }

  get console(): string {
    return this.#machine.console;
  }

  /** Resolves when it takes commands. */
  async ready(): Promise<void> {
    const release = await within(BOOT_MS, this.#ready);
    if (release === undefined) throw this.#failure(`v86 did not boot within ${BOOT_MS} ms.`);
    this.#release = release;
  }

  async run(command: string, { timeoutMs = COMMAND_MS }: RunOptions = {}): Promise<Finished> {
    this.#count += 1;
    const id = this.#count;
    const finished = new Promise<Finished>((ended, failed) => {
      this.#commands.set(id, { ended, failed });
    });
    this.#send(`${id} ${Buffer.from(command).toString('base64')}`);
    const result = await within(timeoutMs, finished);
    if (result === undefined) throw this.#failure(`${command}: no end within ${timeoutMs} ms.`);
    return result;
  }

  async output(command: string): Promise<string> {
    const { status, stdout, stderr } = await this.run(command);
    if (status !== 0) throw new Error(`${command}: status ${status}: ${stderr}`);
    return stdout.toString();
  }

  skip(ms: number): void {
    this.#machine.skip(ms);
  }

  pause(): Promise<void> {
    return this.#machine.stop();
  }

  resume(): Promise<void> {
    return this.#machine.run();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#machine.destroy();
    for (const { failed } of this.#commands.values()) failed(new Error('the lab was closed'));
    this.#commands.clear();
  }

  #send(line: string): void {
    if (line.length >= LINE_MAX) throw new RangeError(`a line of ${line.length} bytes`);
    this.#machine.sendChannel(`${line}\n`);
  }

  #end(id: number, [status, stdout = '', stderr = '']: string[]): void {
    this.#commands.get(id)?.ended({
      status: Number(status),
      stdout: Buffer.from(stdout, 'base64'),
      stderr: Buffer.from(stderr, 'base64').toString(),
    });
    this.#commands.delete(id);
  }

  #failure(sentence: string): Error {
    const lines = this.console.trimEnd().split('\n').slice(-CONSOLE_LINES_SHOWN);
    return new Error(`${sentence} The end of its console:\n${lines.join('\n')}`);
  }
}

function firstFiles(kernel: DebianKernel, options: V86Options): Entry[] {
  const modules = moduleFiles(kernel, options.modules ?? []).map((file) => ({
    path: basename(file),
    content: readFileSync(file),
  }));
  return [
    { path: 'bin' },
    { path: 'bin/busybox', content: readFileSync(kernel.busybox) },
    { path: 'init', content: readFileSync(resolve('test/lab/v86-init.sh')) },
    ...modules,
    ...(options.files ?? []),
  ];
}

/** Builds a C file of test/lab/programs for the lab, which has no C library. */
export function i386Program(name: string): Entry {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-i386-'));
  try {
    const program = join(directory, name);
    execFileSync('gcc', [
      ...['-m32', '-march=i686', '-O1', '-Wall', '-Wextra', '-Werror'],
      ...['-nostdlib', '-static', '-ffreestanding', '-fno-pie', '-no-pie', '-fno-stack-protector'],
      // The kernel's headers are the same for both; only those of the host's word size are installed.
      ...['-idirafter', '/usr/include/x86_64-linux-gnu'],
      ...['-o', program, resolve('test/lab/programs', `${name}.c`)],
    ]);
    return { path: `bin/${name}`, content: readFileSync(program) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
