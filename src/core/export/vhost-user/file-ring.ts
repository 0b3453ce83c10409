/**
 * A ring in memory that is reached by system calls. What a call copies may be torn where the driver writes at that
 * moment: a number that the driver changes is read until it is the same twice, and the used index, which the driver
 * looks at at any time, is changed by the kernel in one step. Flags have one bit, and an event that is seen torn is
 * put right by the look at the index that follows it on either side. Chains stay as they are while they are available,
 * so the table and the ring are copied once for all that is new.
 */
import { vring_avail, vring_used, vring_used_elem, vringSizes } from '../../abi/virtio-ring.js';
import type { Place } from './memory.js';
import type { RingParts, SplitRing } from './ring.js';

/** How often a number may change while it is looked at: a driver that writes for ever keeps nobody. */
const MAX_LOOKS = 100;
const IDX = vring_avail.offset('idx');
const ELEM = vring_used_elem.size;
/** Of the used index in the word that begins the used ring. */
const USED_IDX_BIT = 16;

export class FileRing implements SplitRing {
  readonly num: number;
  readonly descriptors: DataView;
  readonly #parts: RingParts;
  readonly #table: Uint8Array;
  readonly #avail: Uint8Array;
  readonly #heads: DataView;
  readonly #word = new Uint8Array(2);
  readonly #wordView = new DataView(this.#word.buffer);
  readonly #elems: Uint8Array;
  readonly #elemView: DataView;

  constructor(num: number, parts: RingParts) {
    const sizes = vringSizes(num);
    this.num = num;
    this.#parts = parts;
    this.#table = new Uint8Array(sizes.desc);
    this.descriptors = new DataView(this.#table.buffer);
    this.#avail = new Uint8Array(num * 2);
    this.#heads = new DataView(this.#avail.buffer);
    this.#elems = new Uint8Array(num * ELEM);
    this.#elemView = new DataView(this.#elems.buffer);
  }

  get availFlags(): number {
    return this.#steady(this.#parts.avail, 0);
  }

  get availIdx(): number {
    return this.#steady(this.#parts.avail, IDX);
  }

  get usedEvent(): number {
    return this.#steady(this.#parts.avail, vring_avail.size + this.num * 2);
  }

  get usedIdx(): number {
    return this.#steady(this.#parts.used, IDX);
  }

  look(): void {
    const { desc, avail } = this.#parts;
    avail.bytes.read(avail.at + vring_avail.size, this.#avail);
    desc.bytes.read(desc.at, this.#table);
  }

  availHead(index: number): number {
    return this.#heads.getUint16((index & (this.num - 1)) * 2, true);
  }

  setUsed(index: number, id: number, length: number): void {
    const at = (index & (this.num - 1)) * ELEM;
    this.#elemView.setUint32(at, id, true);
    this.#elemView.setUint32(at + 4, length, true);
  }

  publish(index: number, count: number): void {
    const first = index & (this.num - 1);
    const before = Math.min(count, this.num - first);
    this.#writeElems(first, before);
    this.#writeElems(0, count - before);
    const { bytes, at } = this.#parts.used;
    for (let bit = 0; count >> bit > 0; bit++) {
      if ((count >> bit) & 1) bytes.addBit(at, USED_IDX_BIT + bit);
    }
  }

  setUsedFlags(flags: number): void {
    this.#setWord(0, flags);
  }

  setAvailEvent(index: number): void {
    this.#setWord(vring_used.size + this.num * ELEM, index);
  }

  /** A 16-bit number that is whole. */
  #steady({ bytes, at }: Place, offset: number): number {
    let last: number | undefined;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      bytes.read(at + offset, this.#word);
      const value = this.#wordView.getUint16(0, true);
      if (value === last) break;
      last = value;
    }
    return last ?? 0;
  }

  #setWord(offset: number, value: number): void {
    this.#wordView.setUint16(0, value, true);
    this.#write(offset, this.#word);
  }

  #writeElems(first: number, count: number): void {
    if (count === 0) return;
    this.#write(
      vring_used.size + first * ELEM,
      this.#elems.subarray(first * ELEM, (first + count) * ELEM),
    );
  }

  #write(offset: number, bytes: Uint8Array): void {
    const { used } = this.#parts;
    used.bytes.write(used.at + offset, bytes);
  }
}
