/** What `boot` would do, from its flags, the VM and this machine. */
import { dirname, resolve } from 'node:path';
import { UsageError } from '../../cli/errors.js';
import type { Environment, Io } from '../../cli/io.js';
import type { VmDetails } from '../../core/backend/port/vm.js';
import { shellWord } from '../../core/client/boot/command-line.js';
import {
  type BootKind,
  checkPlan,
  type GuestPlan,
  type Kind,
} from '../../core/client/boot/guest.js';
import type { GuestCommand } from '../../core/client/boot/guest-files.js';
import { defaultKind, findKernel, type Kernel } from '../../core/client/boot/kernels.js';
import { type Accelerator, qemuKind } from '../../core/client/boot/qemu.js';
import { umlKind } from '../../core/client/boot/uml.js';
import { refusedValue } from '../vm-records.js';
import { exampleDirectory } from './directory.js';
import { accelerator, kernelPlaces, umlPlace } from './places.js';
import { guestEnvironment, terminalSize } from './surroundings.js';

/** The flags that say what is booted. */
export interface BootFlags {
  readonly uml: boolean;
  readonly qemu: boolean;
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly accel: Accelerator | undefined;
  readonly init: string | undefined;
  readonly memory: number | undefined;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** @throws UsageError for flags of the other way. */
export function bootWay({ uml, qemu, initrd, accel }: BootFlags, env: Environment): BootKind {
  const kind = uml ? 'uml' : qemu ? 'qemu' : defaultKind(kernelPlaces(env));
  for (const [name, value] of Object.entries({ initrd, accel })) {
    if (value !== undefined && kind === 'uml') throw new UsageError(`--${name} needs --qemu`);
  }
  return kind;
}

/** The files as they were named, from the directory that we are in. @throws SystemError where there is no kernel. */
export function bootKernel(way: BootKind, { kernel, initrd }: BootFlags, env: Environment): Kernel {
  const files = { kernel: kernel && resolve(kernel), initrd: initrd && resolve(initrd) };
  return findKernel(way, files, kernelPlaces(env));
}

export function bootKind(
  way: BootKind,
  vm: VmDetails,
  { accel, memory }: BootFlags,
  env: Environment,
): Kind {
  if (way === 'qemu') return qemuKind(accel ?? accelerator());
  return umlKind(umlPlace(env, memory ?? vm.memory ?? 0, vm.cid ?? 0));
}

/**
 * With the name that the directory has when nothing stands in its way.
 * @throws UsageError for a size that no kernel boots with.
 */
export function bootPlan(
  vm: VmDetails,
  kernel: Kernel,
  sockets: GuestPlan['sockets'],
  { memory, quiet, verbose }: BootFlags,
  { isTty }: Io,
): GuestPlan {
  const plan: GuestPlan = {
    cpus: vm.cpus ?? 1,
    memory: memory ?? vm.memory ?? 0,
    kernel: kernel.path,
    initrd: kernel.initrd,
    directory: exampleDirectory(dirname(sockets.vsock)),
    sockets,
    terminal: isTty.stdin && isTty.stdout,
    messages: quiet ? 'none' : verbose ? 'all' : 'important',
  };
  try {
    checkPlan(plan);
  } catch (error) {
    throw refusedValue(error);
  }
  return plan;
}

/** What runs in the guest, and with what. */
export function guestCommand({ name, cid }: VmDetails, { init }: BootFlags, io: Io): GuestCommand {
  const { env } = io;
  return {
    // A longer one is refused by the kernel.
    hostname: name.slice(0, 64),
    command: init ?? `exec ${shellWord(env.SHELL ?? '/bin/sh')} -i`,
    directory: process.cwd(),
    env: guestEnvironment(env, { VMMCTL_VM: name, VMMCTL_CID: String(cid ?? '') }),
    size: terminalSize(io),
  };
}
