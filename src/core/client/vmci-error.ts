/** What a result of VMCI means to the one whose call it ended, as an error of the house. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { resultName, type VMCI_RESULT, VmciResultError } from '../abi/vmci-errors.js';

export type VmciResultName = keyof typeof VMCI_RESULT;

/** `[message, hint]` by the result that they are for. */
export type VmciWords = Readonly<
  Partial<Record<VmciResultName, readonly [message: string, hint?: string]>>
>;

interface Meaning {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** The results that a caller may meet; the header gives them no error numbers. */
const MEANINGS: Readonly<Partial<Record<VmciResultName, Meaning>>> = {
  VMCI_ERROR_INVALID_RESOURCE: { code: 'EHOSTUNREACH', message: 'nobody has that resource' },
  VMCI_ERROR_NOT_FOUND: { code: 'EHOSTUNREACH', message: 'there is no such endpoint' },
  VMCI_ERROR_DST_UNREACHABLE: {
    code: 'EHOSTUNREACH',
    message: 'no way leads there',
    hint: 'VMCI connects a VM with its host, and no VM with another one',
  },
  VMCI_ERROR_QUEUEPAIR_NOTATTACHED: { code: 'EHOSTUNREACH', message: 'nobody is attached' },
  VMCI_ERROR_INVALID_ARGS: { code: 'EINVAL', message: 'VMCI refuses the arguments' },
  VMCI_ERROR_INVALID_SIZE: { code: 'EINVAL', message: 'VMCI refuses the size' },
  VMCI_ERROR_QUEUEPAIR_MISMATCH: {
    code: 'EINVAL',
    message: 'sizes or flags are other ones than the creator gave',
  },
  VMCI_ERROR_EVENT_UNKNOWN: { code: 'EINVAL', message: 'there is no such event' },
  VMCI_ERROR_NO_MEM: {
    code: 'ENOMEM',
    message: 'there is not enough memory, or a limit is reached',
  },
  VMCI_ERROR_NO_RESOURCES: {
    code: 'ENOBUFS',
    message: 'the queue is full, or a limit is reached',
  },
  VMCI_ERROR_PAYLOAD_TOO_LARGE: { code: 'EMSGSIZE', message: 'the payload is too long' },
  VMCI_ERROR_NO_ACCESS: {
    code: 'EACCES',
    message: 'VMCI does not allow it',
    hint: 'a restricted end talks to trusted ones only, and each speaks for its own context',
  },
  VMCI_ERROR_INVALID_PRIV: { code: 'EPERM', message: 'these privileges are not to be had' },
  VMCI_ERROR_QUEUEPAIR_NOTOWNER: { code: 'EPERM', message: 'the queue pair belongs to another' },
  VMCI_ERROR_ALREADY_EXISTS: { code: 'EEXIST', message: 'there is one already' },
  VMCI_ERROR_DUPLICATE_ENTRY: { code: 'EEXIST', message: 'there is one already' },
  VMCI_ERROR_UNAVAILABLE: { code: 'EBUSY', message: 'it can not be had now' },
  VMCI_ERROR_NO_HANDLE: { code: 'EBADF', message: 'there is no such handle here' },
  VMCI_ERROR_TIMEOUT: { code: 'ETIMEDOUT', message: 'it took too long' },
  VMCI_ERROR_WOULD_BLOCK: { code: 'EAGAIN', message: 'nothing can be done at once' },
  VMCI_ERROR_QUEUEPAIR_NOT_READY: { code: 'EAGAIN', message: 'the queue pair is not ready' },
  VMCI_ERROR_QUEUEPAIR_NOSPACE: { code: 'EAGAIN', message: 'the queue is full' },
  VMCI_ERROR_QUEUEPAIR_NODATA: { code: 'EAGAIN', message: 'the queue is empty' },
  VMCI_ERROR_NO_MORE_DATAGRAMS: { code: 'EAGAIN', message: 'no datagram waits' },
  VMCI_ERROR_OBSOLETE: { code: 'EOPNOTSUPP', message: 'that is obsolete' },
  VMCI_ERROR_DEVICE_NOT_FOUND: { code: 'ENODEV', message: 'the machine has no device of VMCI' },
  VMCI_ERROR_MODULE_NOT_LOADED: { code: 'ENODEV', message: 'a module of VMCI is not loaded' },
};

/** The error for a result, under the code of its meaning; the result itself is the cause. */
export function vmciError(result: number, words: VmciWords = {}): SystemError {
  const name = resultName(result) as VmciResultName;
  const meaning = MEANINGS[name] ?? { code: 'EPROTO', message: 'VMCI failed' };
  const [message, hint] = words[name] ?? [meaning.message, meaning.hint];
  return new SystemError(meaning.code, { message, hint, cause: new VmciResultError(result) });
}

/** The result of a call. @throws SystemError for a negative one. */
export function checkVmci(result: number, words: VmciWords = {}): number {
  if (result < 0) throw vmciError(result, words);
  return result;
}
