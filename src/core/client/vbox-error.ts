/** What a status of VirtualBox means to the one whose call it ended, as an error of the house. */
import { type ErrorCode, type ErrorDetails, SystemError } from '../abi/errno.js';
import {
  VBOX_STATUS,
  type VboxStatusName,
  vbg_status_code_to_errno,
  vboxStatusName,
} from '../abi/vbox-err.js';

/** A status as the cause of an error: `code` is its name in the header. */
export class VboxStatusError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(status: number) {
    const name = vboxStatusName(status);
    super(name);
    this.name = 'VboxStatusError';
    this.code = name;
    this.status = status;
  }
}

/** Where the driver's own table has no error, or one of another meaning than the exit statuses have. */
const MEANINGS: Readonly<Partial<Record<VboxStatusName, ErrorCode>>> = {
  VERR_NOT_FOUND: 'ENOENT',
  VERR_HGCM_SERVICE_NOT_FOUND: 'ENOENT',
  VERR_PERMISSION_DENIED: 'EACCES',
  VINF_PERMISSION_DENIED: 'EACCES',
  VERR_ACCESS_DENIED: 'EACCES',
  VINF_HGCM_CLIENT_REJECTED: 'EACCES',
  VERR_NOT_IMPLEMENTED: 'EOPNOTSUPP',
  VERR_NOT_SUPPORTED: 'EOPNOTSUPP',
  VERR_NOT_AVAILABLE: 'EOPNOTSUPP',
  VERR_BUFFER_OVERFLOW: 'ERANGE',
  VERR_OUT_OF_RANGE: 'ERANGE',
  VERR_PARSE_ERROR: 'EINVAL',
  VERR_INVALID_FLAGS: 'EINVAL',
  VERR_INVALID_UTF8_ENCODING: 'EINVAL',
  VERR_WRONG_TYPE: 'EINVAL',
  VERR_WRONG_PARAMETER_COUNT: 'EINVAL',
  VERR_WRONG_PARAMETER_TYPE: 'EINVAL',
  VERR_NO_STRING_TERMINATOR: 'EINVAL',
  VERR_OUT_OF_RESOURCES: 'EAGAIN',
  VERR_HGCM_TOO_MANY_CLIENT_CALLS: 'EAGAIN',
  VERR_HGCM_TOO_MANY_CLIENTS: 'EMFILE',
  VERR_HGCM_INVALID_CLIENT_ID: 'EBADF',
  VERR_CANCELLED: 'EINTR',
};

const CODES = new Map<number, ErrorCode | undefined>(
  Object.entries(MEANINGS).map(([name, code]) => [VBOX_STATUS[name as VboxStatusName], code]),
);

/** `[message, hint]` by the status that they are for. */
export type StatusWords = Readonly<
  Partial<Record<VboxStatusName, readonly [message: string, hint?: string]>>
>;

/** The error for a status, under the code of its meaning; the status itself is the cause. */
export function vboxError(
  status: number,
  words: StatusWords = {},
  otherwise: Pick<ErrorDetails, 'message' | 'path'> = {},
): SystemError {
  const code = CODES.get(status) ?? vbg_status_code_to_errno(status) ?? 'EPROTO';
  const [message, hint] = words[vboxStatusName(status) as VboxStatusName] ?? [];
  const details = message === undefined ? otherwise : { message, hint };
  return new SystemError(code, { ...details, cause: new VboxStatusError(status) });
}
