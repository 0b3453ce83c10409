/** What a result of VMCI is to a program with a socket. Source: Linux net/vmw_vsock/vmci_transport.c. */
import { type ErrorCode, SystemError } from '../../abi/errno.js';
import { VMCI_RESULT as R, VmciResultError } from '../../abi/vmci-errors.js';

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [R.VMCI_ERROR_NO_MEM, 'ENOMEM'],
  [R.VMCI_ERROR_DUPLICATE_ENTRY, 'EADDRINUSE'],
  [R.VMCI_ERROR_ALREADY_EXISTS, 'EADDRINUSE'],
  [R.VMCI_ERROR_NO_ACCESS, 'EPERM'],
  [R.VMCI_ERROR_NO_RESOURCES, 'ENOBUFS'],
  [R.VMCI_ERROR_INVALID_RESOURCE, 'EHOSTUNREACH'],
]);

/** All others are EINVAL. */
export function errorOf(result: number): ErrorCode {
  return CODES.get(result) ?? 'EINVAL';
}

/** @throws SystemError for a negative result, which is its cause. */
export function check(result: number, syscall: string): void {
  if (result >= 0) return;
  throw new SystemError(errorOf(result), { syscall, cause: new VmciResultError(result) });
}
