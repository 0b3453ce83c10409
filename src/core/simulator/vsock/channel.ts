/**
 * What one socket layer wants to say through one transport, in one direction. Events only mark sockets as
 * ready; a packet is built when the switch pulls it. That is where fairness (one packet a socket in turn)
 * and back-pressure (nobody pulls from a stalled channel) come from.
 */
import { encodeHeader, type PacketHeader } from '../../abi/virtio-vsock.js';

/** A packet as it crosses the boundary between driver and device: the header's bytes, and the payload beside them. */
export interface Packet {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
}

export const NO_PAYLOAD = new Uint8Array(0);

/** Whoever has packets to send. */
export interface PacketSource {
  /** The next packet, or undefined when there is none (any more). */
  nextPacket(): Packet | undefined;
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
    const packet = this.#replies.shift() ?? this.#next();
    if (packet !== undefined) this.pulled++;
    return packet;
  }

  /** Forgets all that waits; nothing is taken any more. */
  close(): void {
    this.#closed = true;
    this.#replies.length = 0;
    this.#ready.clear();
  }

  #next(): Packet | undefined {
    for (const source of this.#ready) {
      this.#ready.delete(source);
      const packet = source.nextPacket();
      if (packet === undefined) continue;
      this.#ready.add(source);
      return packet;
    }
    return undefined;
  }
}
