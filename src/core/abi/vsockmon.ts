/** What stands before each packet that vsockmon captures. Mirrors Linux include/uapi/linux/vsockmon.h. */
import { bytes, struct, u16, u32, u64 } from './layout.js';

/** The type of the network device that captures are made on. Source: Linux include/uapi/linux/if_arp.h. */
export const ARPHRD_VSOCKMON = 826;

export const AF_VSOCK_OP_UNKNOWN = 0;
export const AF_VSOCK_OP_CONNECT = 1;
export const AF_VSOCK_OP_DISCONNECT = 2;
export const AF_VSOCK_OP_CONTROL = 3;
export const AF_VSOCK_OP_PAYLOAD = 4;

export const AF_VSOCK_TRANSPORT_UNKNOWN = 0;
export const AF_VSOCK_TRANSPORT_NO_INFO = 1;
export const AF_VSOCK_TRANSPORT_VIRTIO = 2;

/** `len` is the size of the transport's header that follows, bytes; the payload comes after that. */
export const af_vsockmon_hdr = struct('af_vsockmon_hdr', {
  src_cid: u64,
  dst_cid: u64,
  src_port: u32,
  dst_port: u32,
  op: u16,
  transport: u16,
  len: u16,
  reserved: bytes(2),
});
