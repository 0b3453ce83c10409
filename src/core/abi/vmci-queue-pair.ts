/** Numbers of VMCI's queue pairs. Mirrors Linux include/linux/vmw_vmci_defs.h and vmci_queue_pair.c. */

/** Flags of an allocation. */
export const VMCI_QPFLAG_ATTACH_ONLY = 1;
/** Both ends are in one context. */
export const VMCI_QPFLAG_LOCAL = 2;
export const VMCI_QPFLAG_NONBLOCK = 4;
export const VMCI_QPFLAG_PINNED = 8;
export const VMCI_QP_ALL_FLAGS = 15;
/** Flags in which the ends may differ, and which the attaching one may have more. */
export const VMCI_QP_ASYMM = VMCI_QPFLAG_NONBLOCK | VMCI_QPFLAG_PINNED;
export const VMCI_QP_ASYMM_PEER = VMCI_QPFLAG_ATTACH_ONLY | VMCI_QP_ASYMM;

/** FreeBSD has no PINNED. */
export const VMCI_QP_FLAGS_FREEBSD = {
  VMCI_QP_ALL_FLAGS: 7,
  VMCI_QP_ASYMM: 4,
  VMCI_QP_ASYMM_PEER: 5,
} as const;

/** Bytes of both queues together. */
export const VMCI_MAX_GUEST_QP_MEMORY = 128 * 1024 * 1024;
/** Queue pairs of one context. */
export const VMCI_MAX_GUEST_QP_COUNT_4K_PAGES = 16384;

/** States of a pair between host and guest. */
export const VMCIQPB_NEW = 0;
export const VMCIQPB_CREATED_NO_MEM = 1;
export const VMCIQPB_CREATED_MEM = 2;
export const VMCIQPB_ATTACHED_NO_MEM = 3;
export const VMCIQPB_ATTACHED_MEM = 4;
export const VMCIQPB_SHUTDOWN_NO_MEM = 5;
export const VMCIQPB_SHUTDOWN_MEM = 6;
export const VMCIQPB_GONE = 7;

const STATE_NAMES = [
  'NEW',
  'CREATED_NO_MEM',
  'CREATED_MEM',
  'ATTACHED_NO_MEM',
  'ATTACHED_MEM',
  'SHUTDOWN_NO_MEM',
  'SHUTDOWN_MEM',
  'GONE',
];

const FLAG_NAMES: readonly [flag: number, name: string][] = [
  [VMCI_QPFLAG_ATTACH_ONLY, 'ATTACH_ONLY'],
  [VMCI_QPFLAG_LOCAL, 'LOCAL'],
  [VMCI_QPFLAG_NONBLOCK, 'NONBLOCK'],
  [VMCI_QPFLAG_PINNED, 'PINNED'],
];

/** The name of a state, without its prefix. */
export function pairStateName(state: number): string {
  return STATE_NAMES[state] ?? `state ${state}`;
}

/** The names of flags, without their prefix. */
export function pairFlagNames(flags: number): string[] {
  return FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name);
}
