/**
 * The other side of vhost-user, scripted: a front-end with memory of its own, and a driver on its rings that writes each
 * byte itself. It waits for nothing but what it asks for.
 */
import { constants } from 'node:os';
import type { Test } from 'tap';
import { fromBytes, toBytes, u64 } from '../../src/core/abi/layout.js';
import * as v from '../../src/core/abi/vhost-user.js';
import { type Libc, loadLibc, type Mapping } from '../../src/core/native/libc.js';
import { Messages } from '../../src/core/native/messages.js';

const [AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK] = [1, 1, 0o4000];
const [PROT_READ_WRITE, MAP_SHARED] = [3, 1];
const EFD_NONBLOCK = 0o4000;
const MFD_ALLOW_SEALING = 2;
const AGAIN = -constants.errno.EAGAIN;
/** Turns of the event loop after which what does not come is missed. */
const PATIENCE = 20_000;

/** Where the front-end's memory is in its own and in the guest's addresses. */
export const USER_BASE = 0x7f00_0000_0000;
export const GUEST_BASE = 0x4000_0000;

export interface System {
  libc: Libc;
  messages: Messages;
}

export async function system(): Promise<System> {
  return { libc: await loadLibc(), messages: await Messages.load() };
}

/** Turns of the event loop until a value is there. */
export async function eventually<T>(look: () => T | undefined, what: string): Promise<T> {
  for (let turn = 0; turn < PATIENCE; turn++) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise(setImmediate);
  }
  throw new Error(`${what} does not come`);
}

/** A file that is memory, mapped. */
export class TestMemory {
  readonly fd: number;
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #libc: Libc;
  readonly #mapping: Mapping;
  #closed = false;

  constructor({ libc }: System, size: number, flags = MFD_ALLOW_SEALING) {
    this.#libc = libc;
    this.size = size;
    this.fd = libc.memfdCreate('guest', flags);
    libc.ftruncate(this.fd, size);
    const options = { length: size, protection: PROT_READ_WRITE, flags: MAP_SHARED, offset: 0 };
    const mapping = libc.map(this.fd, options);
    if (typeof mapping === 'number') throw new Error(`mmap = ${mapping}`);
    this.#mapping = mapping;
    this.bytes = new Uint8Array(mapping.memory);
    this.view = new DataView(mapping.memory);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#mapping.unmap();
    this.#libc.close(this.fd);
  }
}

export interface Answer {
  request: number;
  flags: number;
  payload: Uint8Array;
}

/** Reads whole messages of a socket that does not wait. */
export class MessageReader {
  readonly #system: System;
  readonly #fd: number;
  #pending = new Uint8Array(0);
  ended = false;

  constructor(system: System, fd: number) {
    this.#system = system;
    this.#fd = fd;
  }

  /** The next message, if it is there. */
  take(): Answer | undefined {
    this.#fill();
    if (this.#pending.length < v.vhost_user_header.size) return undefined;
    const { request, flags, size } = v.vhost_user_header.decode(this.#pending);
    const end = v.vhost_user_header.size + size;
    if (this.#pending.length < end) return undefined;
    const payload = this.#pending.slice(v.vhost_user_header.size, end);
    this.#pending = this.#pending.slice(end);
    return { request, flags, payload };
  }

  #fill(): void {
    const chunk = new Uint8Array(4096);
    while (!this.ended) {
      const { length } = this.#system.messages.receive(this.#fd, chunk);
      if (length === AGAIN) return;
      if (length <= 0) {
        this.ended = true;
        return;
      }
      const joined = new Uint8Array(this.#pending.length + length);
      joined.set(this.#pending);
      joined.set(chunk.subarray(0, length), this.#pending.length);
      this.#pending = joined;
    }
  }
}

export class Frontend {
  readonly system: System;
  readonly fd: number;
  readonly reader: MessageReader;
  /** Ask for an acknowledgement with each request that has no answer. */
  needReply = false;
  readonly #owned: number[] = [];
  #closed = false;

  constructor(system: System, path: string) {
    this.system = system;
    this.fd = system.libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const result = system.libc.connect(this.fd, unixAddress(path));
    if (result < 0) throw new Error(`connect = ${result}`);
    this.reader = new MessageReader(system, this.fd);
  }

  static async connect(t: Test, path: string): Promise<Frontend> {
    const frontend = new Frontend(await system(), path);
    t.teardown(() => frontend.close());
    return frontend;
  }

  /** Keeps a descriptor until the front-end closes. */
  own(fd: number): number {
    if (fd < 0) throw new Error(`no descriptor: ${fd}`);
    this.#owned.push(fd);
    return fd;
  }

  eventfd(): number {
    return this.own(this.system.libc.eventfd(0, EFD_NONBLOCK));
  }

  /** The count of an eventfd, which is 0 from then on. */
  count(fd: number): number {
    const value = new Uint8Array(8);
    return this.system.libc.read(fd, value) === 8 ? Number(fromBytes(u64, value)) : 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of [this.fd, ...this.#owned.splice(0)]) this.system.libc.close(fd);
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array, fds: readonly number[] = []): number {
    return this.system.messages.send(this.fd, bytes, fds);
  }

  send(
    request: number,
    payload: Uint8Array = new Uint8Array(0),
    fds: readonly number[] = [],
    flags = 1,
  ): void {
    const message = new Uint8Array(v.vhost_user_header.size + payload.length);
    message.set(v.vhost_user_header.encode({ request, flags, size: payload.length }));
    message.set(payload, v.vhost_user_header.size);
    const sent = this.sendRaw(message, fds);
    if (sent !== message.length) throw new Error(`sent ${sent} of ${message.length} bytes`);
  }

  answer(): Promise<Answer> {
    return eventually(() => this.reader.take(), 'an answer');
  }

  /** A request that is always answered. */
  async ask(request: number, payload?: Uint8Array): Promise<Uint8Array> {
    this.send(request, payload, [], this.needReply ? 9 : 1);
    const answer = await this.answer();
    if (answer.request !== request || answer.flags !== 5) {
      throw new Error(`answer ${answer.request}, flags ${answer.flags}, to request ${request}`);
    }
    return answer.payload;
  }

  /** A request that is acknowledged when it was agreed that all are. */
  async tell(request: number, payload?: Uint8Array, fds: readonly number[] = []): Promise<void> {
    this.send(request, payload, fds, this.needReply ? 9 : 1);
    if (!this.needReply) return;
    const { payload: result } = await this.answer();
    if (fromBytes(u64, result) !== 0n) throw new Error(`request ${request} failed`);
  }

  /** Waits until the back-end has closed the connection. */
  async closed(): Promise<void> {
    await eventually(() => {
      this.reader.take();
      return this.reader.ended || undefined;
    }, 'the end of the connection');
  }

  state(request: number, index: number, num: number): Promise<void> {
    return this.tell(request, v.vhost_user_vring_state.encode({ index, num }));
  }

  word(request: number, value: bigint, fds: readonly number[] = []): Promise<void> {
    return this.tell(request, toBytes(u64, value), fds);
  }

  setMemory(memory: TestMemory, guest = GUEST_BASE, user = USER_BASE): Promise<void> {
    return this.tell(v.VHOST_USER_SET_MEM_TABLE, memTable([region(memory.size, guest, user)]), [
      memory.fd,
    ]);
  }
}

export function region(size: number, guest = GUEST_BASE, user = USER_BASE, offset = 0): Uint8Array {
  return v.vhost_user_mem_region.encode({
    guest_addr: BigInt(guest),
    size: BigInt(size),
    user_addr: BigInt(user),
    mmap_offset: BigInt(offset),
  });
}

export function memTable(regions: readonly Uint8Array[]): Uint8Array {
  const head = v.vhost_user_mem_table.encode({ num: regions.length });
  return Uint8Array.from([head, ...regions].flatMap((part) => [...part]));
}

function unixAddress(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(`__${path}\0`);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  return bytes;
}
