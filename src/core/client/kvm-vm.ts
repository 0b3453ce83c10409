/** The life of VMs of KVM, as commands have it. */
import { SystemError } from '../abi/errno.js';
import type { KvmHosts } from '../backend/port/kvm.js';
import type { CallOptions } from '../backend/port/node.js';
import type { VmDetails } from '../backend/port/vm.js';
import type { Backend } from '../backend/port.js';
import { explain } from './explain.js';
import { kvmCapabilities } from './kvm.js';
import type { CreatedVm, CreateRequest } from './vm.js';

/**
 * Creates a VM with all that was asked for, or nothing. Whatever becomes of this process, an ephemeral one ends with it.
 * @throws SystemError EEXIST, EINVAL, ENOMEM, EACCES, ENXIO; EOPNOTSUPP for a CID.
 */
export async function createKvmVm(
  kvm: KvmHosts,
  { name, cpus, memory, cid, labels = {}, ephemeral }: CreateRequest,
  options: CallOptions,
): Promise<CreatedVm> {
  if (cid !== undefined) {
    throw new SystemError('EOPNOTSUPP', {
      message: "VMs of KVM have no vsock, and so no CID: that is their hypervisor's to give",
      hint: 'leave --cid out, or use the simulated host: --backend sim',
    });
  }
  const request = { name, cpus, memory, labels, ephemeral };
  const { vm, end } = await explain(kvm.create(request, options), {
    EEXIST: [
      `there is already a VM '${name}'`,
      `'vmmctl inspect ${name}' shows it; 'vmmctl destroy ${name}' makes room`,
    ],
  });
  return { vm, hold: end && { by: 'kernel', close: end } };
}

/** Everything that is known of a VM, and of what runs it. @throws SystemError ENOENT. */
export async function inspectKvmVm(
  backend: Backend,
  kvm: KvmHosts,
  name: string,
): Promise<VmDetails> {
  const details = await kvm.inspect(name);
  const node = await backend.machine('host').open('/dev/kvm');
  try {
    return { ...details, capabilities: await kvmCapabilities(node) };
  } finally {
    await node.close();
  }
}

/** Destroys VMs, each by its name; `report` is told of each that could not be. */
export async function destroyKvmVms(
  kvm: KvmHosts,
  names: readonly string[],
  report: (name: string, error: unknown) => void,
): Promise<string[]> {
  const destroyed: string[] = [];
  for (const name of names) {
    try {
      await kvm.destroy(name);
      destroyed.push(name);
    } catch (error) {
      report(name, error);
    }
  }
  return destroyed;
}
