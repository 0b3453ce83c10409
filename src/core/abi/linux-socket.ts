/** Sockets of Linux as programs see them. Mirrors <sys/socket.h> and asm-generic/socket.h (x86, arm, riscv). */

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
/** Flags of socket(2) and accept4(2). */
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const SOL_SOCKET = 1;
export const SO_TYPE = 3;
/** Reading it clears it. */
export const SO_ERROR = 4;
export const SO_ACCEPTCONN = 30;
/** How long a send may wait, as a struct __kernel_sock_timeval; zero is for ever. */
export const SO_SNDTIMEO_NEW = 67;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
/** Whatever the socket's mode, the call does not wait. */
export const MSG_DONTWAIT = 0x40;
/** ioctl(2): an int says whether calls wait (0) or not. Source: Linux include/uapi/asm-generic/ioctls.h. */
export const FIONBIO = 0x5421;
/** recv(2) returns a message's whole length, however much of it there was room for. */
export const MSG_TRUNC = 0x20;
/** No SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;

/** System calls without a function of their own in every C library. Source: asm-generic/unistd.h. */
export const SYS_pidfd_open = 434;
export const SYS_pidfd_getfd = 438;
