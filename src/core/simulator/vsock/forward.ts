/**
 * Packets of other guests on their way to one. They were built by a driver and can't be pulled from a socket piece by
 * piece, so they wait here; whoever has one when the queue is full waits with it.
 */
import {
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SEQ_EOR,
  virtio_vsock_hdr,
} from '../../abi/virtio-vsock.js';
import type { Packet, PacketSource } from './channel.js';

/** How many packets may wait: the size of a virtqueue. */
export const MAX_FORWARDED = 256;
/** How many bytes of payload: four buffers of sockets, by default. The last packet may go over it. */
export const MAX_FORWARDED_BYTES = 1024 * 1024;

interface Entry {
  readonly packet: Packet;
  /** Whoever sent it. */
  readonly from: object;
}

export class ForwardQueue implements PacketSource {
  /** Packets and pieces taken so far. */
  taken = 0;
  readonly #onRoom: () => void;
  #entries: Entry[] = [];
  #bytes = 0;
  /** Bytes of the first packet's payload that have been taken. */
  #sent = 0;

  /** @param onRoom called when the queue, which was full, is not any more. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  get full(): boolean {
    return this.#entries.length >= MAX_FORWARDED || this.#bytes >= MAX_FORWARDED_BYTES;
  }

  push(packet: Packet, from: object): void {
    this.#entries.push({ packet, from });
    this.#bytes += packet.payload.length;
  }

  /** Forgets what one guest sent. */
  forget(from: object): void {
    const wasFull = this.full;
    if (this.#entries[0]?.from === from) this.#sent = 0;
    this.#entries = this.#entries.filter((entry) => entry.from !== from);
    this.#bytes = this.#entries.reduce((sum, { packet }) => sum + packet.payload.length, 0);
    if (wasFull && !this.full) this.#onRoom();
  }

  nextPacket(maxPayload: number): Packet | undefined {
    const packet = this.#entries[0]?.packet;
    if (packet === undefined) return undefined;
    this.taken++;
    const { header, payload } = packet;
    const begin = this.#sent;
    const end = Math.min(payload.length, begin + maxPayload);
    const isLast = end === payload.length;
    this.#sent = isLast ? 0 : end;
    if (isLast) this.#dropFirst(payload.length);
    if (isLast && begin === 0) return { header, payload, passed: true };
    const piece = payload.subarray(begin, end);
    return { header: pieceHeader(header, piece.length, isLast), payload: piece, passed: true };
  }

  #dropFirst(bytes: number): void {
    const wasFull = this.full;
    this.#entries.shift();
    this.#bytes -= bytes;
    if (wasFull && !this.full) this.#onRoom();
  }
}

/** The header of a piece: the marks of a message's end are the last one's. */
function pieceHeader(whole: Uint8Array, length: number, isLast: boolean): Uint8Array {
  const header = whole.slice();
  const view = new DataView(header.buffer);
  view.setUint32(virtio_vsock_hdr.offset('len'), length, true);
  if (isLast) return header;
  const at = virtio_vsock_hdr.offset('flags');
  const marks = VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR;
  view.setUint32(at, view.getUint32(at, true) & ~marks, true);
  return header;
}
