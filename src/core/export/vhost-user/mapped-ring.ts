/**
 * A ring in memory that is mapped. Indices, flags and events go through Atomics, which orders them against all else on
 * every processor; the memory need not be a SharedArrayBuffer for that.
 */
import { vringSizes } from '../../abi/virtio-ring.js';
import type { Piece } from '../../native/shared-memory.js';
import type { Place } from './memory.js';
import type { RingParts, SplitRing } from './ring.js';

/** Both rings begin with `flags` and `idx`; here as indices of 16-bit words. */
const [FLAGS, IDX, RING] = [0, 1, 2];
const WORDS_OF_USED_ELEM = 4;

interface Pieces {
  readonly desc: Piece;
  readonly avail: Piece;
  readonly used: Piece;
}

export class MappedRing implements SplitRing {
  readonly num: number;
  readonly descriptors: DataView;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  /** vring_used_elem, two words each. */
  readonly #usedRing: Uint32Array;

  private constructor(num: number, { desc, avail, used }: Pieces) {
    const sizes = vringSizes(num);
    this.num = num;
    this.descriptors = new DataView(desc.buffer, desc.offset, sizes.desc);
    this.#avail = new Uint16Array(avail.buffer, avail.offset, sizes.avail / 2);
    this.#used = new Uint16Array(used.buffer, used.offset, sizes.used / 2);
    this.#usedRing = new Uint32Array(used.buffer, used.offset + RING * 2, num * 2);
  }

  /** Undefined where a part is not mapped. */
  static over(num: number, parts: RingParts): MappedRing | undefined {
    const sizes = vringSizes(num);
    const desc = piece(parts.desc, sizes.desc);
    const avail = piece(parts.avail, sizes.avail);
    const used = piece(parts.used, sizes.used);
    return desc && avail && used && new MappedRing(num, { desc, avail, used });
  }

  get availFlags(): number {
    return Atomics.load(this.#avail, FLAGS);
  }

  get availIdx(): number {
    return Atomics.load(this.#avail, IDX);
  }

  get usedEvent(): number {
    return Atomics.load(this.#avail, RING + this.num);
  }

  get usedIdx(): number {
    return Atomics.load(this.#used, IDX);
  }

  /** All is looked at in its place. */
  look(): void {}

  availHead(index: number): number {
    return this.#avail[RING + (index & (this.num - 1))] ?? 0;
  }

  setUsed(index: number, id: number, length: number): void {
    const at = (index & (this.num - 1)) * 2;
    this.#usedRing[at] = id;
    this.#usedRing[at + 1] = length;
  }

  publish(index: number, count: number): void {
    Atomics.store(this.#used, IDX, (index + count) & 0xffff);
  }

  setUsedFlags(flags: number): void {
    Atomics.store(this.#used, FLAGS, flags);
  }

  setAvailEvent(index: number): void {
    Atomics.store(this.#used, RING + this.num * WORDS_OF_USED_ELEM, index);
  }
}

function piece({ bytes, at }: Place, length: number): Piece | undefined {
  return bytes.mapped?.at(bytes.skip + at, length);
}
