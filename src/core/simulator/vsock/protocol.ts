/**
 * What packets do to a socket, and which packet a socket sends next.
 * Follows net/vmw_vsock/virtio_transport_common.c of Linux, state by state.
 */
import {
  encodeHeader,
  PATCHSET_2015_OP_ACK,
  PATCHSET_2015_TYPE_DGRAM,
  type PacketHeader,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_INVALID,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SHUTDOWN_MASK,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
} from '../../abi/virtio-vsock.js';
import { NO_PAYLOAD, type Packet } from './channel.js';
import type { Socket, SocketType } from './socket.js';

const TYPES: Readonly<Record<SocketType, number>> = {
  stream: VIRTIO_VSOCK_TYPE_STREAM,
  seqpacket: VIRTIO_VSOCK_TYPE_SEQPACKET,
  dgram: PATCHSET_2015_TYPE_DGRAM,
};

/** The packet type of a socket type. */
export function packetType(type: SocketType): number {
  return TYPES[type];
}

/** The socket type that a packet is for, or undefined when the type is unknown. */
export function socketType(packet: number): SocketType | undefined {
  if (packet === TYPES.stream) return 'stream';
  if (packet === TYPES.seqpacket) return 'seqpacket';
  if (packet === TYPES.dgram) return 'dgram';
  return undefined;
}

/** The RST that answers a packet for which there is no socket. Source: virtio_transport_reset_no_sock. */
export function resetFor(header: PacketHeader): PacketHeader {
  return {
    srcCid: header.dstCid,
    dstCid: header.srcCid,
    srcPort: header.dstPort,
    dstPort: header.srcPort,
    len: 0,
    type: header.type,
    op: VIRTIO_VSOCK_OP_RST,
    flags: 0,
    bufAlloc: 0,
    fwdCnt: 0,
  };
}

/**
 * Builds what the socket has to say next, in the order in which it was said: the handshake, data,
 * the end of data, the end of all; news about credit only when nothing else carries it.
 * @param maxPayload see PacketSource.
 */
export function nextPacket(socket: Socket, maxPayload: number): Packet | undefined {
  const { pending } = socket;
  if (pending.request) {
    pending.request = false;
    return build(socket, VIRTIO_VSOCK_OP_REQUEST, 0);
  }
  if (pending.response) {
    pending.response = false;
    return build(socket, VIRTIO_VSOCK_OP_RESPONSE, 0);
  }
  if (pending.ack) {
    pending.ack = false;
    return build(socket, PATCHSET_2015_OP_ACK, socket.cookie);
  }
  const data = socket.txQueue.take(Math.min(maxPayload, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE));
  if (data !== undefined) {
    // Of a message in pieces only the last one is its end.
    const flags = data.finished > 0 ? data.flags : 0;
    return build(socket, VIRTIO_VSOCK_OP_RW, flags, data.bytes);
  }
  if (pending.shutdown) {
    pending.shutdown = false;
    return build(socket, VIRTIO_VSOCK_OP_SHUTDOWN, socket.ownShutdown);
  }
  if (pending.reset) {
    pending.reset = false;
    pending.credit = false;
    return build(socket, VIRTIO_VSOCK_OP_RST, 0);
  }
  if (pending.credit) return build(socket, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
  return undefined;
}

function build(
  socket: Socket,
  op: number,
  flags: number,
  payload: Uint8Array = NO_PAYLOAD,
): Packet | undefined {
  const { peer, credit } = socket;
  if (peer === undefined) return undefined;
  socket.pending.credit = false;
  credit.told();
  const header = encodeHeader({
    srcCid: socket.sourceCid,
    dstCid: peer.cid,
    srcPort: socket.local.port,
    dstPort: peer.port,
    len: payload.length,
    type: TYPES[socket.type],
    op,
    flags,
    bufAlloc: credit.bufAlloc,
    fwdCnt: credit.fwdCnt,
  });
  return { header, payload };
}

/** What the socket layer has to do after a packet. */
export type Verdict = 'done' | 'reset' | 'connected';

/** A packet for a socket that is neither listening nor closed. */
export function receive(socket: Socket, header: PacketHeader, payload: Uint8Array): Verdict {
  socket.credit.heard(header.bufAlloc, header.fwdCnt);
  switch (socket.state) {
    case 'connecting':
      return receiveConnecting(socket, header);
    case 'connected':
      receiveConnected(socket, header, payload);
      return 'done';
    case 'closing':
      if (header.op === VIRTIO_VSOCK_OP_RST) endByReset(socket);
      return 'done';
    case 'deferred':
      if (header.op === VIRTIO_VSOCK_OP_RST) socket.abort('ECONNRESET');
      return 'done';
    default:
      return 'reset';
  }
}

function receiveConnecting(socket: Socket, header: PacketHeader): Verdict {
  if (header.op === VIRTIO_VSOCK_OP_INVALID) return 'done';
  socket.deadline?.cancel();
  if (header.op === VIRTIO_VSOCK_OP_RESPONSE) {
    socket.state = 'connected';
    if (socket.host.profile.handshake === 'three-way') {
      socket.cookie = header.flags;
      socket.pending.ack = true;
      socket.ready();
    }
    socket.host.wake(socket);
    return 'connected';
  }
  const refused = header.op === VIRTIO_VSOCK_OP_RST;
  socket.state = 'closed';
  socket.error = refused ? 'ECONNRESET' : 'EPROTO';
  socket.host.wake(socket);
  return refused ? 'done' : 'reset';
}

function receiveConnected(socket: Socket, header: PacketHeader, payload: Uint8Array): void {
  switch (header.op) {
    case VIRTIO_VSOCK_OP_RW:
      receiveData(socket, header.flags, payload);
      break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
      socket.pending.credit = true;
      socket.ready();
      break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
      receiveShutdown(socket, header.flags);
      break;
    case VIRTIO_VSOCK_OP_RST:
      endByReset(socket);
      break;
    default:
      break;
  }
  socket.host.wake(socket);
}

function receiveData(socket: Socket, flags: number, payload: Uint8Array): void {
  if (payload.length === 0 || socket.released) return;
  const { overrun } = socket.host.profile;
  if (overrun === 'accept') socket.credit.accept(payload.length);
  else if (!socket.credit.received(payload.length)) {
    if (overrun === 'reset') endByOverrun(socket);
    return;
  }
  const kept = socket.type === 'seqpacket' ? flags : 0;
  socket.rxQueue.push(payload, kept);
  if ((kept & VIRTIO_VSOCK_SEQ_EOM) !== 0) socket.rxMessages++;
}

function endByOverrun(socket: Socket): void {
  socket.pending.reset = true;
  socket.ready();
  socket.error = 'ENOBUFS';
  socket.cutOff = true;
  socket.finish();
}

function receiveShutdown(socket: Socket, flags: number): void {
  socket.peerShutdown |= flags & VIRTIO_VSOCK_SHUTDOWN_MASK;
  if (socket.peerShutdown !== VIRTIO_VSOCK_SHUTDOWN_MASK) return;
  if (!socket.host.profile.confirmsClose) {
    socket.finish();
    return;
  }
  if (socket.rxQueue.length === 0 && !socket.done) {
    socket.pending.reset = true;
    socket.ready();
    socket.finish();
  }
  socket.host.remove(socket);
}

function endByReset(socket: Socket): void {
  const saidAll = (socket.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0;
  const reads = (socket.ownShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) === 0;
  if (!saidAll && reads && !socket.done && !socket.released) {
    socket.cutOff = true;
  }
  socket.finish();
}
