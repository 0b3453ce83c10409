/** AF_VSOCK as programs see it. Mirrors Linux include/uapi/linux/vm_sockets.h and net/vmw_vsock/af_vsock.c. */
import { bytes, i64, struct, u8, u16, u32 } from './layout.js';

export const AF_VSOCK = 40;

export const VMADDR_CID_ANY = 0xffffffff;
export const VMADDR_CID_HYPERVISOR = 0;
export const VMADDR_CID_LOCAL = 1;
export const VMADDR_CID_HOST = 2;
export const VMADDR_PORT_ANY = 0xffffffff;
export const VMADDR_FLAG_TO_HOST = 1;

/** The lowest CID that a guest may have. */
export const FIRST_GUEST_CID = 3;
/** The highest one. */
export const LAST_GUEST_CID = VMADDR_CID_ANY - 1;

/** Asks /dev/vsock for the machine's CID: an unsigned int is written to the argument. */
export const IOCTL_VM_SOCKETS_GET_LOCAL_CID = 0x7b9;

export const SO_VM_SOCKETS_BUFFER_SIZE = 0;
export const SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1;
export const SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2;
export const SO_VM_SOCKETS_PEER_HOST_VM_ID = 3;
export const SO_VM_SOCKETS_TRUSTED = 5;
export const SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6;
export const SO_VM_SOCKETS_NONBLOCK_TXRX = 7;
export const SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8;

/** Bytes. Source: VSOCK_DEFAULT_BUFFER_* in net/vmw_vsock/af_vsock.c. */
export const VSOCK_DEFAULT_BUFFER_SIZE = 262144;
export const VSOCK_DEFAULT_BUFFER_MAX_SIZE = 262144;
export const VSOCK_DEFAULT_BUFFER_MIN_SIZE = 128;
/** Milliseconds. */
export const VSOCK_DEFAULT_CONNECT_TIMEOUT_MS = 2000;
/** How long close() waits for the peer's RST, milliseconds. */
export const VSOCK_CLOSE_TIMEOUT_MS = 8000;
/** Ports up to this one need CAP_NET_BIND_SERVICE. */
export const LAST_RESERVED_PORT = 1023;
/** How many ports an automatic bind tries. */
export const MAX_PORT_RETRIES = 24;
/** The largest backlog that listen() keeps (net.core.somaxconn). */
export const SOMAXCONN = 4096;

export const sockaddr_vm = struct('sockaddr_vm', {
  svm_family: u16,
  svm_reserved1: u16,
  svm_port: u32,
  svm_cid: u32,
  svm_flags: u8,
  svm_zero: bytes(3),
});

/** The value of SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW. Mirrors struct __kernel_sock_timeval. */
export const timeval64 = struct('__kernel_sock_timeval', { tv_sec: i64, tv_usec: i64 });

/** Whether a number can be the CID of a guest. Source: vhost_vsock_set_cid in drivers/vhost/vsock.c. */
export function isGuestCid(cid: number): boolean {
  return Number.isInteger(cid) && cid >= FIRST_GUEST_CID && cid <= LAST_GUEST_CID;
}
