/** What this machine has to boot a guest with: programs, kernels, memory, processors. */
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  statfsSync,
} from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Environment } from '../../cli/io.js';
import type { KernelPlaces } from '../../core/client/boot/kernels.js';
import type { Accelerator } from '../../core/client/boot/qemu.js';
import type { UmlPlace } from '../../core/client/boot/uml.js';

const BOOT = '/boot';
const SHARED_MEMORY = '/dev/shm';

export function kernelPlaces(env: Environment): KernelPlaces {
  return {
    program: (name) => programPath(env, name),
    isReadable: (path) => accessible(path, constants.R_OK),
    installed: installedKernels(),
  };
}

/** Of a program in PATH. */
function programPath({ PATH = '' }: Environment, name: string): string | undefined {
  const directories = PATH.split(delimiter).filter((each) => each !== '');
  return directories
    .map((each) => join(each, name))
    .find((path) => accessible(path, constants.X_OK));
}

/** The one that runs first, since its modules are there. */
function installedKernels(): string[] {
  const own = `vmlinuz-${release()}`;
  const names = namesIn(BOOT).filter((name) => name.startsWith('vmlinuz-') && name !== own);
  return [own, ...names.sort().reverse()].map((name) => join(BOOT, name));
}

/**
 * @param memory bytes that the kernel will have.
 * @param turn which of the processors, counted on from the first when there are not as many.
 */
export function umlPlace(env: Environment, memory: number, turn: number): UmlPlace {
  return {
    memoryDirectory: hasRoom(SHARED_MEMORY, memory) ? SHARED_MEMORY : undefined,
    processor: programPath(env, 'taskset') === undefined ? undefined : processor(turn),
  };
}

/** Programs are run from it, so it must be allowed to. */
function hasRoom(directory: string, size: number): boolean {
  const mount = textOf('/proc/mounts')
    .split('\n')
    .findLast((line) => line.split(' ')[1] === directory);
  if (mount === undefined || /\bnoexec\b/.test(mount)) return false;
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize > size;
}

/** One of those that this process may run on. */
function processor(turn: number): number | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(textOf('/proc/self/status'))?.[1] ?? '';
  const allowed = list.split(',').flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 || 0 }, (_, i) => first + i);
  });
  return allowed[turn % allowed.length];
}

/** KVM where it may be used. */
export function accelerator(): Accelerator {
  try {
    closeSync(openSync('/dev/kvm', 'r+'));
    return 'kvm';
  } catch {
    return 'tcg';
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not a Linux machine.
    return '';
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function accessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
