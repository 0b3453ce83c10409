/** What stands before each packet that vsockmon captures. Mirrors Linux include/uapi/linux/vsockmon.h. */
import { bytes, struct, u16, u32, u64 } from './layout.js';
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  virtio_vsock_hdr,
} from './virtio-vsock.js';

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

/** The operation that one of virtio counts as. Source: Linux net/vmw_vsock/virtio_transport_common.c. */
const OP_OF_VIRTIO: Readonly<Record<number, number>> = {
  [VIRTIO_VSOCK_OP_REQUEST]: AF_VSOCK_OP_CONNECT,
  [VIRTIO_VSOCK_OP_RESPONSE]: AF_VSOCK_OP_CONNECT,
  [VIRTIO_VSOCK_OP_RST]: AF_VSOCK_OP_DISCONNECT,
  [VIRTIO_VSOCK_OP_SHUTDOWN]: AF_VSOCK_OP_DISCONNECT,
  [VIRTIO_VSOCK_OP_RW]: AF_VSOCK_OP_PAYLOAD,
  [VIRTIO_VSOCK_OP_CREDIT_UPDATE]: AF_VSOCK_OP_CONTROL,
  [VIRTIO_VSOCK_OP_CREDIT_REQUEST]: AF_VSOCK_OP_CONTROL,
};

/** Bytes before the payload of a captured virtio packet. */
export const VSOCKMON_VIRTIO_HEADERS = af_vsockmon_hdr.size + virtio_vsock_hdr.size;

/** Addresses stand alike at the beginning of both headers. */
const ADDRESSES = af_vsockmon_hdr.offset('op');
const VIRTIO_OP = virtio_vsock_hdr.offset('op');

/** Writes vsockmon's header and that of a virtio packet in place, VSOCKMON_VIRTIO_HEADERS bytes. */
export function writeMonitorHeaders(into: Uint8Array, at: number, header: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset + at, af_vsockmon_hdr.size);
  const virtio = new DataView(header.buffer, header.byteOffset, virtio_vsock_hdr.size);
  const op = OP_OF_VIRTIO[virtio.getUint16(VIRTIO_OP, true)] ?? AF_VSOCK_OP_UNKNOWN;
  into.set(header.subarray(0, ADDRESSES), at);
  view.setUint16(af_vsockmon_hdr.offset('op'), op, true);
  view.setUint16(af_vsockmon_hdr.offset('transport'), AF_VSOCK_TRANSPORT_VIRTIO, true);
  view.setUint16(af_vsockmon_hdr.offset('len'), virtio_vsock_hdr.size, true);
  view.setUint16(af_vsockmon_hdr.offset('reserved'), 0, true);
  into.set(header, at + af_vsockmon_hdr.size);
}
