/**
 * The three parts of a split virtqueue in the guest's memory (virtio 1.2, section 2.7). The guest's processors write here
 * at the same time, so what is decided upon is read once. Indices, flags and events go through Atomics, which orders
 * them against all else on every processor; the memory need not be a SharedArrayBuffer for that.
 */
import {
  VRING_AVAIL_ALIGN_SIZE,
  VRING_DESC_ALIGN_SIZE,
  VRING_USED_ALIGN_SIZE,
  vringSizes,
} from '../../abi/virtio-ring.js';
import type { GuestMemory } from './memory.js';

/** What a driver has done that no driver may do. */
export class RingError extends Error {}

/** Where the parts are: addresses of the front-end's own. */
export interface RingAddresses {
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
}

/** Both rings begin with `flags` and `idx`; here as indices of 16-bit words. */
const [FLAGS, IDX, RING] = [0, 1, 2];
const WORDS_OF_USED_ELEM = 4;

export class SplitRing {
  /** Entries, a power of two. */
  readonly num: number;
  readonly descriptors: DataView;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  /** vring_used_elem, two words each. */
  readonly #usedRing: Uint32Array;

  /** @throws RingError where a part is not in the guest's memory, or not aligned. */
  constructor(num: number, at: RingAddresses, memory: GuestMemory) {
    const part = (name: keyof RingAddresses, length: number, alignment: number) => {
      const found = memory.user(Number(at[name]), length);
      const address = `0x${at[name].toString(16)}`;
      if (found === undefined)
        throw new RingError(`${name} at ${address} is outside of its memory`);
      if (found.offset % alignment !== 0)
        throw new RingError(`${name} at ${address} is not aligned`);
      return found;
    };
    const sizes = vringSizes(num);
    const desc = part('desc', sizes.desc, VRING_DESC_ALIGN_SIZE);
    const avail = part('avail', sizes.avail, VRING_AVAIL_ALIGN_SIZE);
    const used = part('used', sizes.used, VRING_USED_ALIGN_SIZE);
    this.num = num;
    this.descriptors = new DataView(desc.buffer, desc.offset, sizes.desc);
    this.#avail = new Uint16Array(avail.buffer, avail.offset, sizes.avail / 2);
    this.#used = new Uint16Array(used.buffer, used.offset, sizes.used / 2);
    this.#usedRing = new Uint32Array(used.buffer, used.offset + RING * 2, num * 2);
  }

  get availFlags(): number {
    return Atomics.load(this.#avail, FLAGS);
  }

  get availIdx(): number {
    return Atomics.load(this.#avail, IDX);
  }

  /** The head of the chain that stands at a free running index. */
  availHead(index: number): number {
    return this.#avail[RING + (index & (this.num - 1))] ?? 0;
  }

  /** Where the driver wants to be told, with EVENT_IDX. */
  get usedEvent(): number {
    return Atomics.load(this.#avail, RING + this.num);
  }

  get usedIdx(): number {
    return Atomics.load(this.#used, IDX);
  }

  /** All that was written before is seen by who sees the index. */
  set usedIdx(index: number) {
    Atomics.store(this.#used, IDX, index);
  }

  set usedFlags(flags: number) {
    Atomics.store(this.#used, FLAGS, flags);
  }

  /** Where the device wants to be told, with EVENT_IDX. */
  set availEvent(index: number) {
    Atomics.store(this.#used, RING + this.num * WORDS_OF_USED_ELEM, index);
  }

  writeUsed(index: number, id: number, length: number): void {
    const at = (index & (this.num - 1)) * 2;
    this.#usedRing[at] = id;
    this.#usedRing[at + 1] = length;
  }
}
