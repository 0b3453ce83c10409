/** Who the host is, and which of a machine's nodes answer. */
import { SystemError } from '../abi/errno.js';
import type { HostVersion } from '../backend/port/vm.js';
import type { Backend, Machine, MachineName } from '../backend/port.js';
import { BALLOON_PROBES } from './balloon.js';
import { BHYVE_PROBES } from './bhyve.js';
import { CUSE_PROBES } from './cuse.js';
import { hostVersionBySysctl } from './freebsd.js';
import { KVM_PROBES } from './kvm.js';
import { hostVersionBySysfs } from './linux-host.js';
import { findOut, type Probe } from './probe.js';
import { VBOXGUEST_PROBES, virtualBoxHost } from './vboxguest.js';
import { VHOST_VSOCK_PROBES } from './vhost-vsock.js';
import { VMCI_PROBES } from './vmci.js';
import { VSOCK_PROBES } from './vsock-node.js';
import { VSOCKMON_PROBES } from './vsockmon.js';

/** Everything that a machine can be asked for, in the order in which it is shown. */
export const PROBES: readonly Probe[] = [
  ...VSOCK_PROBES,
  ...VSOCKMON_PROBES,
  ...VHOST_VSOCK_PROBES,
  ...KVM_PROBES,
  ...BHYVE_PROBES,
  ...VBOXGUEST_PROBES,
  ...VMCI_PROBES,
  ...BALLOON_PROBES,
  ...CUSE_PROBES,
];

/** Ways to learn who the host is; a system for which one isn't made gives undefined. */
const WAYS: readonly ((machine: Machine) => Promise<HostVersion | undefined>)[] = [
  hostVersionBySysctl,
  hostVersionBySysfs,
];

/**
 * Who the host of a machine is. A guest that is named is told by the device that it is in; else, and where there is no
 * such device, the management channel says it, or what the machine shows. What is not known is empty.
 * @throws SystemError EOPNOTSUPP where nothing tells; what a guest's machine gives.
 */
export async function hostVersion(backend: Backend, name: MachineName): Promise<HostVersion> {
  const machine = backend.machine(name);
  if (name !== 'host') {
    // A guest that can't be looked into says why; that it has no such device is no failure.
    await machine.readdir('/dev');
    const seen = await virtualBoxHost(machine);
    if (seen !== undefined) return seen;
  }
  if (backend.management !== undefined) return backend.management.hostVersion();
  for (const way of WAYS) {
    const found = await way(machine);
    if (found !== undefined) return found;
  }
  throw new SystemError('EOPNOTSUPP', { message: `'${backend.uri}' does not say who it is` });
}

export interface NodeAnswer {
  path: string;
  /** The version of its interface, where it has an ioctl that tells. */
  version: string | null;
  /** What else it said. */
  detail: string | null;
}

/** Asks each known node of a machine who it is; those that don't answer are left out. */
export async function probeNodes(machine: Machine): Promise<NodeAnswer[]> {
  const nodes = PROBES.filter(({ name }) => name.startsWith('/dev/'));
  const findings = await findOut(machine, nodes);
  return findings
    .filter(({ state }) => state === 'ok')
    .map(({ name, version, detail }) => ({ path: name, version, detail }));
}
