/**
 * System errors as every layer throws them, and the numbers behind their names.
 * Sources: Linux include/uapi/asm-generic/errno{-base,}.h; FreeBSD sys/sys/errno.h.
 */

/** name: [Linux number, FreeBSD number, text]. */
const ERRORS = {
  EPERM: [1, 1, 'operation not permitted'],
  ENOENT: [2, 2, 'no such file or directory'],
  EINTR: [4, 4, 'interrupted'],
  EIO: [5, 5, 'input/output error'],
  ENXIO: [6, 6, 'no such device or address'],
  E2BIG: [7, 7, 'argument too long'],
  EBADF: [9, 9, 'bad file descriptor'],
  EAGAIN: [11, 35, 'resource temporarily unavailable'],
  ENOMEM: [12, 12, 'cannot allocate memory'],
  EACCES: [13, 13, 'permission denied'],
  EFAULT: [14, 14, 'bad address'],
  EBUSY: [16, 16, 'device or resource busy'],
  EEXIST: [17, 17, 'exists already'],
  ENODEV: [19, 19, 'no such device'],
  ENOTDIR: [20, 20, 'not a directory'],
  EISDIR: [21, 21, 'is a directory'],
  EINVAL: [22, 22, 'invalid argument'],
  EMFILE: [24, 24, 'too many open files'],
  ENOTTY: [25, 25, 'the node does not know this ioctl'],
  ENOSPC: [28, 28, 'no space left on device'],
  EPIPE: [32, 32, 'broken pipe'],
  ERANGE: [34, 34, 'result too large'],
  ENAMETOOLONG: [36, 63, 'name too long'],
  ENOSYS: [38, 78, 'function not implemented'],
  EPROTO: [71, 92, 'protocol error'],
  EMSGSIZE: [90, 40, 'message too long'],
  ENOPROTOOPT: [92, 42, 'protocol not available'],
  EPROTONOSUPPORT: [93, 43, 'protocol not supported'],
  ESOCKTNOSUPPORT: [94, 44, 'socket type not supported'],
  EOPNOTSUPP: [95, 45, 'operation not supported'],
  EAFNOSUPPORT: [97, 47, 'address family not supported'],
  EADDRINUSE: [98, 48, 'address already in use'],
  EADDRNOTAVAIL: [99, 49, 'address not available'],
  ENETUNREACH: [101, 51, 'network is unreachable'],
  ECONNABORTED: [103, 53, 'connection aborted'],
  ECONNRESET: [104, 54, 'connection reset by peer'],
  ENOBUFS: [105, 55, 'no buffer space available'],
  EISCONN: [106, 56, 'already connected'],
  ENOTCONN: [107, 57, 'not connected'],
  ETIMEDOUT: [110, 60, 'timed out'],
  ECONNREFUSED: [111, 61, 'connection refused'],
  EHOSTUNREACH: [113, 65, 'no route to host'],
  EALREADY: [114, 37, 'already in progress'],
  EINPROGRESS: [115, 36, 'in progress'],
} as const satisfies Record<string, readonly [number, number, string]>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrnoSystem = 'linux' | 'freebsd';

/** Whether a string names one of the system errors above. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** The number of an error on one system. */
export function errnoOf(code: ErrorCode, system: ErrnoSystem): number {
  return ERRORS[code][system === 'linux' ? 0 : 1];
}

/** The name of an error number on one system, if it is known here. */
export function codeOf(errno: number, system: ErrnoSystem): ErrorCode | undefined {
  const column = system === 'linux' ? 0 : 1;
  for (const [code, row] of Object.entries(ERRORS)) {
    if (row[column] === errno) return code as ErrorCode;
  }
  return undefined;
}

/** The words of an error, without its name. */
export function describeError(code: ErrorCode): string {
  return ERRORS[code][2];
}

export interface ErrorDetails {
  syscall?: string | undefined;
  path?: string | undefined;
  message?: string | undefined;
  hint?: string | undefined;
  cause?: unknown;
}

/** An error that a system call gives: `code` is its name, as in Node's own system errors. */
export class SystemError extends Error {
  readonly code: ErrorCode;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  /** What the user can do about it. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    super(details.message ?? describeError(code), { cause: details.cause });
    this.name = 'SystemError';
    this.code = code;
    this.syscall = details.syscall;
    this.path = details.path;
    this.hint = details.hint;
  }
}
