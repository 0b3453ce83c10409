/**
 * One AF_VSOCK socket: its state, and the calls that a program makes on it. Nothing here waits: a call
 * that would block says so, and the socket is woken when that may have changed.
 * How its bytes reach the peer is the link's affair. Follows net/vmw_vsock/af_vsock.c of Linux.
 */
import { type ErrorCode, SystemError } from '../../abi/errno.js';
import {
  VIRTIO_VSOCK_SHUTDOWN_MASK,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from '../../abi/virtio-vsock.js';
import {
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
  VSOCK_DEFAULT_BUFFER_MAX_SIZE,
  VSOCK_DEFAULT_BUFFER_MIN_SIZE,
  VSOCK_DEFAULT_BUFFER_SIZE,
  VSOCK_DEFAULT_CONNECT_TIMEOUT_MS,
} from '../../abi/vm-sockets.js';
import type { Deadline } from '../deadlines.js';
import type { Caller } from '../node.js';
import type { DatagramTransport, Link, Patience, Queues } from './link.js';
import type { VsockProfile } from './profile.js';

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

export class Socket {
  state: SocketState = 'closed';
  local: VsockAddress = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };
  /** The CID by which its peer knows it. */
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
  /** SO_VM_SOCKETS_BUFFER_SIZE, and the bounds that it is kept between; bytes. */
  bufferSize = VSOCK_DEFAULT_BUFFER_SIZE;
  bufferMin = VSOCK_DEFAULT_BUFFER_MIN_SIZE;
  bufferMax = VSOCK_DEFAULT_BUFFER_MAX_SIZE;
  connectTimeoutMs = VSOCK_DEFAULT_CONNECT_TIMEOUT_MS;
  readonly datagrams: Message[] = [];
  /** The transport of a datagram socket. */
  carrier: DatagramTransport | undefined;
  backlog = 0;
  readonly acceptQueue: Socket[] = [];
  /** Its transport's part: there while it connects, and from then on. */
  link: Link | undefined;
  deadline: Deadline | undefined;

  constructor(
    readonly host: SocketHost,
    readonly type: SocketType,
    readonly caller: Caller,
  ) {}

  /** Takes over what a child inherits from its listener. */
  inherit(listener: Socket): void {
    this.bufferSize = listener.bufferSize;
    this.bufferMin = listener.bufferMin;
    this.bufferMax = listener.bufferMax;
    this.connectTimeoutMs = listener.connectTimeoutMs;
  }

  /** SO_ERROR: gives the error and clears it. */
  takeError(): ErrorCode | undefined {
    const error = this.error;
    this.error = undefined;
    return error;
  }

  /**
   * Sends bytes of a stream. The socket keeps `data`; it must not change afterwards.
   * @returns how many bytes were accepted; 0 when the peer has no room for more (EAGAIN).
   * @throws SystemError EPIPE when either side has shut this direction, ENOTCONN, what SO_ERROR held, or what is wrong
   *   with the transport.
   */
  send(data: Uint8Array, patience: Patience = 'waits'): number {
    return this.#sendable().send(data, patience);
  }

  /**
   * Sends one message, or goes on with it: call again with the rest until all of it is accepted.
   * @throws SystemError as send does; EMSGSIZE (ENOMEM on 6.1) for a message that the send window never holds.
   */
  sendMessage(data: Uint8Array, endOfRecord = false): number {
    if (this.type !== 'dgram') return this.#sendable().sendMessage(data, endOfRecord);
    this.host.sendTo(this, data);
    return data.length;
  }

  /**
   * Receives up to `max` bytes of a stream, without copying where the transport has them in one piece.
   * @returns undefined when it would block, null at the end.
   * @throws SystemError ENOTCONN, what SO_ERROR held, or what is wrong with the transport.
   */
  recv(max: number, patience: Patience = 'waits'): Uint8Array | null | undefined {
    return this.link?.recv(max, patience) ?? this.#nothingToRead();
  }

  /** Receives one whole message. @returns undefined when it would block, null at the end. */
  recvMessage(): Message | null | undefined {
    if (this.type === 'dgram') return this.datagrams.shift();
    const message = this.link?.recvMessage();
    if (message === undefined) return this.#nothingToRead();
    return { ...message, from: this.peer ?? this.local };
  }

  /** What its connection holds, if it has one. */
  queues(): Queues | undefined {
    return this.link?.queues;
  }

  /** Whether recv or recvMessage would give something now, the end and errors included. */
  readable(): boolean {
    if (this.state === 'listen') return this.acceptQueue.length > 0;
    if (this.type === 'dgram') return this.datagrams.length > 0;
    if (this.link?.hasData === true) return true;
    return this.error !== undefined || this.#atEnd() || this.state !== 'connected';
  }

  /** @throws SystemError ENOTCONN without a connection. */
  shutdown(how: 'read' | 'write' | 'both'): void {
    if (this.state !== 'connected' && this.state !== 'closing') {
      throw new SystemError('ENOTCONN', { syscall: 'shutdown' });
    }
    const bits = { read: VIRTIO_VSOCK_SHUTDOWN_RCV, write: VIRTIO_VSOCK_SHUTDOWN_SEND, both: 3 };
    this.ownShutdown |= bits[how];
    if (!this.done) this.link?.shutdown(bits[how]);
    this.done = false;
    this.host.wake(this);
  }

  /** BUFFER_SIZE is kept between MIN and MAX; when a bound moves, the size follows. MIN above MAX gives MAX. */
  setBuffer(option: SizeOption, bytes: number): void {
    if (option === 'min') this.bufferMin = bytes;
    else if (option === 'max') this.bufferMax = bytes;
    const wanted = option === 'size' ? bytes : this.bufferSize;
    const size = Math.min(Math.max(wanted, this.bufferMin), this.bufferMax);
    if (size === this.bufferSize) return;
    this.bufferSize = size;
    this.link?.bufferChanged();
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

  /** The program closes it. What a connection still has to do it does by itself. */
  close(): void {
    if (this.released) return;
    this.released = true;
    this.deadline?.cancel();
    for (const child of this.acceptQueue.splice(0)) child.close();
    this.datagrams.length = 0;
    if (this.link === undefined) this.host.remove(this);
    else this.link.close();
  }

  /**
   * The connection is gone without a word to the peer, as after a transport reset. One that was over
   * before stays as it ended; one that was being made can be tried again.
   */
  abort(error: ErrorCode): void {
    this.deadline?.cancel();
    this.link?.drop();
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
    if (this.link?.hasData !== true) this.state = 'closing';
    if (this.released) {
      this.deadline?.cancel();
      this.host.remove(this);
    }
    this.host.wake(this);
  }

  #sendable(): Link {
    const shut =
      (this.ownShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0 ||
      (this.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) !== 0;
    if (shut) throw new SystemError('EPIPE', { syscall: 'send' });
    const { link } = this;
    if (this.state !== 'connected' || link === undefined) {
      throw new SystemError('ENOTCONN', { syscall: 'send' });
    }
    this.#throwError('send');
    return link;
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
