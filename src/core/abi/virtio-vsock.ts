/** Packets of the virtio socket device. Mirrors Linux include/uapi/linux/virtio_vsock.h (virtio 1.2, section 5.10). */
import { struct, u16, u32, u64 } from './layout.js';

export const VIRTIO_ID_VSOCK = 19;
/** Number of a feature bit. */
export const VIRTIO_VSOCK_F_SEQPACKET = 1;
export const VIRTIO_VSOCK_EVENT_TRANSPORT_RESET = 0;

export const VIRTIO_VSOCK_TYPE_STREAM = 1;
export const VIRTIO_VSOCK_TYPE_SEQPACKET = 2;
/** The type of a datagram in the patch set of 2015; no published header has a number for it. */
export const PATCHSET_2015_TYPE_DGRAM = 3;

export const VIRTIO_VSOCK_OP_INVALID = 0;
export const VIRTIO_VSOCK_OP_REQUEST = 1;
export const VIRTIO_VSOCK_OP_RESPONSE = 2;
export const VIRTIO_VSOCK_OP_RST = 3;
export const VIRTIO_VSOCK_OP_SHUTDOWN = 4;
export const VIRTIO_VSOCK_OP_RW = 5;
export const VIRTIO_VSOCK_OP_CREDIT_UPDATE = 6;
export const VIRTIO_VSOCK_OP_CREDIT_REQUEST = 7;
/** The third packet of the handshake of 2015; a number that the published header leaves free. */
export const PATCHSET_2015_OP_ACK = 8;

export const VIRTIO_VSOCK_SHUTDOWN_RCV = 1;
export const VIRTIO_VSOCK_SHUTDOWN_SEND = 2;
export const VIRTIO_VSOCK_SHUTDOWN_MASK = 3;
export const VIRTIO_VSOCK_SEQ_EOM = 1;
export const VIRTIO_VSOCK_SEQ_EOR = 2;

/** The largest payload of a packet, bytes. Source: include/linux/virtio_vsock.h. */
export const VIRTIO_VSOCK_MAX_PKT_BUF_SIZE = 65536;
/** The largest buffer that a header can tell, bytes. Source: Linux include/linux/virtio_vsock.h. */
export const VIRTIO_VSOCK_MAX_BUF_SIZE = 0xffffffff;

export const virtio_vsock_hdr = struct(
  'virtio_vsock_hdr',
  {
    src_cid: u64,
    dst_cid: u64,
    src_port: u32,
    dst_port: u32,
    len: u32,
    type: u16,
    op: u16,
    flags: u32,
    buf_alloc: u32,
    fwd_cnt: u32,
  },
  { packed: true },
);

export const virtio_vsock_config = struct(
  'virtio_vsock_config',
  { guest_cid: u64 },
  { packed: true },
);
export const virtio_vsock_event = struct('virtio_vsock_event', { id: u32 }, { packed: true });

/** A header's fields. CIDs are u64 on the wire; one that is above 2^53 is rounded, and routes nowhere. */
export interface PacketHeader {
  srcCid: number;
  dstCid: number;
  srcPort: number;
  dstPort: number;
  /** Bytes of payload. */
  len: number;
  type: number;
  op: number;
  flags: number;
  bufAlloc: number;
  fwdCnt: number;
}

const AT = {
  srcCid: virtio_vsock_hdr.offset('src_cid'),
  dstCid: virtio_vsock_hdr.offset('dst_cid'),
  srcPort: virtio_vsock_hdr.offset('src_port'),
  dstPort: virtio_vsock_hdr.offset('dst_port'),
  len: virtio_vsock_hdr.offset('len'),
  type: virtio_vsock_hdr.offset('type'),
  op: virtio_vsock_hdr.offset('op'),
  flags: virtio_vsock_hdr.offset('flags'),
  bufAlloc: virtio_vsock_hdr.offset('buf_alloc'),
  fwdCnt: virtio_vsock_hdr.offset('fwd_cnt'),
};
const WORD = 2 ** 32;

/** Encodes a header into 44 bytes. Every packet passes here, so it does not go through the generic encoder. */
export function encodeHeader(header: PacketHeader): Uint8Array {
  const data = new Uint8Array(virtio_vsock_hdr.size);
  const view = new DataView(data.buffer);
  writeCid(view, AT.srcCid, header.srcCid);
  writeCid(view, AT.dstCid, header.dstCid);
  view.setUint32(AT.srcPort, header.srcPort, true);
  view.setUint32(AT.dstPort, header.dstPort, true);
  view.setUint32(AT.len, header.len, true);
  view.setUint16(AT.type, header.type, true);
  view.setUint16(AT.op, header.op, true);
  view.setUint32(AT.flags, header.flags, true);
  view.setUint32(AT.bufAlloc, header.bufAlloc, true);
  view.setUint32(AT.fwdCnt, header.fwdCnt, true);
  return data;
}

/** Decodes the first 44 bytes. @throws RangeError when there are fewer. */
export function decodeHeader(data: Uint8Array): PacketHeader {
  if (data.length < virtio_vsock_hdr.size) {
    throw new RangeError(`a vsock header is ${virtio_vsock_hdr.size} bytes, not ${data.length}`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return {
    srcCid: readCid(view, AT.srcCid),
    dstCid: readCid(view, AT.dstCid),
    srcPort: view.getUint32(AT.srcPort, true),
    dstPort: view.getUint32(AT.dstPort, true),
    len: view.getUint32(AT.len, true),
    type: view.getUint16(AT.type, true),
    op: view.getUint16(AT.op, true),
    flags: view.getUint32(AT.flags, true),
    bufAlloc: view.getUint32(AT.bufAlloc, true),
    fwdCnt: view.getUint32(AT.fwdCnt, true),
  };
}

function writeCid(view: DataView, offset: number, cid: number): void {
  view.setUint32(offset, cid % WORD, true);
  view.setUint32(offset + 4, Math.floor(cid / WORD), true);
}

function readCid(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * WORD;
}

const OPS: Record<number, string> = {
  [VIRTIO_VSOCK_OP_INVALID]: 'INVALID',
  [VIRTIO_VSOCK_OP_REQUEST]: 'REQUEST',
  [VIRTIO_VSOCK_OP_RESPONSE]: 'RESPONSE',
  [VIRTIO_VSOCK_OP_RST]: 'RST',
  [VIRTIO_VSOCK_OP_SHUTDOWN]: 'SHUTDOWN',
  [VIRTIO_VSOCK_OP_RW]: 'RW',
  [VIRTIO_VSOCK_OP_CREDIT_UPDATE]: 'CREDIT_UPDATE',
  [VIRTIO_VSOCK_OP_CREDIT_REQUEST]: 'CREDIT_REQUEST',
  [PATCHSET_2015_OP_ACK]: 'ACK',
};

/** The name of an operation, as traces and counters print it. */
export function opName(op: number): string {
  return OPS[op] ?? `op ${op}`;
}

/** One line for traces and test titles. */
export function describePacket(header: PacketHeader): string {
  const { srcCid, srcPort, dstCid, dstPort, op, type, len, flags, bufAlloc, fwdCnt } = header;
  return (
    `${srcCid}:${srcPort} > ${dstCid}:${dstPort} ${opName(op)} type ${type} len ${len} ` +
    `flags ${flags} buf_alloc ${bufAlloc} fwd_cnt ${fwdCnt}`
  );
}
