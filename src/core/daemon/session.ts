/**
 * One control connection: requests in, answers and events out. When it closes, all that it opened is closed,
 * as when a process ends.
 */
import type { Socket as NetSocket } from 'node:net';
import { SystemError } from '../abi/errno.js';
import type { Caller } from '../simulator/node.js';
import { CAPTURE_CALLS } from './capture-calls.js';
import { EXPORT_CALLS } from './export-calls.js';
import { GUEST_CALLS } from './guest-calls.js';
import { MANAGEMENT_CALLS } from './management-calls.js';
import { MEMORY_CALLS } from './mapped-memory.js';
import { NODE_CALLS, NodeTable } from './node-calls.js';
import { integer, type Parameters, text } from './parameters.js';
import type { Shared } from './sessions.js';
import { SOCKET_CALLS, SocketTable } from './socket-calls.js';
import { VCPU_CALLS } from './vcpu-calls.js';
import { VMCI_CALLS } from './vmci-calls.js';
import { VMCI_QUEUE_CALLS } from './vmci-queue-calls.js';
import { encodeFrame, errorToWire, type Frame, FrameReader } from './wire.js';

/** What a call gives back: parameters of the answer, and bytes. */
export interface Answer {
  readonly [name: string]: unknown;
  readonly binary?: Uint8Array;
}

export interface Call {
  readonly session: Session;
  readonly parameters: Parameters;
  readonly binary: Uint8Array;
  /** Aborts when the client cancels the call, or is gone. */
  readonly signal: AbortSignal;
}

export type CallTable = Readonly<Record<string, (call: Call) => Answer | Promise<Answer>>>;

const CALLS: CallTable = {
  ...NODE_CALLS,
  ...SOCKET_CALLS,
  ...MANAGEMENT_CALLS,
  ...GUEST_CALLS,
  ...CAPTURE_CALLS,
  ...EXPORT_CALLS,
  ...VCPU_CALLS,
  ...VMCI_CALLS,
  ...MEMORY_CALLS,
  ...VMCI_QUEUE_CALLS,
};

/** The number of a request that wants no answer. */
const ONE_WAY = 0;
/** Calls that one client may have under way. */
const MAX_CALLS = 4096;
/** What may wait for a client that does not read, bytes; after that nothing more is read from it. */
const MAX_BACKLOG = 1024 * 1024;
/** A client that lets so much wait is not there any more, bytes. */
const MAX_UNREAD = 64 * 1024 * 1024;

export class Session {
  readonly shared: Shared;
  readonly caller: Caller;
  readonly nodes: NodeTable;
  readonly sockets: SocketTable;
  readonly #connection: NetSocket;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, AbortController>();
  readonly #oneWay = new AbortController();
  readonly #closing: (() => void)[] = [];
  readonly #ending: (() => void)[] = [];
  #closed = false;

  constructor(shared: Shared, caller: Caller, connection: NetSocket) {
    this.shared = shared;
    this.caller = caller;
    this.#connection = connection;
    this.nodes = new NodeTable(shared.keeper);
    this.sockets = new SocketTable(this);
    shared.sessions.add(this);
    connection.on('data', (chunk: Uint8Array) => this.#received(chunk));
    connection.on('drain', () => connection.resume());
    connection.on('error', () => this.close());
    connection.on('end', () => this.close());
    connection.on('close', () => this.close());
    connection.resume();
  }

  /** Whether the client is slow to read: what can be left out should be. */
  get congested(): boolean {
    return this.#connection.writableLength > MAX_BACKLOG;
  }

  /** Tells the client something that it did not ask for. */
  event(name: string, parameters: object): void {
    if (this.#closed) return;
    try {
      this.#write({ event: name, ...parameters });
    } catch (error) {
      this.shared.keeper.log.write(`the event '${name}' is left out: ${String(error)}`);
    }
  }

  /** Calls back when the session closes; at once when it has. */
  onClose(action: () => void): void {
    if (this.#closed) action();
    else this.#closing.push(action);
  }

  /** Calls back after all that it opened is closed. */
  onEnd(action: () => void): void {
    this.#ending.push(action);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.shared.sessions.delete(this);
    this.#connection.destroy();
    this.#oneWay.abort();
    for (const call of this.#calls.values()) call.abort();
    for (const action of this.#closing) action();
    this.sockets.close();
    this.nodes.close();
    for (const action of this.#ending) action();
    this.shared.keeper.digest();
  }

  #received(chunk: Uint8Array): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#request(frame);
    } catch (error) {
      this.shared.keeper.log.write(`a client is dropped: ${String(error)}`);
      this.event('dropped', { error: errorToWire(error) });
      this.close();
    }
  }

  #request({ json, binary }: Frame): void {
    if (this.#closed) return;
    const id = integer(json, 'id');
    const op = text(json, 'op');
    if (op === 'cancel') {
      this.#calls.get(integer(json, 'call'))?.abort();
      return;
    }
    if (id === ONE_WAY) {
      const { signal } = this.#oneWay;
      this.#perform(op, { session: this, parameters: json, binary, signal }).catch((error) =>
        this.#refuse(id, error),
      );
      return;
    }
    if (this.#calls.size >= MAX_CALLS || this.#calls.has(id)) {
      throw new SystemError('EPROTO', { message: 'too many calls, or two with one number' });
    }
    const controller = new AbortController();
    this.#calls.set(id, controller);
    this.#perform(op, { session: this, parameters: json, binary, signal: controller.signal }).then(
      (answer) => this.#answer(id, answer),
      (error) => this.#refuse(id, error),
    );
  }

  async #perform(op: string, call: Call): Promise<Answer> {
    const handler = Object.hasOwn(CALLS, op) ? CALLS[op] : undefined;
    if (handler === undefined) {
      throw new SystemError('ENOSYS', { message: `this simulated host does not know '${op}'` });
    }
    return await handler(call);
  }

  #answer(id: number, { binary, ...ok }: Answer): void {
    if (this.#closed) return;
    try {
      this.#write({ id, ok }, binary);
      this.#calls.delete(id);
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  #refuse(id: number, error: unknown): void {
    this.#calls.delete(id);
    if (!(error instanceof SystemError)) {
      this.shared.keeper.log.write(
        `a call failed: ${error instanceof Error ? error.stack : error}`,
      );
    }
    if (!this.#closed) this.#write({ id, error: errorToWire(error) });
  }

  #write(json: object, binary?: Uint8Array): void {
    for (const part of encodeFrame(json, binary)) this.#connection.write(part);
    if (this.#connection.writableLength > MAX_UNREAD) {
      this.shared.keeper.log.write('a client is dropped: it does not read what it asked for');
      this.close();
    } else if (this.congested) this.#connection.pause();
  }
}
