/**
 * Best-effort datagrams, as the patch set of 2015 had them on virtio: no connection, no credit, and what
 * finds no room is lost.
 */
import { SystemError } from '../../abi/errno.js';
import {
  encodeHeader,
  PATCHSET_2015_TYPE_DGRAM,
  type PacketHeader,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_OP_RW,
} from '../../abi/virtio-vsock.js';
import type { Channel, Packet, PacketSource } from './channel.js';
import type { Socket, VsockAddress } from './socket.js';

/** @throws SystemError EMSGSIZE for more than 64 KiB. */
export function sendDatagram(
  channel: Channel,
  from: VsockAddress,
  to: VsockAddress,
  payload: Uint8Array,
): void {
  if (payload.length > VIRTIO_VSOCK_MAX_PKT_BUF_SIZE) {
    throw new SystemError('EMSGSIZE', { syscall: 'send' });
  }
  const header = encodeHeader({
    srcCid: from.cid,
    dstCid: to.cid,
    srcPort: from.port,
    dstPort: to.port,
    len: payload.length,
    type: PATCHSET_2015_TYPE_DGRAM,
    op: VIRTIO_VSOCK_OP_RW,
    flags: 0,
    bufAlloc: 0,
    fwdCnt: 0,
  });
  channel.add(new OnePacket({ header, payload }));
}

/** Puts a datagram into its socket, if there is one and it has room. */
export function receiveDatagram(
  socket: Socket | undefined,
  header: PacketHeader,
  payload: Uint8Array,
): void {
  if (socket?.type !== 'dgram' || header.op !== VIRTIO_VSOCK_OP_RW) return;
  const queued = socket.datagrams.reduce((sum, message) => sum + message.bytes.length, 0);
  if (queued + payload.length > socket.bufferSize) return;
  const from = { cid: header.srcCid, port: header.srcPort };
  socket.datagrams.push({ bytes: payload, endOfRecord: true, from });
  socket.host.wake(socket);
}

class OnePacket implements PacketSource {
  #packet: Packet | undefined;

  constructor(packet: Packet) {
    this.#packet = packet;
  }

  nextPacket(): Packet | undefined {
    const packet = this.#packet;
    this.#packet = undefined;
    return packet;
  }
}
