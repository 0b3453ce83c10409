/** illumos has bhyve and /dev/vmmctl too, with ioctls and structs of its own. They are refused by name. */
import { SystemError } from '../abi/errno.js';
import { VMM_INTERFACE_VERSION } from '../abi/vmm-illumos.js';
import type { DeviceNode } from '../backend/port/node.js';

/** What process.platform says there. */
const ILLUMOS = 'sunos';

/**
 * To be asked before anything is sent to the nodes of this machine.
 * @param platform As process.platform has it.
 * @throws SystemError EOPNOTSUPP on illumos.
 */
export function refuseIllumos(platform: string): void {
  if (platform === ILLUMOS) throw illumosError();
}

/**
 * Whether a node that does not know FreeBSD's ioctls is illumos' /dev/vmmctl: it tells its version. Harmless
 * to ask: the call changes nothing there, and has no meaning elsewhere.
 */
export async function answersAsIllumos(node: DeviceNode): Promise<boolean> {
  try {
    return (await node.ioctl(VMM_INTERFACE_VERSION, 0)).result > 0;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

export function illumosError(cause?: unknown): SystemError {
  return new SystemError('EOPNOTSUPP', {
    path: '/dev/vmmctl',
    message: "/dev/vmmctl is that of illumos, and vmmctl speaks FreeBSD's",
    hint: 'use the tools of illumos for its VMs, or the simulated host: --backend sim',
    cause,
  });
}
