/**
 * Who is who in VMCI: contexts, resources, privileges, versions. Mirrors Linux include/linux/vmw_vmci_defs.h, a header
 * of the kernel alone. vmci-ioctls.ts has the node, vmci-errors.ts the results.
 */
import { struct, u32 } from './layout.js';

/** struct vmci_handle, 8 bytes: an end of VMCI, a resource of a context. */
export const vmci_handle = struct('vmci_handle', { context: u32, resource: u32 });

/** No context, or no resource; in some places any. */
export const VMCI_INVALID_ID = 0xffffffff;
/** Both are the source of a datagram that nobody can answer. */
export const VMCI_ANON_SRC_CONTEXT_ID = VMCI_INVALID_ID;
export const VMCI_ANON_SRC_RESOURCE_ID = VMCI_INVALID_ID;
/** Its resources are the hypercalls. */
export const VMCI_HYPERVISOR_CONTEXT_ID = 0;
/** Obsolete. */
export const VMCI_WELL_KNOWN_CONTEXT_ID = 1;
/** The host's kernel. Contexts above it count as VMs. */
export const VMCI_HOST_CONTEXT_ID = 2;
/** Contexts that are chosen begin here. */
export const VMCI_RESERVED_CID_LIMIT = 16;
/** The resource that is a context itself. */
export const VMCI_CONTEXT_RESOURCE_ID = 0;
/** The resource of a context that takes its events. */
export const VMCI_EVENT_HANDLER = 0;
/** Resources that are chosen begin above. */
export const VMCI_RESERVED_RESOURCE_ID_MAX = 1023;
/** Watchers of one context, and contexts that are told of one event. Contexts themselves have no limit. */
export const VMCI_MAX_CONTEXTS = 2000;

export const VMCI_NO_PRIVILEGE_FLAGS = 0;
/** Only trusted ones may talk to it. */
export const VMCI_PRIVILEGE_FLAG_RESTRICTED = 1;
export const VMCI_PRIVILEGE_FLAG_TRUSTED = 2;
export const VMCI_PRIVILEGE_ALL_FLAGS = 3;
export const VMCI_DEFAULT_PROC_PRIVILEGE_FLAGS = 0;
export const VMCI_LEAST_PRIVILEGE_FLAGS = 1;
export const VMCI_MAX_PRIVILEGE_FLAGS = 2;

/** Versions are a major number in the upper 16 bits. */
export const VMCI_VERSION_SHIFT_WIDTH = 16;
/** 11.0, the newest: no memory shared between two VMs. */
export const VMCI_VERSION_NOVMVM = 11 << VMCI_VERSION_SHIFT_WIDTH;
export const VMCI_VERSION = VMCI_VERSION_NOVMVM;
/** 10.0: doorbells. */
export const VMCI_VERSION_NOTIFY = 10 << VMCI_VERSION_SHIFT_WIDTH;
/** 9.0: queue pairs between host and guest. */
export const VMCI_VERSION_HOSTQP = 9 << VMCI_VERSION_SHIFT_WIDTH;
export const VMCI_VERSION_PREHOSTQP = 8 << VMCI_VERSION_SHIFT_WIDTH;
/** 1.0, of who never said. */
export const VMCI_VERSION_PREVERS2 = 1 << VMCI_VERSION_SHIFT_WIDTH;

/** Flags of vmci_doorbell_create. */
export const VMCI_FLAG_DELAYED_CB = 1;
/** Doorbells of one context, and bytes of a guest's bitmap of them. */
export const VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES = 4096;

/** A decoded vmci_handle. */
export interface VmciHandleValue {
  /** u32. */
  readonly context: number;
  /** u32. */
  readonly resource: number;
}

export const VMCI_INVALID_HANDLE: VmciHandleValue = {
  context: VMCI_INVALID_ID,
  resource: VMCI_INVALID_ID,
};

/** Both parts are VMCI_INVALID_ID. */
export function isInvalidHandle({ context, resource }: VmciHandleValue): boolean {
  return context === VMCI_INVALID_ID && resource === VMCI_INVALID_ID;
}

/** Whether two handles name one end. */
export function sameHandle(a: VmciHandleValue, b: VmciHandleValue): boolean {
  return a.context === b.context && a.resource === b.resource;
}

/** As people write it, `CID:RID`. */
export function handleText({ context, resource }: VmciHandleValue): string {
  return `${context}:${resource}`;
}
