/** What a case works with: sockets that are closed with it, and verbs for what it does to them. */
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { isErrorCode } from '../../src/core/abi/errno.js';
import { VMADDR_CID_ANY, VMADDR_CID_LOCAL } from '../../src/core/abi/vm-sockets.js';
import type {
  SocketType,
  VsockAddress,
  VsockSocket,
  VsockStream,
} from '../../src/core/backend/port/vsock.js';
import type { Machine } from '../../src/core/backend/port.js';

/** The error's name of a call that fails, `ok` of one that does not. */
export async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'ok';
  } catch (error) {
    return errorName(error);
  }
}

function errorName(error: unknown): string {
  const { code } = error as { code?: unknown };
  return isErrorCode(code) ? code : String(error);
}

/** Several outcomes by name, one call after the other. */
export async function outcomes(calls: Record<string, () => Promise<unknown>>): Promise<string> {
  const said: string[] = [];
  for (const [name, call] of Object.entries(calls)) said.push(`${name} ${await outcome(call())}`);
  return said.join(', ');
}

/** An address without a port that was taken automatically. */
export function addressText({ cid, port }: VsockAddress, known: readonly number[]): string {
  const name = cid === VMADDR_CID_ANY ? 'any' : String(cid);
  if (port === VMADDR_CID_ANY) return `${name}:any`;
  const at = known.indexOf(port);
  if (at >= 0) return `${name}:own${at === 0 ? '' : `+${at}`}`;
  return `${name}:${port > 1023 ? 'automatic' : 'privileged'}`;
}

/** Bytes that repeat nowhere near, the same at each run. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return digest(a) === digest(b);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export interface ListenOptions {
  type?: SocketType;
  backlog?: number;
  cid?: number;
  port?: number;
  /** SO_VM_SOCKETS_BUFFER_SIZE, which connections inherit. */
  bufferSize?: number;
}

export interface PairOptions extends ListenOptions {
  /** The client's own SO_VM_SOCKETS_BUFFER_SIZE. */
  clientBufferSize?: number;
}

/** Both sockets of a connection, and the listener that made one of them. */
export interface Pair {
  client: VsockSocket;
  server: VsockSocket;
  listener: VsockSocket;
}

export class Bench {
  readonly machine: Machine;
  /** The first of the ports that are the case's own. */
  readonly port: number;
  readonly #sockets: VsockSocket[] = [];
  readonly #ends: End[] = [];
  readonly #atFinish: (() => void)[] = [];

  constructor(machine: Machine, port: number) {
    this.machine = machine;
    this.port = port;
  }

  /** Another of the case's own ports, from 1. */
  otherPort(n: number): number {
    return this.port + n;
  }

  /** An address of one of the case's own ports on this machine, by default its first. */
  local(port = this.port): VsockAddress {
    return { cid: VMADDR_CID_LOCAL, port };
  }

  any(port = this.port): VsockAddress {
    return { cid: VMADDR_CID_ANY, port };
  }

  text(address: VsockAddress): string {
    return addressText(address, [this.port, this.otherPort(1), this.otherPort(2)]);
  }

  async socket(type: SocketType = 'stream'): Promise<VsockSocket> {
    return this.keep(await this.machine.socket(type));
  }

  /** Has a socket closed with the case. */
  keep(socket: VsockSocket): VsockSocket {
    this.#sockets.push(socket);
    return socket;
  }

  async listen(options: ListenOptions = {}): Promise<VsockSocket> {
    const { type, backlog = 16, cid = VMADDR_CID_ANY, port = this.port, bufferSize } = options;
    const listener = await this.socket(type);
    if (bufferSize !== undefined) await listener.setOption('SO_VM_SOCKETS_BUFFER_SIZE', bufferSize);
    await listener.bind({ cid, port });
    await listener.listen(backlog);
    return listener;
  }

  async accept(listener: VsockSocket, signal?: AbortSignal): Promise<VsockSocket> {
    return this.keep(await listener.accept({ signal }));
  }

  async dial(port = this.port, type: SocketType = 'stream'): Promise<VsockSocket> {
    const socket = await this.socket(type);
    await socket.connect(this.local(port));
    return socket;
  }

  async pair(options: PairOptions = {}): Promise<Pair> {
    const listener = await this.listen(options);
    const client = await this.socket(options.type);
    if (options.clientBufferSize !== undefined)
      await client.setOption('SO_VM_SOCKETS_BUFFER_SIZE', options.clientBufferSize);
    await client.connect(this.local(options.port));
    return { client, server: await this.accept(listener), listener };
  }

  async open(socket: VsockSocket): Promise<End> {
    const end = new End(socket, await socket.stream());
    this.#ends.push(end);
    return end;
  }

  /** A connection, with a stream at both ends. */
  async ends(options: PairOptions = {}): Promise<{ client: End; server: End }> {
    const pair = await this.pair(options);
    return { client: await this.open(pair.client), server: await this.open(pair.server) };
  }

  /** The newest first, so that no listener closes connections that a case has not taken. */
  async closeAll(): Promise<void> {
    for (const end of this.#ends.splice(0)) end.stream.duplex.destroy();
    for (const socket of this.#sockets.splice(0).reverse()) await outcome(socket.close());
  }

  atFinish(action: () => void): void {
    this.#atFinish.push(action);
  }

  finish(): void {
    for (const action of this.#atFinish.splice(0)) action();
  }
}

/** A connected socket and its stream. */
export class End {
  readonly socket: VsockSocket;
  readonly stream: VsockStream;
  readonly #chunks: AsyncIterator<Buffer>;

  constructor(socket: VsockSocket, stream: VsockStream) {
    this.socket = socket;
    this.stream = stream;
    // How a connection ended is `ended`'s to say; the stream's own error only says that it broke.
    stream.duplex.on('error', () => undefined);
    this.#chunks = stream.duplex.iterator({ destroyOnReturn: false });
  }

  /** Writes, and waits until the stream has handed it on. A stream that breaks meanwhile has not. */
  say(data: Uint8Array | string): Promise<string> {
    const { duplex } = this.stream;
    return new Promise((resolve) => {
      const broken = () => resolve('broken');
      duplex.once('close', broken);
      duplex.write(data, (error) => {
        duplex.off('close', broken);
        resolve(error ? 'broken' : 'ok');
      });
    });
  }

  /** Says that this is all. */
  finish(): void {
    this.stream.duplex.end();
  }

  /** Lets go of it at once, as a process does that ends. */
  async leave(): Promise<void> {
    this.stream.duplex.destroy();
    await this.socket.close();
  }

  /** The next chunk: for sockets that keep boundaries, a message. Undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    const { done, value } = await this.#chunks.next();
    return done ? undefined : value;
  }

  /** Exactly so many bytes, or fewer where it ends. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const part = await this.next();
      if (part === undefined) break;
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** The same, into memory of the reader's own, where the stream has a call for it. */
  async takeInto(length: number): Promise<Buffer> {
    if (this.stream.read === undefined) return this.take(length);
    const all = Buffer.alloc(length);
    for (let at = 0; at < length; ) {
      const came = await this.stream.read(all.subarray(at));
      if (came === 0) return all.subarray(0, at);
      at += came;
    }
    return all;
  }

  /** Everything to the end, and whether that was a proper one. */
  async rest(): Promise<{ chunks: Buffer[]; bytes: Buffer; how: 'end' | 'broken' }> {
    const chunks: Buffer[] = [];
    let how: 'end' | 'broken' = 'end';
    try {
      for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) {
        chunks.push(chunk);
      }
    } catch {
      how = 'broken';
    }
    return { chunks, bytes: Buffer.concat(chunks), how };
  }

  /** What is left to read, as text: `hello|end`. */
  async restText(): Promise<string> {
    const { chunks, how } = await this.rest();
    const text = Buffer.concat(chunks).toString();
    return text === '' ? how : `${text}|${how}`;
  }

  /** How the connection ended. Only who reads to the end gets to know. */
  async fate(): Promise<string> {
    await this.rest();
    return outcome(this.stream.ended);
  }

  /** Writes until that is no longer possible, or `limit` bytes went out. */
  async sayMuch(limit: number): Promise<string> {
    const { duplex } = this.stream;
    const piece = pattern(65536);
    for (let left = limit; left > 0 && duplex.writable; left -= piece.length) {
      if (!duplex.write(piece)) await drained(duplex);
    }
    return duplex.writable ? 'takes all' : 'stops';
  }
}

/** Resolves when a stream takes more, or never will. */
function drained(duplex: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      duplex.off('drain', settle);
      duplex.off('close', settle);
      resolve();
    };
    duplex.on('drain', settle);
    duplex.on('close', settle);
  });
}
