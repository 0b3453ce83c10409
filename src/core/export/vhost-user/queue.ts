/** A split virtqueue that runs: chains out of it for the device, and back into it. */
import { u16 } from '../../abi/layout.js';
import {
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_USED_F_NO_NOTIFY,
  vring_used,
  vring_used_elem,
  vringNeedEvent,
} from '../../abi/virtio-ring.js';
import { readChain } from './chain.js';
import type { Chain, DeviceQueue } from './device.js';
import type { GuestMemory } from './memory.js';
import { RingError, type SplitRing } from './ring.js';

/**
 * Chains that a device takes before others get their turn: a driver on another processor can make them available as
 * fast as they are taken.
 */
export const CHAINS_A_TURN = 256;

export interface QueueOptions {
  readonly ring: SplitRing;
  readonly memory: GuestMemory;
  /** Index of the first chain that was not taken yet. */
  readonly base: number;
  /** VIRTIO_RING_F_EVENT_IDX and VIRTIO_RING_F_INDIRECT_DESC were agreed to. */
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  /** Interrupts the driver. */
  call(): void;
  /** Has `kicked` called in another turn. */
  later(): void;
  /** Bytes of the used ring were written, from an offset on. */
  wroteUsed(offset: number, length: number): void;
  fail(reason: string): void;
}

export class SplitQueue implements DeviceQueue {
  readonly #options: QueueOptions;
  /** Chains with the device, by their heads. */
  readonly #taken = new Map<Chain, number>();
  /** Free running u16: the next chain to take, where the driver's index was seen, what was given back. */
  #next: number;
  #seen: number;
  #used: number;
  /** Chains that were given back since, which the driver does not see yet. */
  #unpublished = 0;
  /** The last index that the driver could have been told of; undefined until it was. */
  #told: number | undefined;
  #wantsKicks = true;
  #left = CHAINS_A_TURN;
  #running = true;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#next = options.base;
    this.#seen = options.base;
    this.#used = options.ring.usedIdx;
    this.#askForKicks();
  }

  /** Index of the next chain: what GET_VRING_BASE tells. */
  get next(): number {
    return this.#next;
  }

  pop(): Chain | undefined {
    if (!this.#running) return undefined;
    if (this.#left === 0) {
      this.#options.later();
      return undefined;
    }
    try {
      if (this.#next === this.#seen && !this.#look()) return undefined;
      return this.#take();
    } catch (error) {
      if (!(error instanceof RingError)) throw error;
      this.stop();
      this.#options.fail(error.message);
      return undefined;
    }
  }

  unpop(chain: Chain): void {
    if (!this.#running || !this.#taken.delete(chain)) return;
    this.#next = (this.#next - 1) & 0xffff;
    this.#left++;
  }

  push(chain: Chain, written: number): void {
    const head = this.#taken.get(chain);
    if (!this.#running || head === undefined) return;
    this.#taken.delete(chain);
    const index = (this.#used + this.#unpublished) & 0xffff;
    this.#options.ring.setUsed(index, head, written);
    this.#unpublished++;
    // More than the ring holds are made available by drivers that look at nothing.
    if (this.#unpublished === this.#options.ring.num) this.#publish();
  }

  notify(): void {
    if (!this.#running) return;
    this.#publish();
    if (this.#told === this.#used) return;
    const wanted = this.#interruptWanted();
    this.#told = this.#used;
    if (wanted) this.#options.call();
  }

  /** Another turn has begun. */
  refill(): void {
    this.#left = CHAINS_A_TURN;
  }

  /** From now on nothing comes out of it, and nothing that is given back goes in. */
  stop(): void {
    if (this.#running) this.#publish();
    this.#running = false;
    this.#taken.clear();
  }

  /** Lets the driver see what was given back. */
  #publish(): void {
    const count = this.#unpublished;
    if (count === 0) return;
    const [index, { ring, wroteUsed }] = [this.#used, this.#options];
    this.#unpublished = 0;
    this.#used = (index + count) & 0xffff;
    ring.publish(index, count);
    const first = index & (ring.num - 1);
    const before = Math.min(count, ring.num - first);
    wroteUsed(vring_used.size + first * vring_used_elem.size, before * vring_used_elem.size);
    wroteUsed(vring_used.size, (count - before) * vring_used_elem.size);
    wroteUsed(0, vring_used.size);
  }

  /** Whether there is a new chain; where there is none, the driver kicks when there is. */
  #look(): boolean {
    if (this.#options.ring.availIdx === this.#next) this.#askForKicks();
    // One that came meanwhile came without a kick.
    this.#seen = this.#options.ring.availIdx;
    const ahead = (this.#seen - this.#next) & 0xffff;
    if (ahead > this.#options.ring.num) {
      throw new RingError(`${ahead} chains available in a queue of ${this.#options.ring.num}`);
    }
    if (ahead > 0) this.#options.ring.look();
    return ahead > 0;
  }

  #take(): Chain {
    const { ring, memory, indirect } = this.#options;
    if (this.#taken.size >= ring.num) {
      throw new RingError('more chains under way than the queue has entries');
    }
    const head = ring.availHead(this.#next);
    if (head >= ring.num)
      throw new RingError(`a chain begins at descriptor ${head} of ${ring.num}`);
    const chain = readChain(ring.descriptors, head, memory, indirect);
    this.#taken.set(chain, head);
    this.#next = (this.#next + 1) & 0xffff;
    this.#left--;
    this.#doWithoutKicks();
    return chain;
  }

  #askForKicks(): void {
    if (this.#options.eventIdx) this.#setAvailEvent(this.#next);
    else this.#setUsedFlags(0);
    this.#wantsKicks = true;
  }

  #doWithoutKicks(): void {
    // An event index that stays behind is as good as the flag.
    if (!this.#wantsKicks) return;
    this.#wantsKicks = false;
    if (!this.#options.eventIdx) this.#setUsedFlags(VRING_USED_F_NO_NOTIFY);
  }

  #setAvailEvent(index: number): void {
    const { ring, wroteUsed } = this.#options;
    ring.setAvailEvent(index);
    wroteUsed(vring_used.size + ring.num * vring_used_elem.size, u16.size);
  }

  #setUsedFlags(flags: number): void {
    const { ring, wroteUsed } = this.#options;
    ring.setUsedFlags(flags);
    wroteUsed(vring_used.offset('flags'), u16.size);
  }

  #interruptWanted(): boolean {
    const { ring, eventIdx } = this.#options;
    if (!eventIdx) return (ring.availFlags & VRING_AVAIL_F_NO_INTERRUPT) === 0;
    if (this.#told === undefined) return true;
    return vringNeedEvent(ring.usedEvent, this.#used, this.#told);
  }
}
