/** What poll(2) says of a descriptor. Source: Linux include/uapi/asm-generic/poll.h; FreeBSD has the same numbers. */
export const POLLIN = 0x1;
export const POLLPRI = 0x2;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
