/** A driver's side of a split virtqueue, written out byte by byte against virtio 1.2, section 2.7. */
import { vringNeedEvent } from '../../src/core/abi/virtio-ring.js';
import { GUEST_BASE, type TestMemory, USER_BASE } from './vhost-frontend.js';

const [NEXT, WRITE, INDIRECT] = [1, 2, 4];

export interface DriverOptions {
  num?: number;
  eventIdx?: boolean;
  guest?: number;
  user?: number;
}

/** A buffer of a chain: bytes that the device reads, or room for as many that it writes. */
export type Part = Uint8Array | number;

interface Sent {
  head: number;
  /** Where the writable parts are, as offsets into the memory. */
  writable: { at: number; length: number }[];
  descriptors: number[];
}

export interface Used {
  head: number;
  length: number;
  /** What the device wrote, `length` bytes of the writable parts. */
  bytes: Uint8Array;
}

export class DriverQueue {
  readonly memory: TestMemory;
  readonly num: number;
  readonly guest: number;
  readonly user: number;
  readonly eventIdx: boolean;
  /** Offsets into the memory. */
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  readonly #buffers: number;
  readonly #end: number;
  #at: number;
  #free: number[];
  #availIdx = 0;
  #kickedIdx = 0;
  #seen = 0;
  readonly #sent = new Map<number, Sent>();

  /** Takes the memory from `start` to `end`. */
  constructor(memory: TestMemory, start: number, end: number, options: DriverOptions = {}) {
    this.memory = memory;
    this.num = options.num ?? 16;
    this.eventIdx = options.eventIdx ?? false;
    this.guest = options.guest ?? GUEST_BASE;
    this.user = options.user ?? USER_BASE;
    this.desc = start;
    this.avail = this.desc + 16 * this.num;
    this.used = align(this.avail + 6 + 2 * this.num, 4);
    this.#buffers = align(this.used + 6 + 8 * this.num, 16);
    this.#at = this.#buffers;
    this.#end = end;
    this.#free = Array.from({ length: this.num }, (_, index) => index);
    memory.bytes.fill(0, start, this.#buffers);
  }

  get free(): number {
    return this.#free.length;
  }

  get availIdx(): number {
    return this.#availIdx;
  }

  /** Begins at another index than 0; before anything else is done. */
  startAt(index: number): void {
    this.#availIdx = index;
    this.#kickedIdx = index;
    this.#seen = index;
    this.memory.view.setUint16(this.avail + 2, index, true);
    this.memory.view.setUint16(this.used + 2, index, true);
    // Where the device that was there before wanted to be told.
    this.memory.view.setUint16(this.used + 4 + 8 * this.num, index, true);
  }

  /** Writes a descriptor; addresses are offsets into the memory. */
  describe(index: number, at: number, length: number, flags: number, next = 0): void {
    this.writeDescriptor(this.desc + 16 * index, at + this.guest, length, flags, next);
  }

  writeDescriptor(where: number, address: number, length: number, flags: number, next = 0): void {
    this.memory.view.setBigUint64(where, BigInt(address), true);
    this.memory.view.setUint32(where + 8, length, true);
    this.memory.view.setUint16(where + 12, flags, true);
    this.memory.view.setUint16(where + 14, next, true);
  }

  /** Room in the memory; it goes round, so a test must not have more under way than there is room for. */
  room(length: number): number {
    if (this.#at + length > this.#end) this.#at = this.#buffers;
    const at = this.#at;
    this.#at = align(at + length, 16);
    return at;
  }

  /** Makes a chain available. With `indirect` its descriptors stand in a table of their own. */
  add(parts: readonly Part[], { indirect = false } = {}): number {
    const placed = parts.map((part) => this.#place(part));
    const count = indirect ? 1 : parts.length;
    const descriptors = this.#free.splice(0, count);
    const [head] = descriptors;
    if (head === undefined || descriptors.length < count) throw new Error('the queue is full');
    const last = parts.length - 1;
    const table = indirect ? this.room(16 * parts.length) : this.desc;
    for (const [index, { at, length, flags }] of placed.entries()) {
      const slot = indirect ? index : (descriptors[index] ?? 0);
      const next = indirect ? index + 1 : (descriptors[index + 1] ?? 0);
      const more = index < last ? NEXT : 0;
      this.writeDescriptor(
        table + 16 * slot,
        at + this.guest,
        length,
        flags | more,
        more ? next : 0,
      );
    }
    if (indirect) this.describe(head, table, 16 * parts.length, INDIRECT);
    const writable = placed.filter(({ flags }) => flags === WRITE);
    this.#sent.set(head, { head, writable, descriptors });
    this.offer(head);
    return head;
  }

  /** Makes what begins at a descriptor available, whatever it is. */
  offer(head: number): void {
    const slot = this.#availIdx & (this.num - 1);
    this.memory.view.setUint16(this.avail + 4 + 2 * slot, head, true);
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    this.memory.view.setUint16(this.avail + 2, this.#availIdx, true);
  }

  /** Whether the device wants to be told of what was made available since the last look. */
  kickWanted(): boolean {
    const old = this.#kickedIdx;
    this.#kickedIdx = this.#availIdx;
    if (!this.eventIdx) return (this.memory.view.getUint16(this.used, true) & 1) === 0;
    const event = this.memory.view.getUint16(this.used + 4 + 8 * this.num, true);
    return vringNeedEvent(event, this.#availIdx, old);
  }

  set interruptFlags(flags: number) {
    this.memory.view.setUint16(this.avail, flags, true);
  }

  /** With EVENT_IDX: where the driver wants an interrupt. */
  set usedEvent(index: number) {
    this.memory.view.setUint16(this.avail + 4 + 2 * this.num, index, true);
  }

  get usedIdx(): number {
    return this.memory.view.getUint16(this.used + 2, true);
  }

  /** What the device gave back since the last look. */
  collect(): Used[] {
    const found: Used[] = [];
    for (; this.#seen !== this.usedIdx; this.#seen = (this.#seen + 1) & 0xffff) {
      const at = this.used + 4 + 8 * (this.#seen & (this.num - 1));
      const head = this.memory.view.getUint32(at, true);
      const length = this.memory.view.getUint32(at + 4, true);
      const sent = this.#sent.get(head);
      if (sent === undefined) throw new Error(`${head} was given back, and not sent`);
      this.#sent.delete(head);
      this.#free.push(...sent.descriptors);
      found.push({ head, length, bytes: this.#gather(sent, length) });
    }
    if (this.eventIdx) this.usedEvent = this.#seen;
    return found;
  }

  #place(part: Part): { at: number; length: number; flags: number } {
    const length = typeof part === 'number' ? part : part.length;
    const at = this.room(length);
    if (typeof part === 'number') this.memory.bytes.fill(0xee, at, at + length);
    else this.memory.bytes.set(part, at);
    return { at, length, flags: typeof part === 'number' ? WRITE : 0 };
  }

  #gather({ writable }: Sent, length: number): Uint8Array {
    const bytes = writable.flatMap(({ at, length: count }) => [
      ...this.memory.bytes.subarray(at, at + count),
    ]);
    return Uint8Array.from(bytes.slice(0, length));
  }
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
