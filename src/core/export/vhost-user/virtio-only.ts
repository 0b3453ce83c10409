/** Which VMs a real kernel can be the guest of: it has the devices of virtio that are offered to it, and no others. */
import { SystemError } from '../../abi/errno.js';
import type { Domain } from '../../simulator/domain.js';

/** @throws SystemError EOPNOTSUPP for a VM whose vsock is carried by VMCI. */
export function refuseVmci({ vm, guest }: Domain): void {
  if (guest.transport === 'virtio') return;
  throw new SystemError('EOPNOTSUPP', {
    message: `a real kernel can't be the guest of '${vm.name}', whose vsock is carried by VMCI`,
    hint: 'create the VM with --vsock-transport virtio',
  });
}
