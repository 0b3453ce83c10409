/** Which way a datagram or ring goes. Source: vmci_route in drivers/misc/vmw_vmci/vmci_route.c, in its order. */
import {
  VMCI_HOST_CONTEXT_ID,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_ID,
} from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { isVm } from './access.js';
import type { Handle } from './parts.js';

/** To this kernel's own endpoints and contexts, or down to the host by the device. */
export type Way = 'host' | 'guest';

export interface Route {
  readonly way: Way;
  /** The source, with the context that it has when it named none. */
  readonly src: Handle;
}

/** What a kernel is, as far as it decides the way. */
export interface Place {
  /** It acts as a host. */
  readonly hostActive: boolean;
  /** It has the device of a guest. */
  readonly hasDevice: boolean;
  /** vmci_get_context_id. */
  readonly cid: number;
  /** Whether there is a context. */
  has(cid: number): boolean;
}

const {
  VMCI_ERROR_INVALID_ARGS: INVALID_ARGS,
  VMCI_ERROR_DST_UNREACHABLE: DST_UNREACHABLE,
  VMCI_ERROR_DEVICE_NOT_FOUND: DEVICE_NOT_FOUND,
} = VMCI_RESULT;

/**
 * @param fromGuest it comes from a program on /dev/vmci, or by the device of a VM.
 * @returns the way, or INVALID_ARGS, DST_UNREACHABLE, DEVICE_NOT_FOUND.
 */
export function route(place: Place, src: Handle, dst: Handle, fromGuest: boolean): Route | number {
  if (dst.context === VMCI_INVALID_ID) return INVALID_ARGS;
  if (dst.context === VMCI_HYPERVISOR_CONTEXT_ID) return toHypervisor(place, src, fromGuest);
  if (dst.context === VMCI_HOST_CONTEXT_ID) return toHost(place, src, fromGuest);
  if (place.hostActive && place.has(dst.context)) return toContext(src, dst, fromGuest);
  if (place.hostActive && !place.hasDevice) return DST_UNREACHABLE;
  return down(place, src);
}

function toHypervisor(place: Place, src: Handle, fromGuest: boolean): Route | number {
  if (fromGuest) return DST_UNREACHABLE;
  if (!place.hasDevice) return DEVICE_NOT_FOUND;
  if (src.context === VMCI_HOST_CONTEXT_ID) return INVALID_ARGS;
  // Nobody is a source of its own: only where a resource is named, the context is to be filled in.
  return src.resource === VMCI_INVALID_ID ? { way: 'guest', src } : down(place, src);
}

function toHost(place: Place, src: Handle, fromGuest: boolean): Route | number {
  if (src.context === VMCI_HYPERVISOR_CONTEXT_ID) {
    return place.hostActive ? { way: 'host', src } : DEVICE_NOT_FOUND;
  }
  if (!fromGuest && place.hasDevice) return down(place, src);
  if (!place.hostActive) return DEVICE_NOT_FOUND;
  return asHost(src, fromGuest);
}

/** To a context of this kernel. No VM reaches another one. */
function toContext(src: Handle, dst: Handle, fromGuest: boolean): Route | number {
  if (isVm(src.context) && src.context !== dst.context) return DST_UNREACHABLE;
  return asHost(src, fromGuest);
}

function asHost(src: Handle, fromGuest: boolean): Route | number {
  if (src.context !== VMCI_INVALID_ID) return { way: 'host', src };
  if (fromGuest) return INVALID_ARGS;
  return { way: 'host', src: { ...src, context: VMCI_HOST_CONTEXT_ID } };
}

function down(place: Place, src: Handle): Route | number {
  if (!place.hasDevice) return DEVICE_NOT_FOUND;
  if (src.context !== VMCI_INVALID_ID) return { way: 'guest', src };
  return { way: 'guest', src: { ...src, context: place.cid } };
}
