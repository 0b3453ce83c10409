/** Which devices a real kernel can have: those of virtio, as a published kernel drives them. */
import { SystemError } from '../../abi/errno.js';
import type { Domain } from '../../simulator/domain.js';
import type { VsockProfile } from '../../simulator/vsock/profile.js';
import type { DeviceKind } from './socket-path.js';

/** @throws SystemError EOPNOTSUPP for a VM that no kernel can be the guest of, and for a device that none can drive. */
export function requireDrivable(
  { vm, guest }: Domain,
  kind: DeviceKind,
  profile: VsockProfile,
): void {
  if (guest.transport !== 'virtio') {
    throw new SystemError('EOPNOTSUPP', {
      message: `a real kernel can't be the guest of '${vm.name}', whose vsock is carried by VMCI`,
      hint: 'create the VM with --vsock-transport virtio',
    });
  }
  if (kind !== 'vhost-user-vsock' || profile.handshake === 'two-way') return;
  throw new SystemError('EOPNOTSUPP', {
    message: `no kernel speaks vsock as a host of ${profile.name} does`,
    hint: "start the host with another profile: 'vmmctl sim start --profile linux-6.12'",
  });
}
