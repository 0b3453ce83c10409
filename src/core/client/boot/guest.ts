/** A kernel that is to be booted as the guest of a VM: what all ways to boot it have in common. */
import { SystemError } from '../../abi/errno.js';
import type { CommandLine } from './command-line.js';

export const BOOT_KINDS = ['uml', 'qemu'] as const;
export type BootKind = (typeof BOOT_KINDS)[number];

/** The least memory that a kernel gets, bytes: with less it ends without a word. */
const MIN_MEMORY = 64 * 2 ** 20;

/** All paths are absolute. */
export interface GuestPlan {
  cpus: number;
  /** Bytes. */
  memory: number;
  kernel: string;
  /** Only for QEMU. */
  initrd?: string | undefined;
  /** A directory of this guest's own. */
  directory: string;
  /** Sockets of the devices that are offered to it. */
  sockets: { vsock: string; balloon?: string | undefined };
  /** Our standard input and output are a terminal. */
  terminal: boolean;
  /** A descriptor that takes what belongs to standard error, for a program that can't use that itself in any case. */
  logFd?: number | undefined;
  /** Which of the kernel's own messages go to standard error. */
  messages: 'none' | 'important' | 'all';
}

/** What a way to boot adds to the files of the guest. */
export interface Kind {
  /** As a person calls it. */
  title: string;
  /** The device inside that is our standard input and output. */
  terminal: string;
  /** The device inside that is our standard error. */
  log: string;
  /** The line of fstab(5) that mounts the directory `share` in the guest, without what all lines have. */
  shareMount(plan: GuestPlan): { source: string; type: string; options: string };
  commandLine(plan: GuestPlan): CommandLine;
}

/** The directory that host and guest both see and write to. */
export function shareOf({ directory }: GuestPlan): string {
  return `${directory}/share`;
}

/** The first program of the guest. */
export function initOf(plan: GuestPlan): string {
  return `${shareOf(plan)}/init`;
}

/** Words of the kernel's command line. What ends it is said in any case. */
export function quietness(messages: GuestPlan['messages']): string[] {
  return messages === 'all' ? [] : ['quiet', 'loglevel=2'];
}

/**
 * What can't be booted is refused before anything is started.
 * @throws SystemError EINVAL: too little memory, or a path that the command line of a kernel can't hold.
 */
export function checkPlan(plan: GuestPlan): void {
  if (plan.memory < MIN_MEMORY) {
    throw new SystemError('EINVAL', {
      message: `a kernel needs more memory than ${plan.memory} bytes`,
      hint: `give it some for this time: --memory ${MIN_MEMORY / 2 ** 20}M or more`,
    });
  }
  const { vsock, balloon } = plan.sockets;
  for (const path of [plan.directory, vsock, balloon, plan.initrd, plan.kernel]) {
    if (path === undefined || !/[\s:,"'\\]/.test(path)) continue;
    throw new SystemError('EINVAL', {
      message: `the command line of a kernel can't hold the path ${path}`,
      hint: 'it must have no spaces, quotes, colons or commas; XDG_RUNTIME_DIR says where sockets are',
    });
  }
}
