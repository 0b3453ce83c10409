/** A captured packet as people and scripts read it. */
import {
  opName,
  PATCHSET_2015_TYPE_DGRAM,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SEQ_EOR,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
  virtio_vsock_hdr,
} from '../abi/virtio-vsock.js';
import {
  AF_VSOCK_OP_CONNECT,
  AF_VSOCK_OP_CONTROL,
  AF_VSOCK_OP_DISCONNECT,
  AF_VSOCK_OP_PAYLOAD,
  AF_VSOCK_OP_UNKNOWN,
  AF_VSOCK_TRANSPORT_VIRTIO,
  af_vsockmon_hdr,
} from '../abi/vsockmon.js';
import type { TappedPacket, VsockAddress } from '../backend/port/vsock.js';

/** What `vsock capture --json` prints of a packet. What the transport does not tell is null. */
export interface CapturedPacket {
  /** ISO 8601, UTC, with microseconds. */
  time: string;
  src: VsockAddress;
  dst: VsockAddress;
  /** `REQUEST`, ... of virtio; `CONNECT`, `DISCONNECT`, `CONTROL` or `PAYLOAD` of other transports. */
  op: string;
  /** `stream`, `seqpacket`, `dgram`, or the number of another one. */
  type: string | null;
  /** Bytes of payload. */
  len: number;
  flags: number | null;
  bufAlloc: number | null;
  fwdCnt: number | null;
}

const TYPES: Readonly<Record<number, string>> = {
  [VIRTIO_VSOCK_TYPE_STREAM]: 'stream',
  [VIRTIO_VSOCK_TYPE_SEQPACKET]: 'seqpacket',
  [PATCHSET_2015_TYPE_DGRAM]: 'dgram',
};

const MONITOR_OPS: Readonly<Record<number, string>> = {
  [AF_VSOCK_OP_UNKNOWN]: 'UNKNOWN',
  [AF_VSOCK_OP_CONNECT]: 'CONNECT',
  [AF_VSOCK_OP_DISCONNECT]: 'DISCONNECT',
  [AF_VSOCK_OP_CONTROL]: 'CONTROL',
  [AF_VSOCK_OP_PAYLOAD]: 'PAYLOAD',
};

/** The names of the bits of `flags`, by the operation that has them. */
const FLAGS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  [opName(VIRTIO_VSOCK_OP_SHUTDOWN)]: {
    [VIRTIO_VSOCK_SHUTDOWN_RCV]: 'RCV',
    [VIRTIO_VSOCK_SHUTDOWN_SEND]: 'SEND',
  },
  [opName(VIRTIO_VSOCK_OP_RW)]: { [VIRTIO_VSOCK_SEQ_EOM]: 'EOM', [VIRTIO_VSOCK_SEQ_EOR]: 'EOR' },
};

/** @throws RangeError when the frame has not even a header of vsockmon. */
export function readPacket({ frame, timeUs, length }: TappedPacket): CapturedPacket {
  const monitor = af_vsockmon_hdr.decode(frame);
  const common = {
    time: timeText(timeUs),
    src: { cid: Number(monitor.src_cid), port: monitor.src_port },
    dst: { cid: Number(monitor.dst_cid), port: monitor.dst_port },
  };
  const header = frame.subarray(af_vsockmon_hdr.size);
  const isVirtio = monitor.transport === AF_VSOCK_TRANSPORT_VIRTIO;
  if (!isVirtio || monitor.len < virtio_vsock_hdr.size || header.length < virtio_vsock_hdr.size) {
    const op = MONITOR_OPS[monitor.op] ?? `op ${monitor.op}`;
    const len = Math.max(0, length - af_vsockmon_hdr.size - monitor.len);
    return { ...common, op, type: null, len, flags: null, bufAlloc: null, fwdCnt: null };
  }
  const { op, type, len, flags, buf_alloc, fwd_cnt } = virtio_vsock_hdr.decode(header);
  return {
    ...common,
    op: opName(op),
    type: TYPES[type] ?? String(type),
    len,
    flags,
    bufAlloc: buf_alloc,
    fwdCnt: fwd_cnt,
  };
}

/** One line. The time of day is in UTC. */
export function packetText(packet: CapturedPacket): string {
  const { time, src, dst, op, type, len, flags, bufAlloc, fwdCnt } = packet;
  const start = `${time.slice(11, -1)} ${src.cid}:${src.port} > ${dst.cid}:${dst.port} ${op}`;
  if (type === null) return `${start} len ${len}`;
  const bits = flagsText(op, flags ?? 0);
  return `${start} ${type} len ${len} flags ${bits} buf_alloc ${bufAlloc} fwd_cnt ${fwdCnt}`;
}

/** The names of the bits; the number when one has no name. */
function flagsText(op: string, flags: number): string {
  const names = Object.entries(FLAGS[op] ?? {}).filter(([bit]) => (flags & Number(bit)) !== 0);
  const named = names.reduce((sum, [bit]) => sum + Number(bit), 0);
  if (flags === 0 || named !== flags) return String(flags);
  return names.map(([, name]) => name).join(',');
}

function timeText(timeUs: number): string {
  const text = new Date(Math.floor(timeUs / 1000)).toISOString();
  return `${text.slice(0, -1)}${String(timeUs % 1000).padStart(3, '0')}Z`;
}
