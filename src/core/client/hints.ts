/**
 * What can be done where a node is missing or refuses. The table knows which module of the kernel brings a node and
 * where such a node exists at all; nothing here asks a machine.
 */
import type { ErrorCode } from '../abi/errno.js';

/** The system of a machine whose ways are known here. */
export type KernelName = 'linux' | 'freebsd';

interface Source {
  system: KernelName;
  /** Modules that bring it, one of which is enough. */
  modules: readonly string[];
  /** Package of Debian with the module or the rules for the node, where it isn't part of the kernel's own. */
  package?: string;
  /** What is to be done when a module is there; commands. */
  afterwards?: readonly string[];
  /** On which machines it can exist; said where it has to be more than the right system. */
  only?: string;
}

/** By path or name of what is probed. */
const SOURCES: Readonly<Record<string, Source>> = {
  '/dev/vsock': { system: 'linux', modules: ['vsock'] },
  AF_VSOCK: { system: 'linux', modules: ['vsock'] },
  transports: {
    system: 'linux',
    modules: ['vsock_loopback', 'vhost_vsock', 'vmw_vsock_virtio_transport'],
  },
  vsockmon: {
    system: 'linux',
    modules: ['vsockmon'],
    afterwards: ['ip link add vsockmon0 type vsockmon', 'ip link set vsockmon0 up'],
  },
  '/dev/vhost-vsock': { system: 'linux', modules: ['vhost_vsock'] },
  '/dev/kvm': {
    system: 'linux',
    modules: ['kvm_intel', 'kvm_amd'],
    only: 'a CPU with VT-x or SVM',
  },
  '/dev/vmmctl': { system: 'freebsd', modules: ['vmm'] },
  '/dev/vmm': { system: 'freebsd', modules: ['vmm'] },
  'hw.vmm': { system: 'freebsd', modules: ['vmm'] },
  '/dev/vboxguest': {
    system: 'linux',
    modules: ['vboxguest'],
    package: 'virtualbox-guest-utils',
    only: 'a VirtualBox guest',
  },
  '/dev/vboxuser': {
    system: 'linux',
    modules: ['vboxguest'],
    package: 'virtualbox-guest-utils',
    only: 'a VirtualBox guest',
  },
  host_version: {
    system: 'linux',
    modules: ['vboxguest'],
    only: 'a VirtualBox guest',
  },
  '/dev/vmci': { system: 'linux', modules: ['vmw_vmci'] },
  virtio_balloon: {
    system: 'linux',
    modules: ['virtio_balloon'],
    only: 'a guest with a virtio balloon',
  },
  '/dev/cuse': { system: 'linux', modules: ['cuse'] },
};

/** Who may use a node, as stat(2) and the list of groups tell. */
export interface NodeOwner {
  /** The bits of its access, 0o660. */
  mode: number;
  gid: number;
  /** Name of the group, or its number where it has none. */
  group: string;
}

export interface HintRequest {
  /** Path or name, as in the table. */
  name: string;
  code: ErrorCode;
  /** Undefined where the system is none whose ways are known. */
  kernel?: KernelName | undefined;
  owner?: NodeOwner | undefined;
  /** Who asks. */
  user: string;
}

const MISSING: readonly ErrorCode[] = ['ENOENT', 'ENXIO', 'ENODEV', 'EAFNOSUPPORT'];
const DENIED: readonly ErrorCode[] = ['EACCES', 'EPERM'];
const GROUP_READ_WRITE = 0o060;

/** What a user can do about an error; undefined where nothing is known to help. */
export function hintFor(request: HintRequest): string | undefined {
  const { code, name } = request;
  if (MISSING.includes(code)) return hintForMissing(request);
  if (DENIED.includes(code)) return hintForDenied(request);
  if (code === 'EBUSY') return 'another program has it';
  if (code === 'EMFILE') return "raise the limit of open files: 'ulimit -n'";
  if (code === 'ENOTTY' && name.startsWith('/dev/')) return 'another driver has this path';
  return undefined;
}

function hintForMissing({ name, kernel }: HintRequest): string | undefined {
  const source = SOURCES[name];
  if (source === undefined || kernel === undefined) return undefined;
  if (source.system !== kernel) return `only on ${SYSTEM_TITLES[source.system]}`;
  const load = kernel === 'linux' ? 'modprobe' : 'kldload';
  const command = source.modules.map((module) => `${load} ${module}`).join(' or ');
  const install = source.package === undefined ? '' : `apt install ${source.package}, then `;
  const where = source.only === undefined ? '' : ` (only on ${source.only})`;
  const more = (source.afterwards ?? []).map((each) => `, then ${each}`).join('');
  return `as root: ${install}${command}${more}${where}`;
}

const SYSTEM_TITLES: Readonly<Record<KernelName, string>> = { linux: 'Linux', freebsd: 'FreeBSD' };

/** To be in the group that may use the node, if there is one but root's; else to own it until the next boot. */
function hintForDenied({ name, code, kernel, owner, user }: HintRequest): string | undefined {
  if (!name.startsWith('/dev/') || kernel === undefined) return undefined;
  // The node's own mode gives EACCES.
  if (code === 'EPERM') return 'a container or jail keeps it away, and has to allow it';
  const forGroup =
    owner !== undefined && owner.gid !== 0 && (owner.mode & GROUP_READ_WRITE) === GROUP_READ_WRITE;
  if (forGroup) return `as root: ${JOIN_GROUP[kernel](owner.group, user)}, and log in again`;
  return `as root: chown ${user} ${name}`;
}

const JOIN_GROUP: Readonly<Record<KernelName, (group: string, user: string) => string>> = {
  linux: (group, user) => `usermod -aG ${group} ${user}`,
  freebsd: (group, user) => `pw groupmod ${group} -m ${user}`,
};

/** Name of a group in the text of group(5); its number where it has none. */
export function groupName(groups: string, gid: number): string {
  const line = groups.split('\n').find((each) => each.split(':')[2] === String(gid));
  return line?.split(':')[0] || String(gid);
}
