/**
 * What packets do to a connection, and which packet it sends next.
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
import type { VirtioLink } from './virtio-link.js';

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
 * Builds what a connection has to say next, in the order in which it was said: the handshake, data,
 * the end of data, the end of all; news about credit only when nothing else carries it.
 * @param maxPayload see PacketSource.
 */
export function nextPacket(link: VirtioLink, maxPayload: number): Packet | undefined {
  const { pending } = link;
  if (pending.request) {
    pending.request = false;
    return build(link, VIRTIO_VSOCK_OP_REQUEST, 0);
  }
  if (pending.response) {
    pending.response = false;
    return build(link, VIRTIO_VSOCK_OP_RESPONSE, 0);
  }
  if (pending.ack) {
    pending.ack = false;
    return build(link, PATCHSET_2015_OP_ACK, link.cookie);
  }
  const data = link.txQueue.take(Math.min(maxPayload, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE));
  if (data !== undefined) {
    // Of a message in pieces only the last one is its end.
    const flags = data.finished > 0 ? data.flags : 0;
    return build(link, VIRTIO_VSOCK_OP_RW, flags, data.bytes);
  }
  if (pending.shutdown) {
    pending.shutdown = false;
    return build(link, VIRTIO_VSOCK_OP_SHUTDOWN, link.socket.ownShutdown);
  }
  if (pending.reset) {
    pending.reset = false;
    pending.credit = false;
    return build(link, VIRTIO_VSOCK_OP_RST, 0);
  }
  if (pending.credit) return build(link, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
  return undefined;
}

function build(
  link: VirtioLink,
  op: number,
  flags: number,
  payload: Uint8Array = NO_PAYLOAD,
): Packet | undefined {
  const { socket, credit } = link;
  const { peer } = socket;
  if (peer === undefined) return undefined;
  link.pending.credit = false;
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
export function receive(link: VirtioLink, header: PacketHeader, payload: Uint8Array): Verdict {
  const { socket } = link;
  link.credit.heard(header.bufAlloc, header.fwdCnt);
  switch (socket.state) {
    case 'connecting':
      return receiveConnecting(link, header);
    case 'connected':
      receiveConnected(link, header, payload);
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

function receiveConnecting(link: VirtioLink, header: PacketHeader): Verdict {
  const { socket } = link;
  if (header.op === VIRTIO_VSOCK_OP_INVALID) return 'done';
  socket.deadline?.cancel();
  if (header.op === VIRTIO_VSOCK_OP_RESPONSE) {
    socket.state = 'connected';
    if (socket.host.profile.handshake === 'three-way') {
      link.cookie = header.flags;
      link.say('ack');
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

function receiveConnected(link: VirtioLink, header: PacketHeader, payload: Uint8Array): void {
  const { socket } = link;
  switch (header.op) {
    case VIRTIO_VSOCK_OP_RW:
      receiveData(link, header.flags, payload);
      break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
      link.say('credit');
      break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
      receiveShutdown(link, header.flags);
      break;
    case VIRTIO_VSOCK_OP_RST:
      endByReset(socket);
      break;
    default:
      break;
  }
  socket.host.wake(socket);
}

function receiveData(link: VirtioLink, flags: number, payload: Uint8Array): void {
  const { socket } = link;
  if (payload.length === 0 || socket.released) return;
  const { overrun } = socket.host.profile;
  if (overrun === 'accept') link.credit.accept(payload.length);
  else if (!link.credit.received(payload.length)) {
    if (overrun === 'reset') endByOverrun(link);
    return;
  }
  const kept = socket.type === 'seqpacket' ? flags : 0;
  link.rxQueue.push(payload, kept);
  if ((kept & VIRTIO_VSOCK_SEQ_EOM) !== 0) link.rxMessages++;
}

function endByOverrun(link: VirtioLink): void {
  const { socket } = link;
  link.say('reset');
  socket.error = 'ENOBUFS';
  socket.cutOff = true;
  socket.finish();
}

function receiveShutdown(link: VirtioLink, flags: number): void {
  const { socket } = link;
  socket.peerShutdown |= flags & VIRTIO_VSOCK_SHUTDOWN_MASK;
  if (socket.peerShutdown !== VIRTIO_VSOCK_SHUTDOWN_MASK) return;
  if (!socket.host.profile.confirmsClose) {
    socket.finish();
    return;
  }
  if (link.rxQueue.length === 0 && !socket.done) {
    link.say('reset');
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
