/** Where a datagram ends up. Source: Linux drivers/misc/vmw_vmci/vmci_datagram.c, in its order. */
import {
  VMCI_EVENT_HANDLER,
  VMCI_HOST_CONTEXT_ID,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_MAX_PRIVILEGE_FLAGS,
} from '../../abi/vmci.js';
import { datagramSize, VMCI_MAX_DG_SIZE } from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { deniesInteraction, isVm } from './access.js';
import type { Kernel } from './kernel-parts.js';
import type { Datagram } from './parts.js';
import { route } from './route.js';

const {
  VMCI_ERROR_INVALID_ARGS: INVALID_ARGS,
  VMCI_ERROR_NO_ACCESS: NO_ACCESS,
  VMCI_ERROR_NO_HANDLE: NO_HANDLE,
  VMCI_ERROR_DST_UNREACHABLE: DST_UNREACHABLE,
} = VMCI_RESULT;

/**
 * vmci_datagram_dispatch.
 * @param sender whose it is; VMCI_INVALID_ID for the kernel's own.
 * @param fromGuest it comes from a program on /dev/vmci, or by the device of a VM.
 * @returns bytes of header and payload, or an error: of the way, INVALID_ARGS (too long), those of the destination.
 */
export function dispatch(
  kernel: Kernel,
  sender: number,
  datagram: Datagram,
  fromGuest: boolean,
): number {
  if (datagramSize(datagram) > VMCI_MAX_DG_SIZE) return INVALID_ARGS;
  const found = route(kernel.place, datagram.src, datagram.dst, fromGuest);
  if (typeof found === 'number') return found;
  const routed = { ...datagram, src: found.src };
  if (found.way === 'guest') return sendByDevice(kernel, routed);
  return sendAsHost(kernel, sender === VMCI_INVALID_ID ? VMCI_HOST_CONTEXT_ID : sender, routed);
}

/** dg_dispatch_as_guest: the source has to be an endpoint, NO_HANDLE. */
function sendByDevice({ endpoints, link }: Kernel, datagram: Datagram): number {
  if (endpoints.find(datagram.src) === undefined) return NO_HANDLE;
  return link?.send(datagram) ?? VMCI_RESULT.VMCI_ERROR_DEVICE_NOT_FOUND;
}

/** dg_dispatch_as_host. */
function sendAsHost(kernel: Kernel, sender: number, datagram: Datagram): number {
  const { dst, src } = datagram;
  if (dst.context === VMCI_HYPERVISOR_CONTEXT_ID) return DST_UNREACHABLE;
  if (src.context !== sender) return NO_ACCESS;
  const privileges = privilegesOf(kernel, datagram);
  if (privileges === undefined) return INVALID_ARGS;
  if (dst.context !== VMCI_HOST_CONTEXT_ID) return sendToContext(kernel, datagram, privileges);
  const isEvent = src.context === VMCI_HYPERVISOR_CONTEXT_ID && dst.resource === VMCI_EVENT_HANDLER;
  if (isEvent) return kernel.subscriptions.dispatch(datagram);
  const result = kernel.endpoints.deliverOnHost(datagram, privileges);
  return result < VMCI_RESULT.VMCI_SUCCESS ? result : datagramSize(datagram);
}

/** Undefined for a source of the host that is no endpoint. */
function privilegesOf({ contexts, endpoints }: Kernel, { src }: Datagram): number | undefined {
  if (src.context === VMCI_HOST_CONTEXT_ID) return endpoints.find(src)?.privileges;
  if (src.context === VMCI_HYPERVISOR_CONTEXT_ID) return VMCI_MAX_PRIVILEGE_FLAGS;
  return contexts.privilegesOf(src.context);
}

function sendToContext({ contexts }: Kernel, datagram: Datagram, privileges: number): number {
  const { dst, src } = datagram;
  if (src.context !== dst.context) {
    if (deniesInteraction(privileges, contexts.privilegesOf(dst.context))) return NO_ACCESS;
    if (isVm(src.context)) return DST_UNREACHABLE;
  }
  return contexts.get(dst.context)?.enqueue(datagram) ?? INVALID_ARGS;
}
