/**
 * One front-end's socket: whole messages out of it, with their descriptors, and answers into it. Nothing waits: a
 * message that stops in the middle stays as it is until the rest comes, and while an answer does not fit into the
 * socket nothing more is read.
 */
import { constants } from 'node:os';
import {
  VHOST_USER_HDR_FLAG_NEED_REPLY,
  VHOST_USER_HDR_FLAG_REPLY,
  VHOST_USER_HDR_VERSION,
  VHOST_USER_HDR_VERSION_MASK,
  vhost_user_header,
} from '../../abi/vhost-user.js';
import { MAX_DESCRIPTORS } from '../../native/messages.js';
import type { System } from './system.js';

/** The largest payload that is taken, bytes; the largest that a request of ours has is 272. */
export const MAX_PAYLOAD = 4096;
/** Messages of one turn of the event loop. */
const MESSAGES_A_TURN = 64;
const AGAIN = -constants.errno.EAGAIN;

/** A request, valid while it is handled. Descriptors that nobody takes are closed afterwards. */
export interface Message {
  readonly request: number;
  readonly needReply: boolean;
  readonly payload: Uint8Array;
  readonly fds: number[];
}

export interface ConnectionEvents {
  message(message: Message): void;
  /** Nothing more comes; at fault is whoever broke a rule, and not who left. */
  ended(reason: string, faulty: boolean): void;
}

export class Connection {
  readonly #system: System;
  readonly #fd: number;
  readonly #events: ConnectionEvents;
  readonly #header = new Uint8Array(vhost_user_header.size);
  readonly #payload = new Uint8Array(MAX_PAYLOAD);
  /** Descriptors that came with the message that is being read. */
  #fds: number[] = [];
  /** Bytes of the header and of the payload that are there. */
  #headerLength = 0;
  #payloadLength = 0;
  /** What of an answer did not fit into the socket. */
  #unsent: Uint8Array | undefined;
  #moreLater = false;
  #closed = false;

  constructor(system: System, fd: number, events: ConnectionEvents) {
    this.#system = system;
    this.#fd = fd;
    this.#events = events;
  }

  /** Begins to read. A negated errno where the socket can't be watched. */
  start(): number {
    return this.#system.reactor.add(this.#fd, () => this.poll());
  }

  /** Takes what is there now. */
  poll(): void {
    for (let count = 0; count < MESSAGES_A_TURN; count++) {
      if (!this.#flush() || !this.#step()) return;
    }
    this.#pollLater();
  }

  /** Answers the message that is being handled. */
  reply(request: number, payload: Uint8Array): void {
    if (this.#closed) return;
    const flags = VHOST_USER_HDR_VERSION | VHOST_USER_HDR_FLAG_REPLY;
    const answer = new Uint8Array(vhost_user_header.size + payload.length);
    answer.set(vhost_user_header.encode({ request, flags, size: payload.length }));
    answer.set(payload, vhost_user_header.size);
    this.#unsent = answer;
    this.#flush();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#dropDescriptors();
    this.#system.reactor.remove(this.#fd);
    this.#system.libc.close(this.#fd);
  }

  /** Whether all answers are out. */
  #flush(): boolean {
    while (this.#unsent !== undefined && !this.#closed) {
      const sent = this.#system.messages.send(this.#fd, this.#unsent);
      if (sent === AGAIN) return false;
      if (sent < 0) {
        this.#end(`an answer can't be sent: errno ${-sent}`, false);
        return false;
      }
      this.#unsent = sent < this.#unsent.length ? this.#unsent.subarray(sent) : undefined;
    }
    return !this.#closed;
  }

  /** Reads a part of a message, and handles it when it is whole. False when there is nothing more to read now. */
  #step(): boolean {
    if (this.#headerLength < this.#header.length) {
      const count = this.#receive(this.#header.subarray(this.#headerLength));
      this.#headerLength += count;
      if (count === 0 || this.#headerLength < this.#header.length) return count > 0;
    }
    const { request, flags, size } = vhost_user_header.decode(this.#header);
    if ((flags & VHOST_USER_HDR_VERSION_MASK) !== VHOST_USER_HDR_VERSION) {
      return this.#end(`message of version ${flags & VHOST_USER_HDR_VERSION_MASK}`);
    }
    if (flags & VHOST_USER_HDR_FLAG_REPLY) return this.#end('an answer to no request');
    if (size > MAX_PAYLOAD) return this.#end(`request ${request} has ${size} bytes`);
    if (this.#payloadLength < size) {
      const count = this.#receive(this.#payload.subarray(this.#payloadLength, size));
      this.#payloadLength += count;
      if (this.#payloadLength < size) return count > 0;
    }
    const needReply = (flags & VHOST_USER_HDR_FLAG_NEED_REPLY) !== 0;
    this.#deliver({
      request,
      needReply,
      payload: this.#payload.subarray(0, size),
      fds: this.#fds.splice(0),
    });
    return !this.#closed;
  }

  #deliver(message: Message): void {
    this.#headerLength = 0;
    this.#payloadLength = 0;
    try {
      this.#events.message(message);
    } finally {
      for (const fd of message.fds) this.#system.libc.close(fd);
    }
  }

  /** Bytes that came; 0 when there are none now or never. */
  #receive(into: Uint8Array): number {
    const { length, fds, truncated } = this.#system.messages.receive(this.#fd, into);
    this.#fds.push(...fds);
    if (length === AGAIN) return 0;
    const inside = this.#headerLength > 0;
    const where = inside ? ' in the middle of a message' : '';
    if (length === 0) this.#end(`the front-end left${where}`, inside);
    else if (length < 0) this.#end(`the front-end is gone${where}: errno ${-length}`, inside);
    else if (truncated || this.#fds.length > MAX_DESCRIPTORS) this.#end('too many descriptors');
    return this.#closed ? 0 : length;
  }

  #pollLater(): void {
    if (this.#moreLater || this.#closed) return;
    this.#moreLater = true;
    setImmediate(() => {
      this.#moreLater = false;
      this.poll();
    });
  }

  /** For the result of a step: nothing more is to be read. */
  #end(reason: string, faulty = true): false {
    if (!this.#closed) {
      this.close();
      this.#events.ended(reason, faulty);
    }
    return false;
  }

  #dropDescriptors(): void {
    for (const fd of this.#fds.splice(0)) this.#system.libc.close(fd);
  }
}
