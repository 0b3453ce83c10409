/**
 * Joins a connected vsock socket to the Unix connection of the program that uses it. Bytes go from one to the
 * other without being copied or put into frames; what the vsock peer gives no credit for is not read from the
 * program, and what the program does not read is not taken from the socket.
 */
import type { Socket as NetSocket } from 'node:net';
import { type ErrorCode, isErrorCode, SystemError } from '../abi/errno.js';
import { VIRTIO_VSOCK_SHUTDOWN_RCV } from '../abi/virtio-vsock.js';
import { VSOCK_CLOSE_TIMEOUT_MS } from '../abi/vm-sockets.js';
import type { Socket } from '../simulator/vsock/socket.js';
import { encodeMessage, MessageReader } from './messages.js';
import type { Pump, Watcher } from './pump.js';

/** How much is taken from a socket for one write to the program, bytes. */
const READ_BYTES = 262144;

export interface BridgeEvents {
  /** The peer takes no more: what the program still sends is lost. */
  hungUp?(): void;
  /** Told once: the connection is over in both directions; with an error if it did not end well. */
  ended(error: ErrorCode | undefined): void;
}

export class Bridge implements Watcher {
  readonly #socket: Socket;
  readonly #connection: NetSocket;
  readonly #pump: Pump;
  readonly #events: BridgeEvents;
  /** What was read from the program and not yet accepted by the socket; the program is not read meanwhile. */
  readonly #unsent: Uint8Array[] = [];
  readonly #messages: MessageReader | undefined;
  #inputEnded = false;
  #shutDown = false;
  #outputEnded = false;
  #writable = true;
  #finished = false;
  #error: ErrorCode | undefined;
  #hungUp = false;
  /** Whether it is a datagram socket that answers whoever speaks first. Only its program ends that. */
  readonly #awaitsPeer: boolean;
  #abandoned: NodeJS.Timeout | undefined;

  constructor(socket: Socket, connection: NetSocket, pump: Pump, events: BridgeEvents) {
    this.#socket = socket;
    this.#connection = connection;
    this.#pump = pump;
    this.#events = events;
    this.#messages = socket.type === 'stream' ? undefined : new MessageReader();
    this.#awaitsPeer = socket.type === 'dgram' && socket.peer === undefined;
  }

  /** Lets bytes flow. */
  start(): void {
    const connection = this.#connection;
    this.#pump.watch(this.#socket, this);
    connection.on('data', (chunk: Uint8Array) => this.#received(chunk));
    connection.on('end', () => this.#programEnded());
    connection.on('drain', () => this.#drained());
    connection.on('error', () => this.abandon());
    connection.on('close', () => this.abandon());
    connection.resume();
    this.socketChanged();
    this.#pump.kick();
  }

  /** The program is gone: what it has sent still goes out, and its peer learns that nobody reads any more. */
  abandon(): void {
    if (this.#finished || this.#abandoned !== undefined) return;
    if (this.#socket.type === 'dgram') {
      this.#finish();
      return;
    }
    this.#outputEnded = true;
    this.#connection.on('error', () => undefined);
    const inputIsOver = this.#connection.destroyed || this.#connection.readableEnded;
    if (inputIsOver) this.#inputEnded = true;
    if (this.#socket.state === 'connected' && !this.#socket.done) this.#socket.shutdown('read');
    this.#abandoned = setTimeout(() => this.#finish(), VSOCK_CLOSE_TIMEOUT_MS);
    this.#step();
    this.#pump.kick();
  }

  /** The program's end of input is not waited for any more: all is over once it has what the peer sent. */
  closeWhenDelivered(): void {
    this.#inputEnded = true;
    this.#shutDown = true;
    this.#step();
  }

  /** Ends it at once: the socket's peer is told that it closed. */
  destroy(error?: ErrorCode): void {
    this.#error ??= error;
    this.#finish();
  }

  socketChanged(): void {
    this.#step();
    if (this.#peerClosed()) this.#hangUp();
  }

  /** Whether the peer takes no more. */
  #peerClosed(): boolean {
    return (this.#socket.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) !== 0;
  }

  #hangUp(): void {
    if (this.#hungUp || this.#finished) return;
    this.#hungUp = true;
    this.#events.hungUp?.();
  }

  #received(chunk: Uint8Array): void {
    if (this.#finished || this.#inputEnded) return;
    try {
      if (this.#messages === undefined) this.#unsent.push(chunk);
      else this.#unsent.push(...this.#messages.push(chunk));
    } catch (error) {
      this.#fail(error);
    }
    this.#step();
    this.#pump.kick();
  }

  #programEnded(): void {
    this.#inputEnded = true;
    this.#step();
    this.#pump.kick();
  }

  #drained(): void {
    this.#writable = true;
    this.#step();
    this.#pump.kick();
  }

  #step(): void {
    if (this.#finished) return;
    try {
      this.#send();
    } catch (error) {
      this.#sendFailed(error);
    }
    try {
      this.#receive();
    } catch (error) {
      this.#receiveFailed(error);
    }
    if (this.#inputOver() && this.#outputEnded) this.#finish();
  }

  #inputOver(): boolean {
    return this.#inputEnded && this.#unsent.length === 0;
  }

  #send(): void {
    if (this.#awaitsPeer && this.#socket.peer === undefined) return;
    const before = this.#unsent.length;
    for (let data = this.#unsent[0]; data !== undefined; data = this.#unsent[0]) {
      const stream = this.#socket.type === 'stream';
      const sent = stream ? this.#socket.send(data) : this.#socket.sendMessage(data);
      if (sent < data.length) {
        this.#unsent[0] = data.subarray(sent);
        this.#connection.pause();
        return;
      }
      this.#unsent.shift();
    }
    if (this.#inputEnded) this.#shutdownOnce();
    else if (before > 0 && this.#connection.isPaused()) this.#connection.resume();
  }

  #shutdownOnce(): void {
    if (this.#socket.type === 'dgram') this.#outputEnded ||= !this.#awaitsPeer;
    else if (this.#socket.state === 'connected' && !this.#shutDown) this.#socket.shutdown('write');
    this.#shutDown = true;
  }

  #receive(): void {
    while (!this.#outputEnded && this.#writable) {
      const data = this.#next();
      if (data === undefined) return;
      if (data === null) {
        this.#outputEnded = true;
        this.#connection.end();
        return;
      }
      const more = this.#connection.write(data);
      // What the kernel took at once needs no waiting for, however large it was.
      this.#writable = more || this.#connection.writableLength === 0;
    }
    if (this.#outputEnded && this.#abandoned !== undefined) this.#discard();
  }

  #next(): Uint8Array | null | undefined {
    if (this.#socket.type === 'stream') return this.#socket.recv(READ_BYTES);
    const message = this.#socket.recvMessage();
    if (message === null || message === undefined) return message;
    if (this.#awaitsPeer) this.#socket.peer ??= message.from;
    return encodeMessage(message.bytes);
  }

  /** Nobody reads any more, but the peer must not be kept from taking what is on its way to it. */
  #discard(): void {
    while (this.#socket.readable()) {
      const data = this.#next();
      if (data === null || data === undefined) return;
    }
  }

  /**
   * What the program has sent and still sends is lost; that is no news when there is nothing of it. A peer that would
   * take more learns that there is none.
   */
  #sendFailed(error: unknown): void {
    if (this.#unsent.length > 0) this.#fail(error);
    this.#unsent.length = 0;
    this.#inputEnded = true;
    this.#connection.resume();
    if (!this.#peerClosed()) this.#shutdownOnce();
    this.#hangUp();
  }

  #receiveFailed(error: unknown): void {
    const closed = error instanceof SystemError && error.code === 'ENOTCONN';
    if (!closed) this.#fail(error);
    if (this.#outputEnded) return;
    this.#outputEnded = true;
    this.#connection.end();
  }

  #fail(error: unknown): void {
    const code = (error as { code?: unknown }).code;
    this.#error ??= isErrorCode(code) ? code : 'EIO';
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#abandoned);
    this.#pump.watch(this.#socket, undefined);
    const error = this.#socket.cutOff ? this.#cutOffReason() : this.#error;
    this.#socket.close();
    this.#connection.resume();
    this.#connection.end();
    this.#events.ended(error);
    this.#pump.kick();
  }

  #cutOffReason(): ErrorCode {
    const said = this.#error ?? this.#socket.error;
    return said === undefined || said === 'EPIPE' ? 'ECONNRESET' : said;
  }
}
