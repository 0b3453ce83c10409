/** A real Linux as the guest of a VM of a test's simulated host, booted by `vmmctl boot`, and talked to over vsock. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Test } from 'tap';
import {
  type Ended,
  type Host,
  processNumber,
  type Running,
  type RunOptions,
  until,
} from '../helpers/host.js';
import { requireFile, requireTool } from '../helpers/requires.js';
import type { DebianKernel } from './debian-kernel.js';
import { initramfs } from './initramfs.js';
import { firstFiles } from './qemu.js';

/** Where the guest takes scripts for bash, one for each connection. */
const SHELL_PORT = 99;
/** How long a guest may take until it answers. */
const PATIENCE = '60s';
/** The status of a script is the end of its output. */
const STATUS = 'status of the script: ';

export interface Outcome {
  status: number;
  /** What it wrote, to both. */
  out: string;
}

export interface RealGuest {
  readonly vm: string;
  /** The command that boots it. */
  readonly command: Running;
  /** Runs a script with bash, as root of the guest, in the host's directory, and gives what it wrote. */
  run(script: string): Promise<Outcome>;
  /** The same, but it goes on; ended with the test. */
  start(script: string): Running;
  /** Ends it, in order. */
  stop(): Promise<Ended>;
}

/** Whether such guests can be booted here. When not, the test is over: return from it. */
export function requireRealGuest(t: Test): boolean {
  return (
    requireTool(t, 'linux.uml') &&
    requireTool(t, 'socat') &&
    requireTool(t, 'pkill') &&
    requireTool(t, 'cc') &&
    requireFile(t, '/usr/sbin/modprobe', 'package kmod')
  );
}

export interface BootOptions extends RunOptions {
  /** Flags of `vmmctl boot`. */
  flags?: readonly string[];
}

/** Boots a guest whose VM is there, and waits until it takes scripts. */
export async function bootGuest(
  host: Host,
  vm: string,
  { flags = ['--uml'], ...options }: BootOptions = {},
): Promise<RealGuest> {
  const init = `exec ${guestProgram(host)} shell ${SHELL_PORT}`;
  const command = host.start(['boot', vm, ...flags, '--init', init], options);
  const start = (script: string) => {
    const args = ['vsock', 'connect', vm, `${SHELL_PORT}`, '--retry', PATIENCE];
    const input = `exec 2>&1\n${script}\nstatus=$?\necho "${STATUS}$status"\n`;
    return host.start(args, { input });
  };
  const run = async (script: string) => {
    const { stdout, stderr } = await start(script).ended;
    const [out = '', status] = stdout.toString().split(STATUS);
    if (status === undefined) throw new Error(`no status of ${script}: ${out} ${stderr}`);
    return { status: Number(status), out };
  };
  const stop = () => {
    command.kill('SIGTERM');
    return command.ended;
  };
  await command.waitForOutput('listening');
  const { out } = await run('echo hello');
  if (out !== 'hello\n') throw new Error(`${vm} says ${out}`);
  return { vm, command, run, start, stop };
}

/** An initramfs that finds the host's files by 9p, and goes on to the first program that the command line names. */
export function rootInitramfs(host: Host, kernel: DebianKernel): string {
  const path = host.path('initrd');
  const busybox = (words: string) => `/bin/busybox ${words}`;
  const goOn = [
    busybox('mkdir /proc'),
    busybox('mount -t proc proc /proc'),
    `for word in $(${busybox('cat /proc/cmdline')}); do`,
    `  case $word in init=*) init=\${word#init=} ;; esac`,
    'done',
    busybox('umount /proc'),
    `exec ${busybox('switch_root /root $init')}`,
  ];
  writeFileSync(path, initramfs(firstFiles(kernel, goOn)));
  return path;
}

/** The program for the inside of a guest, compiled into the host's directory, which the guest sees. */
export function guestProgram(host: Host): string {
  const program = host.path('vsock-guest');
  if (existsSync(program)) return program;
  const source = resolve('test/lab/programs/vsock-guest.c');
  execFileSync('cc', ['-O2', '-Wall', '-Werror', '-o', program, source], { stdio: 'pipe' });
  return program;
}

/** What a process holds. */
export interface Held {
  descriptors: number;
  /** Of memory that it shares with others. */
  mappings: number;
}

export function held(pid: number): Held {
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
  return {
    descriptors: readdirSync(join('/proc', `${pid}`, 'fd')).length,
    // A guest's memory is a deleted file.
    mappings: maps.filter((line) => line.includes('(deleted)') && / rw-s /.test(line)).length,
  };
}

/** Looks that a process holds no more than before; what was closed may need a moment to be gone. */
export async function testNothingHeld(t: Test, pid: number, before: Held): Promise<void> {
  const more = () => {
    const now = held(pid);
    return {
      descriptors: Math.max(0, now.descriptors - before.descriptors),
      mappings: Math.max(0, now.mappings - before.mappings),
    };
  };
  const isGone = () => more().descriptors + more().mappings === 0;
  await until('nothing more is held', isGone).catch(() => undefined);
  t.same(more(), { descriptors: 0, mappings: 0 }, 'the simulated host holds no more than before');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The processes of all guests of this host: the kernels, and what they keep for their programs and devices. */
export function kernelProcesses(host: Host): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => {
    const words = commandLine(pid);
    return words[0]?.endsWith('linux.uml') && words.some((word) => word.includes(host.runtime));
  });
}

/** The kernel that a command booted itself. Numbers of processes begin anew, so that their order says nothing. */
export function kernelOf(host: Host, { command }: RealGuest): number {
  const [kernel, ...others] = kernelProcesses(host).filter((pid) => parentOf(pid) === command.pid);
  if (kernel === undefined || others.length > 0) throw new Error('not one kernel of that command');
  return kernel;
}

function parentOf(pid: number): number | undefined {
  try {
    return processNumber(pid, 'PPid');
  } catch {
    // It has ended.
    return undefined;
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It has ended.
    return [];
  }
}

/** Waits until the VM's guest is the simulated one. */
export function untilGone(host: Host, vm: string): Promise<void> {
  return until(`${vm} has its simulated guest`, async () => {
    const [details] = await host.json<{ state: string }[]>(['inspect', vm]);
    return details?.state === 'created';
  });
}
