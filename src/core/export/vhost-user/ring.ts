/**
 * The three parts of a split virtqueue in the guest's memory (virtio 1.2, section 2.7). The guest's processors write here
 * at the same time, so what is decided upon is read once.
 */
import type { Place } from './memory.js';

/** What a driver has done that no driver may do. */
export class RingError extends Error {}

/** Where the parts are: addresses of the front-end's own. */
export interface RingAddresses {
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
}

/** The same in the guest's memory. */
export interface RingParts {
  readonly desc: Place;
  readonly avail: Place;
  readonly used: Place;
}

export interface SplitRing {
  /** Entries, a power of two. */
  readonly num: number;
  /** The table, as it is or as it was at the last `look`. */
  readonly descriptors: DataView;
  readonly availFlags: number;
  readonly availIdx: number;
  /** Where the driver wants to be told, with EVENT_IDX. */
  readonly usedEvent: number;
  readonly usedIdx: number;
  /** There are new chains: those up to the index that was just read. */
  look(): void;
  /** The head of the chain that stands at a free running index. */
  availHead(index: number): number;
  /** Notes an element of the used ring, at a free running index. */
  setUsed(index: number, id: number, length: number): void;
  /** Makes the used index so much larger, from `index` on. All that was written before is seen by who sees it. */
  publish(index: number, count: number): void;
  setUsedFlags(flags: number): void;
  /** Where the device wants to be told, with EVENT_IDX. */
  setAvailEvent(index: number): void;
}
