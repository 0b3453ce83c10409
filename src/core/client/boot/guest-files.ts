/**
 * The files of a guest that is booted: its first program, which makes the places that programs write to, loads what
 * vsock needs, runs a command, and switches the machine off. The guest sees the host's files, read-only.
 */
import { shellQuoted } from './command-line.js';
import { type GuestPlan, type Kind, shareOf } from './guest.js';

/** Where the guest sees the directory `share`. */
const SHARE = '/run/vmmctl';
/** Where it sees all of the host's files, also those below what is its own. */
const HOST = '/run/host';
/** What the guest has of its own. */
const OWN = ['/dev', '/proc', '/run', '/sys', '/tmp'];

/** Drivers of the devices that it is offered; what they need comes with them. */
const MODULES = ['vmw_vsock_virtio_transport', 'virtio_balloon'];

const VSOCK_DRIVER = '/sys/bus/virtio/drivers/vmw_vsock_virtio_transport';

/** A file of this name says how the command ended; its last part is the status. */
const ENDED = 'ended-';

export interface GuestCommand {
  /** The guest's own name. */
  hostname: string;
  /** For the shell. */
  command: string;
  /** The host's directory that it is run in. */
  directory: string;
  env: Readonly<Record<string, string>>;
  /** Of the terminal, if one is known. */
  size?: { rows: number; columns: number } | undefined;
}

export interface GuestFile {
  name: string;
  text: string;
  executable: boolean;
}

/** What is to be in the directory `share`, besides a link `lib/modules` to where the guest sees the
 * kernel's modules. */
export function guestFiles(kind: Kind, plan: GuestPlan, command: GuestCommand): GuestFile[] {
  const program = (name: string, lines: readonly string[]) => ({
    name,
    text: `#!/bin/sh\n${lines.join('\n')}\n`,
    executable: true,
  });
  return [
    program('init', initLines(kind, plan, command)),
    program('command', commandLines(kind, plan, command)),
    program('modprobe', [`exec modprobe -d ${SHARE} "$@"`]),
    { name: 'fstab', text: fstab(kind, plan, command.directory), executable: false },
  ];
}

/** Where the guest sees a directory of the host, whatever it has of its own in that place. */
export function inGuest(path: string): string {
  return HOST + path;
}

/** The status of the command that the guest has run, by the names of the files in `share`; undefined before its end. */
export function guestStatus(names: readonly string[]): number | undefined {
  const name = names.find((each) => each.startsWith(ENDED));
  return name === undefined ? undefined : Number(name.slice(ENDED.length));
}

function initLines(kind: Kind, plan: GuestPlan, command: GuestCommand): string[] {
  const { terminal, log } = kind;
  const { env, directory, hostname } = command;
  const exports = Object.entries(env).map(
    ([name, value]) => `export ${name}=${shellQuoted(value)}`,
  );
  return [
    '# The first process of the guest.',
    ...exports,
    // A kernel hands words of its command line to its first process.
    'unset uml_dir umid mem OLDPWD',
    `mount -n -a -T ${shareOf(plan)}/fstab`,
    `echo ${SHARE}/modprobe >/proc/sys/kernel/modprobe`,
    `${SHARE}/modprobe -q -a ${MODULES.join(' ')}`,
    // Its driver has a link for each device.
    `set -- ${VSOCK_DRIVER}/virtio*`,
    `[ -e "$1" ] || echo 'vmmctl: this guest has no vsock device' >${log}`,
    `echo ${shellQuoted(hostname)} >/proc/sys/kernel/hostname`,
    'ip link set lo up',
    `cd ${shellQuoted(directory)}`,
    `setsid -c -w ${SHARE}/command <${terminal} >${terminal} 2>&1`,
    'echo o >/proc/sysrq-trigger',
    '# The kernel must not lose its first process before it is off.',
    'while :; do :; done',
  ];
}

/** It outlives what a terminal sends to all, so that it can tell how the command ended. */
function commandLines({ log }: Kind, plan: GuestPlan, { command, size }: GuestCommand): string[] {
  const run = `/bin/sh -c ${shellQuoted(command)}`;
  const [before, how] = plan.terminal
    ? [size === undefined ? [] : [`stty rows ${size.rows} columns ${size.columns}`], '']
    : // A line of a terminal must not change what goes to a file or a program.
      [['stty -opost', `stty -opost <${log}`], ` </dev/null 2>${log}`];
  return ['trap : HUP INT QUIT TERM', ...before, run + how, `: >${SHARE}/${ENDED}$?`];
}

function fstab(kind: Kind, plan: GuestPlan, directory: string): string {
  const share = kind.shareMount(plan);
  const make = 'X-mount.mkdir=755';
  const rows = [
    ['proc', '/proc', 'proc', 'defaults'],
    ['sysfs', '/sys', 'sysfs', 'defaults'],
    ['devtmpfs', '/dev', 'devtmpfs', 'defaults'],
    ['devpts', '/dev/pts', 'devpts', `mode=620,ptmxmode=666,${make}`],
    ['tmpfs', '/dev/shm', 'tmpfs', `mode=1777,${make}`],
    ['tmpfs', '/run', 'tmpfs', 'mode=755'],
    ['/', HOST, 'none', `bind,${make}`],
    ['tmpfs', '/tmp', 'tmpfs', 'mode=1777'],
    [share.source, SHARE, share.type, `${share.options},${make}`],
    ...ownDirectory(directory).map((path) => [inGuest(path), path, 'none', `bind,${make}`]),
  ];
  return rows.map((row) => `${row.map(fstabWord).join(' ')} 0 0\n`).join('');
}

/** A directory that would be hidden by what the guest has of its own. */
function ownDirectory(path: string): string[] {
  return OWN.some((own) => path.startsWith(`${own}/`)) ? [path] : [];
}

/** Spaces and the like as fstab(5) has them, in octal. */
function fstabWord(text: string): string {
  return text.replace(/[\s\\#]/g, (character) => {
    return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
}
