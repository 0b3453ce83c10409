/** Who may talk to whom. Source: Linux include/linux/vmw_vmci_defs.h, drivers/misc/vmw_vmci/vmci_context.c. */
import {
  VMCI_HOST_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
  VMCI_PRIVILEGE_FLAG_TRUSTED,
} from '../../abi/vmci.js';

/** Whether a context counts as a VM. Those of programs do, but for 0 and 1. */
export function isVm(cid: number): boolean {
  return cid !== VMCI_INVALID_ID && cid > VMCI_HOST_CONTEXT_ID;
}

/** A restricted one and another that is not trusted may not. */
export function deniesInteraction(a: number, b: number): boolean {
  return needsTrust(a, b) || needsTrust(b, a);
}

function needsTrust(restricted: number, other: number): boolean {
  const isRestricted = (restricted & VMCI_PRIVILEGE_FLAG_RESTRICTED) !== 0;
  return isRestricted && (other & VMCI_PRIVILEGE_FLAG_TRUSTED) === 0;
}
