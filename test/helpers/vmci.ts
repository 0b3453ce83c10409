/** VMCI of a simulated host, for tests that drive its kernels directly. */
import { VMCI_INVALID_ID, VMCI_NO_PRIVILEGE_FLAGS } from '../../src/core/abi/vmci.js';
import { VMCI_FLAG_DG_NONE } from '../../src/core/abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../src/core/abi/vmci-errors.js';
import type { Datagram, Handle, KernelApi } from '../../src/core/simulator/vmci/parts.js';
import type { VmciProfileName } from '../../src/core/simulator/vmci/profile.js';
import { type GuestVmci, Vmci } from '../../src/core/simulator/vmci/vmci.js';

/** The results by their names, without the prefix. */
export const R = {
  SUCCESS: VMCI_RESULT.VMCI_SUCCESS,
  INVALID_RESOURCE: VMCI_RESULT.VMCI_ERROR_INVALID_RESOURCE,
  INVALID_ARGS: VMCI_RESULT.VMCI_ERROR_INVALID_ARGS,
  NO_MEM: VMCI_RESULT.VMCI_ERROR_NO_MEM,
  NO_MORE_DATAGRAMS: VMCI_RESULT.VMCI_ERROR_NO_MORE_DATAGRAMS,
  NO_ACCESS: VMCI_RESULT.VMCI_ERROR_NO_ACCESS,
  NO_HANDLE: VMCI_RESULT.VMCI_ERROR_NO_HANDLE,
  DUPLICATE_ENTRY: VMCI_RESULT.VMCI_ERROR_DUPLICATE_ENTRY,
  DST_UNREACHABLE: VMCI_RESULT.VMCI_ERROR_DST_UNREACHABLE,
  NO_RESOURCES: VMCI_RESULT.VMCI_ERROR_NO_RESOURCES,
  NOT_FOUND: VMCI_RESULT.VMCI_ERROR_NOT_FOUND,
  ALREADY_EXISTS: VMCI_RESULT.VMCI_ERROR_ALREADY_EXISTS,
  EVENT_UNKNOWN: VMCI_RESULT.VMCI_ERROR_EVENT_UNKNOWN,
  DEVICE_NOT_FOUND: VMCI_RESULT.VMCI_ERROR_DEVICE_NOT_FOUND,
} as const;

export function at(context: number, resource: number): Handle {
  return { context, resource };
}

export function datagram(dst: Handle, src: Handle, text = 'x'): Datagram {
  return { dst, src, payload: Uint8Array.from(text, (character) => character.charCodeAt(0)) };
}

export function textOf({ payload }: Datagram): string {
  return String.fromCharCode(...payload);
}

export interface TestVmci {
  readonly vmci: Vmci;
  readonly host: Vmci['host'];
  /** A guest with a context. */
  guest(cid: number): GuestVmci;
  /** Lets all happen that was put off. */
  settle(): void;
}

/** Enough for everything that a test puts off; what goes on without end fails. */
const MOST_TURNS = 10_000;

export function testVmci(profile: VmciProfileName = 'linux'): TestVmci {
  const vmci = new Vmci(profile);
  return {
    vmci,
    host: vmci.host,
    guest(cid) {
      const guest = vmci.addGuest();
      guest.setCid(cid);
      return guest;
    },
    settle() {
      for (let turn = 0; vmci.run(64); turn++) {
        if (turn > MOST_TURNS) throw new Error('it never settles');
      }
    },
  };
}

export interface TestEndpoint {
  readonly handle: Handle;
  readonly got: Datagram[];
}

/** An endpoint that keeps what it gets. */
export function endpoint(
  kernel: KernelApi,
  resource = VMCI_INVALID_ID,
  {
    flags = VMCI_FLAG_DG_NONE as number,
    privileges = VMCI_NO_PRIVILEGE_FLAGS as number,
    answer = R.SUCCESS as number,
  } = {},
): TestEndpoint {
  const got: Datagram[] = [];
  const handle = kernel.createDatagramHandle(resource, flags, privileges, (each) => {
    got.push(each);
    return answer;
  });
  if (typeof handle === 'number') throw new Error(`no endpoint: ${handle}`);
  return { handle, got };
}
