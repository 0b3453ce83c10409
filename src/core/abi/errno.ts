/**
 * System errors as every layer throws them, and the numbers behind their names.
 * Sources: Linux include/uapi/asm-generic/errno{-base,}.h; FreeBSD sys/sys/errno.h.
 */

/** name: [Linux number, FreeBSD number or null where FreeBSD has no such error, text]. */
const ERRORS = {
  EPERM: [1, 1, 'operation not permitted'],
  ENOENT: [2, 2, 'no such file or directory'],
  ESRCH: [3, 3, 'no such process'],
  EINTR: [4, 4, 'interrupted'],
  EIO: [5, 5, 'input/output error'],
  ENXIO: [6, 6, 'no such device or address'],
  E2BIG: [7, 7, 'argument too long'],
  ENOEXEC: [8, 8, 'not an executable format'],
  EBADF: [9, 9, 'bad file descriptor'],
  EAGAIN: [11, 35, 'resource temporarily unavailable'],
  ENOMEM: [12, 12, 'cannot allocate memory'],
  EACCES: [13, 13, 'permission denied'],
  EFAULT: [14, 14, 'bad address'],
  EBUSY: [16, 16, 'device or resource busy'],
  EEXIST: [17, 17, 'exists already'],
  EXDEV: [18, 18, 'cross-device link'],
  ENODEV: [19, 19, 'no such device'],
  ENOTDIR: [20, 20, 'not a directory'],
  EISDIR: [21, 21, 'is a directory'],
  EINVAL: [22, 22, 'invalid argument'],
  ENFILE: [23, 23, 'too many open files in the system'],
  EMFILE: [24, 24, 'too many open files'],
  ENOTTY: [25, 25, 'the node does not know this ioctl'],
  ETXTBSY: [26, 26, 'text file busy'],
  EFBIG: [27, 27, 'file too large'],
  ENOSPC: [28, 28, 'no space left on device'],
  ESPIPE: [29, 29, 'illegal seek'],
  EROFS: [30, 30, 'read-only file system'],
  EPIPE: [32, 32, 'broken pipe'],
  ERANGE: [34, 34, 'result too large'],
  EDEADLK: [35, 11, 'resource deadlock avoided'],
  ENAMETOOLONG: [36, 63, 'name too long'],
  ENOLCK: [37, 77, 'no locks available'],
  ENOSYS: [38, 78, 'function not implemented'],
  ENOTEMPTY: [39, 66, 'directory not empty'],
  ELOOP: [40, 62, 'too many symbolic links'],
  ENODATA: [61, null, 'no data available'],
  ENONET: [64, null, 'not on a network'],
  EPROTO: [71, 92, 'protocol error'],
  ENOTUNIQ: [76, null, 'name is not unique on the network'],
  EILSEQ: [84, 86, 'illegal byte sequence'],
  ENOTSOCK: [88, 38, 'not a socket'],
  EDESTADDRREQ: [89, 39, 'destination address required'],
  EMSGSIZE: [90, 40, 'message too long'],
  EPROTOTYPE: [91, 41, 'wrong protocol type for the socket'],
  ENOPROTOOPT: [92, 42, 'protocol not available'],
  EPROTONOSUPPORT: [93, 43, 'protocol not supported'],
  ESOCKTNOSUPPORT: [94, 44, 'socket type not supported'],
  EOPNOTSUPP: [95, 45, 'operation not supported'],
  EPFNOSUPPORT: [96, 46, 'protocol family not supported'],
  EAFNOSUPPORT: [97, 47, 'address family not supported'],
  EADDRINUSE: [98, 48, 'address already in use'],
  EADDRNOTAVAIL: [99, 49, 'address not available'],
  ENETDOWN: [100, 50, 'network is down'],
  ENETUNREACH: [101, 51, 'network is unreachable'],
  ENETRESET: [102, 52, 'connection dropped by the network'],
  ECONNABORTED: [103, 53, 'connection aborted'],
  ECONNRESET: [104, 54, 'connection reset by peer'],
  ENOBUFS: [105, 55, 'no buffer space available'],
  EISCONN: [106, 56, 'already connected'],
  ENOTCONN: [107, 57, 'not connected'],
  ESHUTDOWN: [108, 58, 'sending after a shutdown'],
  ETOOMANYREFS: [109, 59, 'too many references'],
  ETIMEDOUT: [110, 60, 'timed out'],
  ECONNREFUSED: [111, 61, 'connection refused'],
  EHOSTDOWN: [112, 64, 'host is down'],
  EHOSTUNREACH: [113, 65, 'no route to host'],
  EALREADY: [114, 37, 'already in progress'],
  EINPROGRESS: [115, 36, 'in progress'],
  ENOMEDIUM: [123, null, 'no medium found'],
  EMEDIUMTYPE: [124, null, 'wrong medium type'],
} as const satisfies Record<string, readonly [number, number | null, string]>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrnoSystem = 'linux' | 'freebsd';

/** Whether a string names one of the system errors above. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** The number of an error on one system; that of EIO where the system has no such error. */
export function errnoOf(code: ErrorCode, system: ErrnoSystem): number {
  return ERRORS[code][system === 'linux' ? 0 : 1] ?? errnoOf('EIO', system);
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
