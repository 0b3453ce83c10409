/** The devices of the simulated host that a guest is booted with. */
import { dirname, join } from 'node:path';
import { SystemError } from '../../core/abi/errno.js';
import type { ExportKind, VmDetails } from '../../core/backend/port/vm.js';
import type { Management } from '../../core/backend/port.js';
import type { BootKind, GuestPlan } from '../../core/client/boot/guest.js';

type Sockets = GuestPlan['sockets'];

export interface OfferedDevices {
  sockets: Sockets;
  /** Takes back what was offered for this guest alone. */
  withdraw(): Promise<void>;
}

/**
 * Names of the sockets where no export has them yet.
 * @throws SystemError EOPNOTSUPP where there are no devices that a real kernel could have.
 */
export function usualSockets(way: BootKind, vm: VmDetails): Sockets {
  const { name, exports, vsockTransport } = vm;
  if (vsockTransport === 'vmci') {
    throw new SystemError('EOPNOTSUPP', {
      message: `a real kernel can't be the guest of '${name}', whose vsock is carried by VMCI`,
      hint: 'create the VM with --vsock-transport virtio',
    });
  }
  const [hybrid] = exports;
  if (hybrid === undefined) {
    throw new SystemError('EOPNOTSUPP', { message: `this host offers no devices of '${name}'` });
  }
  const path = (kind: string, suffix: string) =>
    exports.find((each) => each.kind === kind)?.path ??
    join(dirname(hybrid.path), `${name}.${suffix}`);
  return {
    vsock: path('vhost-user-vsock', 'vhost-vsock'),
    // QEMU has no such device.
    balloon: way === 'uml' ? path('vhost-user-balloon', 'vhost-balloon') : undefined,
  };
}

/** Has the host offer what is not offered yet, for as long as we are there. */
export async function offerDevices(
  management: Management,
  way: BootKind,
  { name, exports }: VmDetails,
): Promise<OfferedDevices> {
  const made: ExportKind[] = [];
  const offer = async (kind: ExportKind) => {
    const { paths } = await management.exportVm(name, { kind, forClient: true });
    if (!exports.some((each) => each.kind === kind)) made.push(kind);
    return paths[0] ?? '';
  };
  const vsock = await offer('vhost-user-vsock');
  const balloon = way === 'uml' ? await offer('vhost-user-balloon') : undefined;
  return {
    sockets: { vsock, balloon },
    withdraw: async () => {
      for (const kind of made) await management.unexportVm(name, kind);
    },
  };
}
