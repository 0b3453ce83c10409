/** Where a ring ends up. Sources: Linux drivers/misc/vmw_vmci, vmci_doorbell.c and vmci_context.c, in their order. */
import {
  isInvalidHandle,
  VMCI_HOST_CONTEXT_ID,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_HANDLE,
  VMCI_NO_PRIVILEGE_FLAGS,
  VMCI_PRIVILEGE_ALL_FLAGS,
} from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { deniesInteraction, isVm } from './access.js';
import type { Kernel } from './kernel-parts.js';
import type { Handle } from './parts.js';
import { route } from './route.js';

const {
  VMCI_SUCCESS: SUCCESS,
  VMCI_ERROR_INVALID_ARGS: INVALID_ARGS,
  VMCI_ERROR_NOT_FOUND: NOT_FOUND,
  VMCI_ERROR_NO_ACCESS: NO_ACCESS,
  VMCI_ERROR_DST_UNREACHABLE: DST_UNREACHABLE,
} = VMCI_RESULT;

/**
 * vmci_doorbell_notify, of the kernel itself.
 * @param privileges VMCI_PRIVILEGE_FLAG_*; none are those of its context. In a guest only its context counts.
 * @returns INVALID_ARGS, or what the way or the destination says.
 */
export function ring(kernel: Kernel, handle: Handle, privileges: number): number {
  if (isInvalidHandle(handle)) return INVALID_ARGS;
  if ((privileges & ~VMCI_PRIVILEGE_ALL_FLAGS) !== 0) return INVALID_ARGS;
  const found = route(kernel.place, VMCI_INVALID_HANDLE, handle, false);
  if (typeof found === 'number') return found;
  if (found.way === 'host') return notifyDoorbell(kernel, VMCI_HOST_CONTEXT_ID, handle, privileges);
  return kernel.link?.notify(handle) ?? VMCI_RESULT.VMCI_ERROR_DEVICE_NOT_FOUND;
}

/**
 * vmci_ctx_notify_dbell: a context rings a doorbell of this kernel or of one of its contexts.
 * @returns INVALID_ARGS, NOT_FOUND (no such context, or doorbell), DST_UNREACHABLE (of VM to VM), NO_ACCESS.
 */
export function notifyDoorbell(
  kernel: Kernel,
  cid: number,
  handle: Handle,
  privileges: number,
): number {
  if (isInvalidHandle(handle)) return INVALID_ARGS;
  const context = kernel.contexts.get(handle.context);
  if (context === undefined) return NOT_FOUND;
  if (cid !== handle.context) {
    const refused = refuse(kernel, cid, handle, privileges);
    if (refused < SUCCESS) return refused;
  }
  if (handle.context !== VMCI_HOST_CONTEXT_ID) return context.ring(handle);
  const doorbell = kernel.doorbells.find(handle);
  if (doorbell === undefined) return NOT_FOUND;
  kernel.doorbells.ring(doorbell);
  return SUCCESS;
}

function refuse(kernel: Kernel, cid: number, handle: Handle, given: number): number {
  if (isVm(cid) && isVm(handle.context)) return DST_UNREACHABLE;
  if (handle.context === VMCI_HYPERVISOR_CONTEXT_ID) return INVALID_ARGS;
  const { contexts, doorbells } = kernel;
  const isHost = handle.context === VMCI_HOST_CONTEXT_ID;
  const needed = isHost
    ? doorbells.find(handle)?.privileges
    : contexts.privilegesOf(handle.context);
  if (needed === undefined) return NOT_FOUND;
  const own = cid === VMCI_HOST_CONTEXT_ID && given !== VMCI_NO_PRIVILEGE_FLAGS;
  const privileges = own ? given : contexts.privilegesOf(cid);
  return deniesInteraction(privileges, needed) ? NO_ACCESS : SUCCESS;
}
