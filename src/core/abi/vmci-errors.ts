/**
 * Results of VMCI. Mirrors Linux include/linux/vmw_vmci_defs.h. They are no error numbers of the system, though some are
 * as large: -12 is not ENOMEM.
 */

/** Negative ones are failures; positive ones tell more about a success. */
export const VMCI_RESULT = {
  VMCI_SUCCESS_QUEUEPAIR_ATTACH: 5,
  VMCI_SUCCESS_QUEUEPAIR_CREATE: 4,
  VMCI_SUCCESS_LAST_DETACH: 3,
  VMCI_SUCCESS_ACCESS_GRANTED: 2,
  VMCI_SUCCESS_ENTRY_DEAD: 1,
  VMCI_SUCCESS: 0,
  VMCI_ERROR_INVALID_RESOURCE: -1,
  VMCI_ERROR_INVALID_ARGS: -2,
  VMCI_ERROR_NO_MEM: -3,
  VMCI_ERROR_DATAGRAM_FAILED: -4,
  VMCI_ERROR_MORE_DATA: -5,
  VMCI_ERROR_NO_MORE_DATAGRAMS: -6,
  VMCI_ERROR_NO_ACCESS: -7,
  VMCI_ERROR_NO_HANDLE: -8,
  VMCI_ERROR_DUPLICATE_ENTRY: -9,
  VMCI_ERROR_DST_UNREACHABLE: -10,
  VMCI_ERROR_PAYLOAD_TOO_LARGE: -11,
  VMCI_ERROR_INVALID_PRIV: -12,
  VMCI_ERROR_GENERIC: -13,
  VMCI_ERROR_PAGE_ALREADY_SHARED: -14,
  VMCI_ERROR_CANNOT_SHARE_PAGE: -15,
  VMCI_ERROR_CANNOT_UNSHARE_PAGE: -16,
  VMCI_ERROR_NO_PROCESS: -17,
  VMCI_ERROR_NO_DATAGRAM: -18,
  VMCI_ERROR_NO_RESOURCES: -19,
  VMCI_ERROR_UNAVAILABLE: -20,
  VMCI_ERROR_NOT_FOUND: -21,
  VMCI_ERROR_ALREADY_EXISTS: -22,
  VMCI_ERROR_NOT_PAGE_ALIGNED: -23,
  VMCI_ERROR_INVALID_SIZE: -24,
  VMCI_ERROR_REGION_ALREADY_SHARED: -25,
  VMCI_ERROR_TIMEOUT: -26,
  VMCI_ERROR_DATAGRAM_INCOMPLETE: -27,
  VMCI_ERROR_INCORRECT_IRQL: -28,
  VMCI_ERROR_EVENT_UNKNOWN: -29,
  VMCI_ERROR_OBSOLETE: -30,
  VMCI_ERROR_QUEUEPAIR_MISMATCH: -31,
  VMCI_ERROR_QUEUEPAIR_NOTSET: -32,
  VMCI_ERROR_QUEUEPAIR_NOTOWNER: -33,
  VMCI_ERROR_QUEUEPAIR_NOTATTACHED: -34,
  VMCI_ERROR_QUEUEPAIR_NOSPACE: -35,
  VMCI_ERROR_QUEUEPAIR_NODATA: -36,
  VMCI_ERROR_BUSMEM_INVALIDATION: -37,
  VMCI_ERROR_MODULE_NOT_LOADED: -38,
  VMCI_ERROR_DEVICE_NOT_FOUND: -39,
  VMCI_ERROR_QUEUEPAIR_NOT_READY: -40,
  VMCI_ERROR_WOULD_BLOCK: -41,
  VMCI_ERROR_CLIENT_MIN: -500,
  VMCI_ERROR_CLIENT_MAX: -550,
  VMCI_SHAREDMEM_ERROR_BAD_CONTEXT: -1000,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(VMCI_RESULT).map(([name, value]) => [value, name]),
);

/** The header's name of a result; those without one (counts of bytes, clients' own) by their number. */
export function resultName(result: number): string {
  return NAMES.get(result) ?? `${result}`;
}

/** A result as the cause of an error: `code` is its name in the header. */
export class VmciResultError extends Error {
  readonly code: string;
  readonly result: number;

  constructor(result: number) {
    const name = resultName(result);
    const code = name.startsWith('VMCI_') ? name : `rc ${result}`;
    super(code);
    this.name = 'VmciResultError';
    this.code = code;
    this.result = result;
  }
}
