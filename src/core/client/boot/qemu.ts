/**
 * The command line of QEMU: a PC whose vsock device is that of the simulated host, over vhost-user. Its root is the
 * host's, read-only, by 9p, unless its initramfs knows better.
 * Source: QEMU docs/system/devices/vhost-user.rst and qemu(1).
 */
import { type GuestPlan, initOf, type Kind, quietness, shareOf } from './guest.js';

export type Accelerator = 'kvm' | 'tcg';

export const QEMU_PROGRAM = 'qemu-system-x86_64';
const MIB = 2 ** 20;
const NINE_P = 'trans=virtio,version=9p2000.L,msize=512000';

/** QEMU with an accelerator. */
export function qemuKind(accelerator: Accelerator): Kind {
  return {
    title: 'QEMU',
    terminal: '/dev/ttyS0',
    log: '/dev/ttyS1',
    shareMount: () => ({ source: 'share', type: '9p', options: `${NINE_P},cache=none` }),
    commandLine: (plan) => ({
      env: {},
      program: QEMU_PROGRAM,
      args: [
        ...machine(plan, accelerator),
        ...kernel(plan),
        ...serialLines(plan),
        ...files(plan),
        ...vsock(plan),
      ],
      logFd: plan.logFd,
    }),
  };
}

/** vhost-user needs memory that can be shared, of exactly the machine's size. */
function machine({ cpus, memory }: GuestPlan, accelerator: Accelerator): string[] {
  const size = `${Math.floor(memory / MIB)}M`;
  return [
    ...['-accel', accelerator, ...(accelerator === 'kvm' ? ['-cpu', 'host'] : [])],
    ...['-object', `memory-backend-memfd,id=memory,size=${size},share=on`],
    ...['-machine', 'q35,memory-backend=memory', '-m', size, '-smp', `${cpus}`],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-nic', 'none'],
  ];
}

function kernel(plan: GuestPlan): string[] {
  const words = [
    plan.messages === 'none' ? 'console=null' : 'console=ttyS1',
    ...['root=root', 'rootfstype=9p', `rootflags=${NINE_P},cache=loose`, 'ro'],
    `init=${initOf(plan)}`,
    // The first program may lie below what is /dev here.
    'devtmpfs.mount=0',
    // The machine does not start again, so a panic ends it.
    'panic=-1',
    ...quietness(plan.messages),
  ];
  const initrd = plan.initrd === undefined ? [] : ['-initrd', plan.initrd];
  return ['-kernel', plan.kernel, ...initrd, '-append', words.join(' ')];
}

/**
 * The first is the terminal of the command, the second is for what it and the kernel have to say. QEMU opens the path of
 * standard error anew, which is not possible where that is a socket.
 */
function serialLines({ logFd }: GuestPlan): string[] {
  const log =
    logFd === undefined ? 'file,id=log,path=/dev/stderr,append=on' : `socket,id=log,fd=${logFd}`;
  return [
    ...['-chardev', 'stdio,id=terminal,signal=off', '-serial', 'chardev:terminal'],
    ...['-chardev', log, '-serial', 'chardev:log'],
  ];
}

function files(plan: GuestPlan): string[] {
  const local = 'local,security_model=none';
  return [
    ...['-fsdev', `${local},id=root,path=/,readonly=on,multidevs=remap`],
    ...['-device', 'virtio-9p-pci,fsdev=root,mount_tag=root'],
    ...['-fsdev', `${local},id=share,path=${shareOf(plan)}`],
    ...['-device', 'virtio-9p-pci,fsdev=share,mount_tag=share'],
  ];
}

/** It has no vhost-user balloon. */
function vsock({ sockets }: GuestPlan): string[] {
  return [
    ...['-chardev', `socket,id=vsock,path=${sockets.vsock}`],
    ...['-device', 'vhost-user-vsock-pci,chardev=vsock'],
  ];
}
