/** Whose VMs a backend has: bhyve's where vmm(4) is, else KVM's where that is. */

import type { KvmHosts } from '../backend/port/kvm.js';
import type { Backend } from '../backend/port.js';
import { codeOf } from './explain.js';
import { requireVmm } from './vmm-control.js';

/** Undefined where VMs are had by bhyve's nodes, or there are none at all. @throws SystemError EACCES, EPERM. */
export async function kvmOf(backend: Backend): Promise<KvmHosts | undefined> {
  const { kvm, management } = backend;
  if (management || !kvm) return undefined;
  try {
    await requireVmm(backend.machine('host'));
    return undefined;
  } catch (error) {
    if (codeOf(error) !== 'ENXIO') throw error;
  }
  return (await kvm.isThere()) ? kvm : undefined;
}
