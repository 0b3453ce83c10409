/**
 * One AF_VSOCK socket: its state, and the calls that a program makes on it. Nothing here waits: a call
 * that would block says so, and the socket is woken when that may have changed.
 * What packets do to it is in protocol.ts. Follows net/vmw_vsock/af_vsock.c of Linux.
 */
import { type ErrorCode, SystemError } from '../../abi/errno.js';
import {
  VIRTIO_VSOCK_MAX_BUF_SIZE,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SEQ_EOR,
  VIRTIO_VSOCK_SHUTDOWN_MASK,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from '../../abi/virtio-vsock.js';
import {
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
  VSOCK_CLOSE_TIMEOUT_MS,
  VSOCK_DEFAULT_BUFFER_MAX_SIZE,
  VSOCK_DEFAULT_BUFFER_MIN_SIZE,
  VSOCK_DEFAULT_BUFFER_SIZE,
  VSOCK_DEFAULT_CONNECT_TIMEOUT_MS,
} from '../../abi/vm-sockets.js';
import type { Deadline } from '../deadlines.js';
import type { Caller } from '../node.js';
import type { Channel, Packet, PacketSource } from './channel.js';
import { Credit } from './credit.js';
import type { VsockProfile } from './profile.js';
import { nextPacket } from './protocol.js';
import { PayloadQueue } from './queue.js';

export interface VsockAddress {
  readonly cid: number;
  readonly port: number;
}

export type SocketType = 'stream' | 'seqpacket' | 'dgram';

/**
 * `closed` is a socket without a connection; `deferred` one that a REQUEST made and nobody has claimed yet;
 * `closing` one whose connection is over, with nothing left to read.
 */
export type SocketState = 'closed' | 'listen' | 'connecting' | 'deferred' | 'connected' | 'closing';

/** What a socket wants to say besides its data. */
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

/** The socket layer, as its sockets need it. */
export interface SocketHost {
  readonly profile: VsockProfile;
  /** The program may find the socket changed. */
  wake(socket: Socket): void;
  /** Takes the socket out of all tables. */
  remove(socket: Socket): void;
  /** Sends a datagram to an address, or to the peer. */
  sendTo(socket: Socket, data: Uint8Array, address?: VsockAddress): void;
  /** Runs `action` in `ms` milliseconds. */
  after(ms: number, action: () => void): Deadline;
}

export type SizeOption = 'size' | 'min' | 'max';

/** Bytes received as one message, and whether the sender marked the end of a record. */
export interface Message {
  bytes: Uint8Array;
  endOfRecord: boolean;
  from: VsockAddress;
}

export class Socket implements PacketSource {
  state: SocketState = 'closed';
  local: VsockAddress = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };
  /** The CID that its packets carry as their source. */
  sourceCid = VMADDR_CID_ANY;
  bound = false;
  peer: VsockAddress | undefined;
  /** What SO_ERROR would give. */
  error: ErrorCode | undefined;
  ownShutdown = 0;
  peerShutdown = 0;
  /** The connection is over (SOCK_DONE). */
  done = false;
  /** The program has closed it. */
  released = false;
  /** It ended by a RST before the peer said that it had sent all, though somebody still read. */
  cutOff = false;
  readonly credit = new Credit(VSOCK_DEFAULT_BUFFER_SIZE);
  bufferMin = VSOCK_DEFAULT_BUFFER_MIN_SIZE;
  bufferMax = VSOCK_DEFAULT_BUFFER_MAX_SIZE;
  connectTimeoutMs = VSOCK_DEFAULT_CONNECT_TIMEOUT_MS;
  readonly txQueue = new PayloadQueue();
  readonly rxQueue = new PayloadQueue();
  /** Whole messages that wait in `rxQueue`. */
  rxMessages = 0;
  readonly datagrams: Message[] = [];
  readonly pending: Pending = { ...NOTHING };
  /** The cookie of a three-way handshake that the ACK must carry back. */
  cookie = 0;
  backlog = 0;
  readonly acceptQueue: Socket[] = [];
  channel: Channel | undefined;
  deadline: Deadline | undefined;
  /** Bytes of the message that is being sent that were accepted already. */
  #messageSent = 0;

  constructor(
    readonly host: SocketHost,
    readonly type: SocketType,
    readonly caller: Caller,
  ) {}

  /** Takes over what a child inherits from its listener. */
  inherit(listener: Socket): void {
    this.credit.bufAlloc = listener.credit.bufAlloc;
    this.bufferMin = listener.bufferMin;
    this.bufferMax = listener.bufferMax;
    this.connectTimeoutMs = listener.connectTimeoutMs;
  }

  nextPacket(maxPayload: number): Packet | undefined {
    return nextPacket(this, maxPayload);
  }

  /** Lets the transport know that there is something to say. */
  ready(): void {
    this.channel?.add(this);
  }

  /** SO_ERROR: gives the error and clears it. */
  takeError(): ErrorCode | undefined {
    const error = this.error;
    this.error = undefined;
    return error;
  }

  /**
   * Sends bytes of a stream. The socket keeps `data`; it must not change afterwards.
   * @returns how many bytes were accepted; 0 when the peer has given no more credit (EAGAIN).
   * @throws SystemError EPIPE when either side has shut this direction, ENOTCONN, or what SO_ERROR held.
   */
  send(data: Uint8Array): number {
    this.#checkSend();
    return this.#queue(data, 0);
  }

  /**
   * Sends one message, or goes on with it: call again with the rest until all of it is accepted.
   * @throws SystemError as send does; EMSGSIZE (ENOMEM on 6.1) for a message that the send window never holds.
   */
  sendMessage(data: Uint8Array, endOfRecord = false): number {
    if (this.type === 'dgram') {
      this.host.sendTo(this, data);
      return data.length;
    }
    this.#checkSend();
    if (this.#messageSent + data.length > this.credit.window(this.host.profile)) {
      throw new SystemError(this.host.profile.oversizedMessage, { syscall: 'send' });
    }
    const last = VIRTIO_VSOCK_SEQ_EOM | (endOfRecord ? VIRTIO_VSOCK_SEQ_EOR : 0);
    const accepted = this.#queue(data, last);
    this.#messageSent = accepted === data.length ? 0 : this.#messageSent + accepted;
    return accepted;
  }

  /**
   * Receives up to `max` bytes of a stream, at most to the end of one packet, without copying.
   * @returns undefined when it would block, null at the end.
   * @throws SystemError ENOTCONN, or what SO_ERROR held.
   */
  recv(max: number): Uint8Array | null | undefined {
    const taken = this.rxQueue.take(max);
    if (taken === undefined) return this.#nothingToRead();
    this.credit.read(taken.bytes.length);
    if (taken.finished > 0) this.credit.consumed(taken.finished);
    this.#settleCredit();
    return taken.bytes;
  }

  /** Receives one whole message. @returns undefined when it would block, null at the end. */
  recvMessage(): Message | null | undefined {
    if (this.type === 'dgram') return this.datagrams.shift();
    if (this.rxMessages === 0) return this.#nothingToRead();
    const parts: Uint8Array[] = [];
    for (;;) {
      const taken = this.rxQueue.take(Number.MAX_SAFE_INTEGER);
      if (taken === undefined) break;
      parts.push(taken.bytes);
      this.credit.read(taken.bytes.length);
      this.credit.consumed(taken.finished);
      if ((taken.flags & VIRTIO_VSOCK_SEQ_EOM) === 0) continue;
      this.rxMessages--;
      this.#settleCredit();
      const endOfRecord = (taken.flags & VIRTIO_VSOCK_SEQ_EOR) !== 0;
      return { bytes: join(parts), endOfRecord, from: this.peer ?? this.local };
    }
    return undefined;
  }

  /** Whether recv or recvMessage would give something now, the end and errors included. */
  readable(): boolean {
    if (this.state === 'listen') return this.acceptQueue.length > 0;
    if (this.type === 'dgram') return this.datagrams.length > 0;
    if (this.type === 'seqpacket' ? this.rxMessages > 0 : this.rxQueue.length > 0) return true;
    return this.error !== undefined || this.#atEnd() || this.state !== 'connected';
  }

  /** @throws SystemError ENOTCONN without a connection. */
  shutdown(how: 'read' | 'write' | 'both'): void {
    if (this.state !== 'connected' && this.state !== 'closing') {
      throw new SystemError('ENOTCONN', { syscall: 'shutdown' });
    }
    const bits = { read: VIRTIO_VSOCK_SHUTDOWN_RCV, write: VIRTIO_VSOCK_SHUTDOWN_SEND, both: 3 };
    this.ownShutdown |= bits[how];
    if (!this.done && this.type !== 'dgram') this.#say('shutdown');
    this.done = false;
    this.host.wake(this);
  }

  /**
   * BUFFER_SIZE is kept between MIN and MAX; when a bound moves, the size follows. MIN above MAX gives MAX.
   * The transport of a connection takes no more than its header can say, and tells the peer.
   */
  setBuffer(option: SizeOption, bytes: number): void {
    if (option === 'min') this.bufferMin = bytes;
    else if (option === 'max') this.bufferMax = bytes;
    const wanted = option === 'size' ? bytes : this.credit.bufAlloc;
    const size = Math.min(Math.max(wanted, this.bufferMin), this.bufferMax);
    if (size === this.credit.bufAlloc) return;
    this.credit.bufAlloc = size;
    if (this.channel !== undefined) this.limitBuffer();
    if (this.state === 'connected' && this.type !== 'dgram') this.#say('credit');
  }

  /** The socket has got a transport, which can't say more than a u32. */
  limitBuffer(): void {
    this.credit.bufAlloc = Math.min(this.credit.bufAlloc, VIRTIO_VSOCK_MAX_BUF_SIZE);
  }

  /** Milliseconds; 0 is the default. @throws SystemError ERANGE for a negative one. */
  setConnectTimeout(ms: number): void {
    if (ms < 0) throw new SystemError('ERANGE', { syscall: 'setsockopt' });
    this.connectTimeoutMs = ms === 0 ? VSOCK_DEFAULT_CONNECT_TIMEOUT_MS : ms;
  }

  /** What getpeername gives: nothing before the connection stands, nor when this side has shut it down. */
  peerName(): VsockAddress | undefined {
    const stands = this.state === 'connected' || this.state === 'closing' || this.done;
    return stands && this.ownShutdown === 0 ? this.peer : undefined;
  }

  /** The program closes it: queued data still goes out, and the peer's RST is waited for. */
  close(): void {
    if (this.released) return;
    this.released = true;
    this.deadline?.cancel();
    for (const child of this.acceptQueue.splice(0)) child.close();
    this.rxQueue.clear();
    this.rxMessages = 0;
    this.datagrams.length = 0;
    const connected = this.state === 'connected' || this.state === 'closing';
    if (connected && this.type !== 'dgram') this.#closeConnection();
    else this.host.remove(this);
  }

  /**
   * The connection is gone without a word to the peer, as after a transport reset. One that was over
   * before stays as it ended; one that was being made can be tried again.
   */
  abort(error: ErrorCode): void {
    this.deadline?.cancel();
    this.txQueue.clear();
    Object.assign(this.pending, NOTHING);
    if (this.state === 'connecting') {
      this.state = 'closed';
      this.error = error;
      this.host.wake(this);
      return;
    }
    this.host.remove(this);
    if (this.done || this.state === 'closing') return;
    this.error = error;
    this.cutOff = true;
    this.finish();
    this.state = 'closed';
  }

  /** Marks the connection as over: what was received can still be read. */
  finish(): void {
    this.done = true;
    this.peerShutdown = VIRTIO_VSOCK_SHUTDOWN_MASK;
    if (this.rxQueue.length === 0) this.state = 'closing';
    if (this.released) {
      this.deadline?.cancel();
      this.host.remove(this);
    }
    this.host.wake(this);
  }

  #closeConnection(): void {
    if (this.peerShutdown === VIRTIO_VSOCK_SHUTDOWN_MASK) {
      this.#say('reset');
      this.host.remove(this);
      return;
    }
    if (this.ownShutdown !== VIRTIO_VSOCK_SHUTDOWN_MASK) {
      this.ownShutdown = VIRTIO_VSOCK_SHUTDOWN_MASK;
      this.#say('shutdown');
    }
    if (this.done || !this.host.profile.confirmsClose) {
      this.host.remove(this);
      return;
    }
    this.deadline = this.host.after(VSOCK_CLOSE_TIMEOUT_MS, () => {
      this.#say('reset');
      this.host.remove(this);
    });
  }

  #say(what: keyof Pending): void {
    this.pending[what] = true;
    this.ready();
  }

  #checkSend(): void {
    const shut =
      (this.ownShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0 ||
      (this.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) !== 0;
    if (shut) throw new SystemError('EPIPE', { syscall: 'send' });
    if (this.state !== 'connected') throw new SystemError('ENOTCONN', { syscall: 'send' });
    this.#throwError('send');
  }

  #queue(data: Uint8Array, lastFlags: number): number {
    let accepted = 0;
    while (accepted < data.length) {
      const room = this.credit.sendable(this.host.profile);
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
    if (this.peerShutdown === VIRTIO_VSOCK_SHUTDOWN_MASK) return;
    const always = this.type === 'seqpacket' || this.host.profile.creditUpdates === 'always';
    const owes = always ? this.credit.fwdCnt !== this.credit.toldFwdCnt : this.credit.owesUpdate(1);
    if (owes) this.#say('credit');
  }

  #atEnd(): boolean {
    return (
      (this.ownShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) !== 0 ||
      (this.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0
    );
  }

  #nothingToRead(): null | undefined {
    this.#throwError('recv');
    if (this.state !== 'connected') {
      if (this.done) return null;
      throw new SystemError('ENOTCONN', { syscall: 'recv' });
    }
    return this.#atEnd() ? null : undefined;
  }

  #throwError(syscall: string): void {
    const error = this.takeError();
    if (error !== undefined) throw new SystemError(error, { syscall });
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
