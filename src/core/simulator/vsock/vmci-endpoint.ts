/** Endpoints of the socket layer in VMCI. Source: Linux net/vmw_vsock/vmci_transport.c. */
import { VMCI_NO_PRIVILEGE_FLAGS, VMCI_PRIVILEGE_FLAG_TRUSTED } from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import type { Datagram, Handle, KernelApi } from '../vmci/parts.js';

/** A trusted endpoint where the kernel may have one, which is the host's. @returns its handle, or a result. */
export function endpointOf(
  api: KernelApi,
  resource: number,
  flags: number,
  receive: (datagram: Datagram) => number,
): Handle | number {
  const handle = api.createDatagramHandle(resource, flags, VMCI_PRIVILEGE_FLAG_TRUSTED, receive);
  if (handle !== VMCI_RESULT.VMCI_ERROR_NO_ACCESS) return handle;
  return api.createDatagramHandle(resource, flags, VMCI_NO_PRIVILEGE_FLAGS, receive);
}
