/**
 * One connection over virtio: bytes under credit, in packets that are built when the channel pulls them.
 * What packets do to it is in protocol.ts. Follows net/vmw_vsock/virtio_transport_common.c of Linux.
 */
import { SystemError } from '../../abi/errno.js';
import {
  VIRTIO_VSOCK_MAX_BUF_SIZE,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SEQ_EOR,
  VIRTIO_VSOCK_SHUTDOWN_MASK,
} from '../../abi/virtio-vsock.js';
import { VSOCK_CLOSE_TIMEOUT_MS } from '../../abi/vm-sockets.js';
import type { Channel, Packet, PacketSource } from './channel.js';
import { Credit } from './credit.js';
import type { Link, Queues } from './link.js';
import { nextPacket } from './protocol.js';
import { PayloadQueue } from './queue.js';
import type { Socket } from './socket.js';

/** What a connection wants to say besides its data. */
export interface Pending {
  request: boolean;
  response: boolean;
  ack: boolean;
  shutdown: boolean;
  reset: boolean;
  credit: boolean;
}

const NOTHING: Readonly<Pending> = {
  request: false,
  response: false,
  ack: false,
  shutdown: false,
  reset: false,
  credit: false,
};

export class VirtioLink implements Link, PacketSource {
  readonly credit: Credit;
  readonly txQueue = new PayloadQueue();
  readonly rxQueue = new PayloadQueue();
  /** Whole messages that wait in `rxQueue`. */
  rxMessages = 0;
  readonly pending: Pending = { ...NOTHING };
  /** The cookie of a three-way handshake that the ACK must carry back. */
  cookie = 0;
  /** Bytes of the message that is being sent that were accepted already. */
  #messageSent = 0;

  /** @param loopback whether the channel leads to its own machine. */
  constructor(
    readonly socket: Socket,
    readonly channel: Channel,
    readonly loopback: boolean,
  ) {
    this.credit = new Credit(0);
    this.#limitBuffer();
  }

  get hasData(): boolean {
    return this.socket.type === 'seqpacket' ? this.rxMessages > 0 : this.rxQueue.length > 0;
  }

  get queues(): Queues {
    const { credit, socket } = this;
    return {
      received: credit.rxBytes,
      unconsumed: credit.inFlight(),
      room: credit.sendable(socket.host.profile),
    };
  }

  nextPacket(maxPayload: number): Packet | undefined {
    return nextPacket(this, maxPayload);
  }

  /** Lets the channel know that there is something to say. */
  ready(): void {
    this.channel.add(this);
  }

  connect(): void {
    this.say('request');
  }

  giveUp(): void {
    this.pending.request = false;
  }

  accept(): boolean {
    this.say('response');
    return true;
  }

  refuse(): void {
    this.say('reset');
  }

  send(data: Uint8Array): number {
    return this.#queue(data, 0);
  }

  sendMessage(data: Uint8Array, endOfRecord: boolean): number {
    const { profile } = this.socket.host;
    if (this.#messageSent + data.length > this.credit.window(profile)) {
      throw new SystemError(profile.oversizedMessage, { syscall: 'send' });
    }
    const last = VIRTIO_VSOCK_SEQ_EOM | (endOfRecord ? VIRTIO_VSOCK_SEQ_EOR : 0);
    const accepted = this.#queue(data, last);
    this.#messageSent = accepted === data.length ? 0 : this.#messageSent + accepted;
    return accepted;
  }

  /** Up to the end of one packet, without copying. */
  recv(max: number): Uint8Array | undefined {
    const taken = this.rxQueue.take(max);
    if (taken === undefined) return undefined;
    this.credit.read(taken.bytes.length);
    if (taken.finished > 0) this.credit.consumed(taken.finished);
    this.#settleCredit();
    return taken.bytes;
  }

  recvMessage(): { bytes: Uint8Array; endOfRecord: boolean } | undefined {
    if (this.rxMessages === 0) return undefined;
    const parts: Uint8Array[] = [];
    for (;;) {
      const taken = this.rxQueue.take(Number.MAX_SAFE_INTEGER);
      if (taken === undefined) return undefined;
      parts.push(taken.bytes);
      this.credit.read(taken.bytes.length);
      this.credit.consumed(taken.finished);
      if ((taken.flags & VIRTIO_VSOCK_SEQ_EOM) === 0) continue;
      this.rxMessages--;
      this.#settleCredit();
      return { bytes: join(parts), endOfRecord: (taken.flags & VIRTIO_VSOCK_SEQ_EOR) !== 0 };
    }
  }

  shutdown(): void {
    this.say('shutdown');
  }

  /** Queued data still goes out, and the peer's RST is waited for. */
  close(): void {
    const { socket } = this;
    this.rxQueue.clear();
    this.rxMessages = 0;
    if (socket.state === 'connected' || socket.state === 'closing') this.#closeConnection();
    else socket.host.remove(socket);
  }

  drop(): void {
    this.txQueue.clear();
    Object.assign(this.pending, NOTHING);
  }

  /** The header can't say more than a u32. The peer is told. */
  bufferChanged(): void {
    this.#limitBuffer();
    if (this.socket.state === 'connected') this.say('credit');
  }

  say(what: keyof Pending): void {
    this.pending[what] = true;
    this.ready();
  }

  #limitBuffer(): void {
    const { socket } = this;
    socket.bufferSize = Math.min(socket.bufferSize, VIRTIO_VSOCK_MAX_BUF_SIZE);
    this.credit.bufAlloc = socket.bufferSize;
  }

  #closeConnection(): void {
    const { socket } = this;
    const { host } = socket;
    if (socket.peerShutdown === VIRTIO_VSOCK_SHUTDOWN_MASK) {
      this.say('reset');
      host.remove(socket);
      return;
    }
    if (socket.ownShutdown !== VIRTIO_VSOCK_SHUTDOWN_MASK) {
      socket.ownShutdown = VIRTIO_VSOCK_SHUTDOWN_MASK;
      this.say('shutdown');
    }
    if (socket.done || !host.profile.confirmsClose) {
      host.remove(socket);
      return;
    }
    socket.deadline = host.after(VSOCK_CLOSE_TIMEOUT_MS, () => {
      this.say('reset');
      host.remove(socket);
    });
  }

  #queue(data: Uint8Array, lastFlags: number): number {
    let accepted = 0;
    while (accepted < data.length) {
      const room = this.credit.sendable(this.socket.host.profile);
      const size = Math.min(data.length - accepted, room, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE);
      if (size === 0) break;
      const flags = accepted + size === data.length ? lastFlags : 0;
      this.txQueue.push(data.subarray(accepted, accepted + size), flags);
      this.credit.reserve(size);
      accepted += size;
    }
    if (accepted > 0) this.ready();
    return accepted;
  }

  #settleCredit(): void {
    const { socket, credit } = this;
    if (socket.peerShutdown === VIRTIO_VSOCK_SHUTDOWN_MASK) return;
    const always = socket.type === 'seqpacket' || socket.host.profile.creditUpdates === 'always';
    const owes = always ? credit.fwdCnt !== credit.toldFwdCnt : credit.owesUpdate(1);
    if (owes) this.say('credit');
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
