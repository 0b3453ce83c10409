/** Which kernel a guest gets, by what there is on this machine. */
import { SystemError } from '../../abi/errno.js';
import type { BootKind } from './guest.js';
import { QEMU_PROGRAM } from './qemu.js';

/** User-mode Linux as Debian has it. */
const UML_PROGRAM = 'linux.uml';

/** What is asked of a machine to find kernels in it. */
export interface KernelPlaces {
  /** The path of a program in PATH, if there is one. */
  program(name: string): string | undefined;
  isReadable(path: string): boolean;
  /** Directory and names of the kernels of the machine itself, newest first. */
  installed: readonly string[];
}

export interface Kernel {
  path: string;
  initrd: string | undefined;
  /** A directory with modules, below the kernel's release; undefined where none is known. */
  modules: string | undefined;
}

export interface KernelRequest {
  /** Absolute. */
  kernel?: string | undefined;
  initrd?: string | undefined;
}

/** The way to boot when nobody has said one. @throws SystemError EOPNOTSUPP where there is none. */
export function defaultKind(places: KernelPlaces): BootKind {
  if (places.program(UML_PROGRAM) !== undefined) return 'uml';
  if (places.program(QEMU_PROGRAM) !== undefined) return 'qemu';
  throw new SystemError('EOPNOTSUPP', {
    message: 'neither user-mode Linux nor QEMU is installed',
    hint: 'as root: apt install user-mode-linux',
  });
}

/** @throws SystemError EOPNOTSUPP where there is no kernel, ENOENT for a file that can't be read. */
export function findKernel(kind: BootKind, request: KernelRequest, places: KernelPlaces): Kernel {
  for (const path of [request.kernel, request.initrd]) {
    if (path === undefined || places.isReadable(path)) continue;
    throw new SystemError('ENOENT', { path, message: `${path} is not there, or can't be read` });
  }
  return kind === 'uml' ? umlKernel(request, places) : qemuKernel(request, places);
}

function umlKernel({ kernel }: KernelRequest, places: KernelPlaces): Kernel {
  const path = kernel ?? places.program(UML_PROGRAM);
  if (path === undefined) {
    throw new SystemError('EOPNOTSUPP', {
      message: 'user-mode Linux is not installed',
      hint: 'as root: apt install user-mode-linux; or name one with --kernel',
    });
  }
  return { path, initrd: undefined, modules: modulesOf(path, ['/usr/lib/uml/modules'], places) };
}

function qemuKernel({ kernel, initrd }: KernelRequest, places: KernelPlaces): Kernel {
  if (places.program(QEMU_PROGRAM) === undefined) {
    throw new SystemError('EOPNOTSUPP', {
      message: `${QEMU_PROGRAM} is not installed`,
      hint: 'as root: apt install qemu-system-x86',
    });
  }
  const path = kernel ?? places.installed.find((each) => places.isReadable(each));
  if (path === undefined) {
    throw new SystemError('EOPNOTSUPP', {
      message: 'there is no kernel that may be read, as /boot/vmlinuz-*',
      hint: 'name one with --kernel, and its initramfs with --initrd',
    });
  }
  return { path, initrd: initrd ?? initrdOf(path, places), modules: modulesOf(path, [], places) };
}

/** The initramfs that a distribution puts beside its kernel. */
function initrdOf(kernel: string, places: KernelPlaces): string | undefined {
  const path = kernel.replace(/vmlinuz-([^/]+)$/, 'initrd.img-$1');
  return path !== kernel && places.isReadable(path) ? path : undefined;
}

/** Beside the kernel, as a package has both, or where the system keeps them. */
function modulesOf(
  kernel: string,
  usual: readonly string[],
  places: KernelPlaces,
): string | undefined {
  const beside = kernel.replace(/\/boot\/[^/]+$/, '/lib/modules');
  const candidates = [...(beside === kernel ? [] : [beside]), ...usual, '/lib/modules'];
  return candidates.find((path) => places.isReadable(path));
}
