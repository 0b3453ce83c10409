/**
 * What one socket layer wants to say through one transport, in one direction. Events only mark sockets as
 * ready; a packet is built when the switch pulls it. That is where fairness (one packet a socket in turn)
 * and back-pressure (nobody pulls from a stalled channel) come from.
 */
import {
  encodeHeader,
  type PacketHeader,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
} from '../../abi/virtio-vsock.js';

/** A packet as it crosses the boundary between driver and device: the header's bytes, and the payload beside them. */
export interface Packet {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  /** It has passed the switch once, on its way from another guest: checked, counted and shown to taps. */
  readonly passed?: true;
}

export const NO_PAYLOAD = new Uint8Array(0);

/** Whoever has packets to send. */
export interface PacketSource {
  /**
   * The next packet, or undefined when there is none (any more). @param maxPayload bytes that its payload may have, above
   * 0; what is longer goes out in several packets.
   */
  nextPacket(maxPayload: number): Packet | undefined;
}

/** How many answers without a socket may wait: the size of a virtqueue. More are dropped and counted. */
export const MAX_REPLIES = 256;

export class Channel {
  readonly #replies: Packet[] = [];
  readonly #ready = new Set<PacketSource>();
  readonly #onReady: (channel: Channel) => void;
  #closed = false;
  /** Answers that found the queue full. */
  droppedReplies = 0;
  /** Packets pulled so far. */
  pulled = 0;
  /** Nothing is pulled while it is set. */
  stalled = false;
  /**
   * Bytes of payload for which its receiver has room now, 0 when it takes no packet; absent where there is always room
   * for any.
   */
  room: (() => number) | undefined;
  /** Whether what it carries has to wait for something else; absent where it never has. */
  waits: (() => boolean) | undefined;
  /** Whether the next packet is lost; absent where none ever is. */
  loses: (() => boolean) | undefined;
  /** How long a packet is under way, milliseconds; order is kept. */
  latency: (() => number) | undefined;
  /** Packets that were pulled and have not arrived, and when the last of them does. */
  underWay = 0;
  lastArrivalMs = 0;

  /** @param onReady called when the channel, which was empty, has something to pull. */
  constructor(onReady: (channel: Channel) => void) {
    this.#onReady = onReady;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get empty(): boolean {
    return this.#replies.length === 0 && this.#ready.size === 0;
  }

  /** Whether something could be pulled, if there is any. */
  get flows(): boolean {
    return !this.stalled && this.waits?.() !== true && this.room?.() !== 0;
  }

  /** Whether as many answers wait as there may be. */
  get repliesFull(): boolean {
    return this.#replies.length >= MAX_REPLIES;
  }

  /** Marks a source as having something to say. */
  add(source: PacketSource): void {
    if (this.#closed || this.#ready.has(source)) return;
    const wasEmpty = this.empty;
    this.#ready.add(source);
    if (wasEmpty) this.#onReady(this);
  }

  /** Queues an answer that belongs to no socket. */
  reply(header: PacketHeader): void {
    if (this.#closed) return;
    if (this.#replies.length >= MAX_REPLIES) {
      this.droppedReplies++;
      return;
    }
    const wasEmpty = this.empty;
    this.#replies.push({ header: encodeHeader(header), payload: NO_PAYLOAD });
    if (wasEmpty) this.#onReady(this);
  }

  pull(): Packet | undefined {
    const maxPayload = this.room?.() ?? VIRTIO_VSOCK_MAX_PKT_BUF_SIZE;
    const packet = this.#replies.shift() ?? this.#next(maxPayload);
    if (packet !== undefined) this.pulled++;
    return packet;
  }

  /** Forgets all that waits; nothing is taken any more. */
  close(): void {
    this.#closed = true;
    this.#replies.length = 0;
    this.#ready.clear();
  }

  #next(maxPayload: number): Packet | undefined {
    for (const source of this.#ready) {
      this.#ready.delete(source);
      const packet = source.nextPacket(maxPayload);
      if (packet === undefined) continue;
      this.#ready.add(source);
      return packet;
    }
    return undefined;
  }
}
