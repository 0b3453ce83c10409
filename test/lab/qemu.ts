/**
 * A lab in QEMU: one of Debian's stock kernels on an emulated PC, with the host's files as its root, by 9p. It has
 * what user-mode Linux lacks: vhost, VMCI, vsockmon, and a balloon that QMP sets.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Test } from 'tap';
import { missing, requireFile, requireTool } from '../helpers/requires.js';
import {
  type DebianKernel,
  debianKernel,
  type KernelSeries,
  moduleFiles,
} from './debian-kernel.js';
import { type Entry, initramfs } from './initramfs.js';
import { bootLab, type Kind, type Lab, type LabOptions } from './lab.js';
import { CHANNEL_FD, type Places } from './machine.js';
import { qmp } from './qmp.js';

const MEMORY_MIB = 512;
const DEFAULT_SERIES = '6.12';

/** What the kernel needs to see the host's files and to be talked to; all else is loaded from there. */
const ROOT_MODULES = ['virtio_pci', 'virtio_console', '9p', '9pnet_virtio'];
const NINE_P = 'trans=virtio,version=9p2000.L,msize=512000';

export interface QemuOptions extends LabOptions {
  /** 6.12 when left out. */
  kernel?: KernelSeries;
  /** One when left out: emulated processors share the time of one anyway when tests run beside each other. */
  cpus?: number;
}

export interface QemuLab extends Lab {
  /** Tells QEMU something, as its QMP reference has it: `qmp('balloon', { value: bytes })`. */
  qmp(command: string, args?: Record<string, unknown>): Promise<unknown>;
}

/** Whether this lab can run here. When it can't, the test is over: return from it. */
export function requireQemu(t: Test, series: KernelSeries = DEFAULT_SERIES): boolean {
  if (process.arch !== 'x64') {
    return missing(
      t,
      `This lab runs programs of x86-64; those of this machine are ${process.arch}.`,
    );
  }
  const tools =
    requireTool(t, 'qemu-system-x86_64') &&
    requireTool(t, 'apt-get') &&
    requireTool(t, 'xz') &&
    requireFile(t, '/usr/sbin/modprobe', 'package kmod') &&
    requireTool(t, 'ip');
  if (!tools) return false;
  try {
    debianKernel(series);
    return true;
  } catch (error) {
    return missing(t, `Debian's kernel ${series} can't be had: ${String(error)}`);
  }
}

/** Boots it. The test stops it when it ends, in whatever way. */
export async function bootQemu(t: Test, options: QemuOptions = {}): Promise<QemuLab> {
  const kernel = debianKernel(options.kernel ?? DEFAULT_SERIES);
  const lab = await bootLab(t, qemu(kernel, options), options);
  const socket = join(dirname(lab.directory), 'qmp');
  return Object.assign(lab, {
    qmp: (command: string, args?: Record<string, unknown>) => qmp(socket, command, args),
  });
}

function qemu(kernel: DebianKernel, options: QemuOptions): Kind {
  return {
    name: 'QEMU',
    // The number of the device depends on the others that there are.
    channel: '/dev/vport*p1',
    modules: kernel.modules,
    // What the host changes is seen at once.
    mountShare: () => `-t 9p -o ${NINE_P},cache=none share`,
    launch: (places, init) => {
      const initrd = join(places.directory, 'initrd');
      const first = firstFiles(kernel, [`exec /bin/busybox switch_root /root ${init}`]);
      writeFileSync(initrd, initramfs(first));
      return {
        program: 'qemu-system-x86_64',
        args: [
          ...machine(options),
          ...boot(kernel, initrd),
          ...devices(places),
          ...(options.args ?? []),
        ],
      };
    },
  };
}

function machine({ memoryMiB = MEMORY_MIB, cpus = 1 }: QemuOptions): string[] {
  return [
    ...['-accel', 'tcg', '-m', `${memoryMiB}`, '-smp', `${cpus}`],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-nic', 'none'],
  ];
}

function boot(kernel: DebianKernel, initrd: string): string[] {
  const words = ['console=ttyS0', 'quiet', 'panic=-1', 'mitigations=off'];
  return ['-kernel', kernel.image, '-initrd', initrd, '-append', words.join(' ')];
}

function devices({ directory, share }: Places): string[] {
  const files = 'local,security_model=none';
  return [
    ...['-serial', 'stdio'],
    ...['-fsdev', `${files},id=root,path=/,readonly=on,multidevs=remap`],
    ...['-device', 'virtio-9p-pci,fsdev=root,mount_tag=root'],
    ...['-fsdev', `${files},id=share,path=${share}`],
    ...['-device', 'virtio-9p-pci,fsdev=share,mount_tag=share'],
    ...['-chardev', `socket,id=channel,fd=${CHANNEL_FD}`],
    ...['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=channel'],
    ...['-device', 'virtio-balloon-pci,id=balloon'],
    ...['-qmp', `unix:${join(directory, 'qmp')},server=on,wait=off`],
  ];
}

/** The initramfs: it loads the modules for the root and mounts that; `goOn` is what its script does then. */
export function firstFiles(kernel: DebianKernel, goOn: readonly string[]): Entry[] {
  const modules = moduleFiles(kernel, ROOT_MODULES).map((file) => ({
    path: basename(file, '.xz'),
    content: file.endsWith('.xz') ? execFileSync('xz', ['-dc', file]) : readFileSync(file),
  }));
  // The emulator keeps what it has translated for as long as the kernel keeps the pages: with a cache that
  // outlives its readers, a second run of a program takes a fifth of the time. Nobody changes the host's files.
  const script = [
    '#!/bin/busybox sh',
    ...modules.map(({ path }) => `/bin/busybox insmod /${path}`),
    `/bin/busybox mount -t 9p -o ro,${NINE_P},cache=loose root /root`,
    ...goOn,
    '',
  ];
  return [
    { path: 'bin' },
    { path: 'bin/busybox', content: readFileSync(kernel.busybox) },
    { path: 'root' },
    ...modules,
    { path: 'init', content: script.join('\n') },
  ];
}
