/** A lab in user-mode Linux: a kernel that is a program of the host, with the host's files as its root. */
import { readFileSync, statfsSync } from 'node:fs';
import type { Test } from 'tap';
import { requireFile, requireTool } from '../helpers/requires.js';
import { bootLab, type Kind, type Lab, type LabOptions, quoted } from './lab.js';
import { CHANNEL_FD } from './machine.js';

const MEMORY_MIB = 512;

/** Where Debian has the modules of its user-mode Linux. */
const MODULES = '/usr/lib/uml/modules';

/** Whether this lab can run here. When it can't, the test is over: return from it. */
export function requireUml(t: Test): boolean {
  return (
    requireTool(t, 'linux.uml') &&
    requireTool(t, 'taskset') &&
    requireFile(t, MODULES, 'package user-mode-linux') &&
    requireFile(t, '/usr/sbin/modprobe', 'package kmod') &&
    requireTool(t, 'ip')
  );
}

/** Boots it. The test stops it when it ends, in whatever way. */
export function bootUml(t: Test, options: LabOptions = {}): Promise<Lab> {
  return bootLab(t, uml(options), options);
}

function uml({ memoryMiB = MEMORY_MIB, args = [] }: LabOptions): Kind {
  return {
    name: 'user-mode Linux',
    channel: '/dev/ttyS1',
    modules: MODULES,
    mountShare: ({ share }) => `-t hostfs -o ${quoted(share)} none`,
    launch: ({ directory }, init) => ({
      // Its kernel and its programs are processes that take turns. On one processor that is twice as fast.
      program: 'taskset',
      args: [
        '--cpu-list',
        lastProcessor(),
        'linux.uml',
        `mem=${memoryMiB}M`,
        'root=/dev/root',
        'rootfstype=hostfs',
        'rootflags=/',
        'ro',
        `init=${init}`,
        'con=null',
        'con0=null,fd:1',
        'ssl=null',
        `ssl1=fd:${CHANNEL_FD}`,
        `uml_dir=${directory}/`,
        'umid=uml',
        ...args,
      ],
      env: { ...process.env, TMPDIR: memoryDirectory(memoryMiB) ?? directory },
    }),
  };
}

/** The place for the kernel's memory, a file that it maps to run programs from, when there is a quick one. */
function memoryDirectory(memoryMiB: number): string | undefined {
  const place = '/dev/shm';
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .findLast((line) => line.split(' ')[1] === place);
  if (mount === undefined || /\bnoexec\b/.test(mount)) return undefined;
  const { bavail, bsize } = statfsSync(place);
  return bavail * bsize > memoryMiB * 2 ** 20 ? place : undefined;
}

/** A processor that this process may run on. */
function lastProcessor(): string {
  const status = readFileSync('/proc/self/status', 'utf8');
  return /^Cpus_allowed_list:.*?(\d+)$/m.exec(status)?.[1] ?? '0';
}
