/**
 * Who the host is, by what Linux shows of it. A guest asks for the hypervisor below it; what runs on no hypervisor
 * is a host itself, and answers with its kernel.
 */

import type { HostVersion } from '../backend/port/vm.js';
import type { Machine } from '../backend/port.js';
import { readText } from './probe.js';
import { virtualBoxHost } from './vboxguest.js';

const DMI = '/sys/class/dmi/id';
const XEN = '/sys/hypervisor';
/** What user-mode Linux has in place of a processor's vendor. */
const USER_MODE = 'User Mode Linux';

/** Undefined on a machine that isn't Linux. What is not known of it is empty. */
export async function hostVersionBySysfs(machine: Machine): Promise<HostVersion | undefined> {
  const ostype = await readText(machine, '/proc/sys/kernel/ostype');
  if (ostype === undefined) return undefined;
  const cpu = parseCpu((await readText(machine, '/proc/cpuinfo')) ?? '');
  // A kernel in user mode is guest and hypervisor in one.
  const product = cpu.vendor === USER_MODE ? USER_MODE : ostype;
  return (
    (await virtualBoxHost(machine)) ??
    (await xenHost(machine)) ??
    (cpu.isVirtual ? firmwareHost(machine) : kernelHost(machine, product))
  );
}

interface Cpu {
  vendor: string;
  /** The processor itself says that there is a hypervisor. */
  isVirtual: boolean;
}

/** Source: show_cpuinfo in arch/x86/kernel/cpu/proc.c and arch/um/kernel/um_arch.c. */
export function parseCpu(cpuinfo: string): Cpu {
  const field = (name: string) =>
    new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(cpuinfo)?.[1]?.trim() ?? '';
  const vendor = field('vendor_id');
  const flags = field('flags').split(' ');
  // A kernel in user mode shows the flags of the machine that it is a process of.
  return { vendor, isVirtual: vendor !== USER_MODE && flags.includes('hypervisor') };
}

/** The host of Xen, also as its own first domain sees it. Linux Documentation/ABI/stable/sysfs-hypervisor-xen. */
async function xenHost(machine: Machine): Promise<HostVersion | undefined> {
  const read = (name: string) => readText(machine, `${XEN}/${name}`);
  const type = await read('type');
  if (type === undefined) return undefined;
  const [major = '', minor = '', extra = ''] = await Promise.all(
    ['major', 'minor', 'extra'].map((name) => read(`version/${name}`)),
  );
  const features = await read('properties/features');
  return {
    product: type === 'xen' ? 'Xen' : type,
    version: major === '' ? '' : `${major}.${minor}${extra}`,
    revision: (await read('properties/changeset')) ?? '',
    features: features === undefined ? ['hypervisor'] : ['hypervisor', `xen-features=${features}`],
  };
}

/** The hypervisor as the firmware that it gave its guest names it. */
async function firmwareHost(machine: Machine): Promise<HostVersion> {
  const names = ['sys_vendor', 'product_name', 'product_version', 'bios_version'];
  const [vendor = '', name = '', version = '', bios = ''] = await Promise.all(
    names.map((each) => readText(machine, `${DMI}/${each}`)),
  );
  const product = [vendor, name].filter((each) => each !== '').join(' ');
  return { product, version, revision: bios, features: ['hypervisor'] };
}

async function kernelHost(machine: Machine, product: string): Promise<HostVersion> {
  const read = (name: string) => readText(machine, `/proc/sys/kernel/${name}`);
  return {
    product,
    version: (await read('osrelease')) ?? '',
    revision: (await read('version')) ?? '',
    features: [],
  };
}
