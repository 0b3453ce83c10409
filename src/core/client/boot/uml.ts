/**
 * The command line of user-mode Linux, a kernel that is a program. Its root is the host's, read-only; its virtio devices
 * are those of the simulated host.
 * Source: Linux Documentation/virt/uml/user_mode_linux_howto_v2.rst, arch/um/drivers/virtio_uml.c.
 */
import { VIRTIO_ID_BALLOON } from '../../abi/virtio-balloon.js';
import { VIRTIO_ID_VSOCK } from '../../abi/virtio-vsock.js';
import type { CommandLine } from './command-line.js';
import { type GuestPlan, initOf, type Kind, quietness, shareOf } from './guest.js';

export interface UmlPlace {
  /** Where the kernel puts the file that is its memory; the guest's own directory when left out. */
  memoryDirectory: string | undefined;
  /**
   * A processor to keep it on, where that can be done: its kernel and its programs are processes that take turns, which
   * is twice as fast on one.
   */
  processor: number | undefined;
}

/** User-mode Linux, as it runs at some place. */
export function umlKind(place: UmlPlace): Kind {
  return {
    title: 'user-mode Linux',
    terminal: '/dev/tty0',
    log: '/dev/tty1',
    shareMount: (plan) => ({ source: 'none', type: 'hostfs', options: shareOf(plan) }),
    commandLine: (plan) => umlCommandLine(plan, place),
  };
}

function umlCommandLine(plan: GuestPlan, place: UmlPlace): CommandLine {
  const kernel = [plan.kernel, ...umlArguments(plan)];
  const pinned =
    place.processor === undefined ? [] : ['taskset', '--cpu-list', String(place.processor)];
  const [program = plan.kernel, ...args] = [...pinned, ...kernel];
  return { env: { TMPDIR: place.memoryDirectory ?? plan.directory }, program, args };
}

function umlArguments(plan: GuestPlan): string[] {
  const { directory, memory, sockets } = plan;
  return [
    `mem=${memory}`,
    ...['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${initOf(plan)}`],
    // The first program may lie below what is /dev here.
    'devtmpfs.mount=0',
    ...consoles(plan),
    `virtio_uml.device=${sockets.vsock}:${VIRTIO_ID_VSOCK}`,
    ...(sockets.balloon ? [`virtio_uml.device=${sockets.balloon}:${VIRTIO_ID_BALLOON}`] : []),
    ...[`uml_dir=${directory}/`, 'umid=uml'],
  ];
}

/**
 * The first console is the terminal of the command, the second is for what it and the kernel have to say. The end of its
 * input hangs a console up, so only a terminal is one's input. All others are connected to nothing.
 */
function consoles({ terminal, messages }: GuestPlan): string[] {
  return [
    ...['con=null', 'ssl=null', `con0=${terminal ? 'fd:0' : 'null'},fd:1`],
    ...['con1=null,fd:2', `console=tty${messages === 'none' ? 2 : 1}`],
    ...quietness(messages),
  ];
}
