/** Commands that act as a program in a guest does: which guest that is, and its device. */
import type { VmmctlCommand } from '../cli/command.js';
import { UsageError } from '../cli/errors.js';
import type { DeviceNode } from '../core/backend/port/node.js';
import { openVboxGuest } from '../core/client/vboxguest.js';

type Command = Pick<VmmctlCommand, 'machine' | 'backendUri' | 'backend'>;

/** Whether a guest is named: a simulated one, or this machine. */
export function isInGuest({ machine, backendUri }: Command): boolean {
  return machine !== 'host' || backendUri === 'device';
}

/**
 * The guest's device. It is closed with the backend.
 * @throws UsageError when no guest is named.
 */
export async function guestNode(command: Command): Promise<DeviceNode> {
  if (!isInGuest(command)) {
    throw new UsageError(
      'this is for a guest, and none is named',
      'name the VM with --in VM; --backend device is this machine as a guest',
    );
  }
  const backend = await command.backend();
  return openVboxGuest(backend.machine(command.machine));
}
