/** The devices of the simulated host that a guest is booted with. */
import type { DeviceExportKind } from '../../core/backend/port/vm.js';
import type { Management } from '../../core/backend/port.js';
import type { BootKind, GuestPlan } from '../../core/client/boot/guest.js';

type Sockets = GuestPlan['sockets'];

export interface OfferedDevices {
  sockets: Sockets;
  /** Takes back what was offered for this guest alone. */
  withdraw(): Promise<void>;
}

/**
 * Each with its socket, which is there once the device is offered.
 * @throws SystemError EOPNOTSUPP where there are no devices that a real kernel could have.
 */
export async function deviceSockets(
  management: Management,
  way: BootKind,
  vm: string,
): Promise<Sockets> {
  return socketsOf(way, (kind) => management.devicePath(vm, kind));
}

/** Has the host offer them to this guest alone, for as long as we are there. @throws SystemError EBUSY */
export async function offerDevices(
  management: Management,
  way: BootKind,
  vm: string,
): Promise<OfferedDevices> {
  const made: DeviceExportKind[] = [];
  const sockets = await socketsOf(way, async (kind) => {
    const { paths } = await management.exportVm(vm, { kind, forClient: true });
    made.push(kind);
    return paths[0] ?? '';
  });
  return {
    sockets,
    withdraw: async () => {
      for (const kind of made) await management.unexportVm(vm, { kind, forClient: true });
    },
  };
}

async function socketsOf(
  way: BootKind,
  socket: (kind: DeviceExportKind) => Promise<string>,
): Promise<Sockets> {
  return {
    vsock: await socket('vhost-user-vsock'),
    // QEMU has no such device.
    balloon: way === 'uml' ? await socket('vhost-user-balloon') : undefined,
  };
}
