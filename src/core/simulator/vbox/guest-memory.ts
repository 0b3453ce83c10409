/**
 * A guest's physical memory, as far as somebody looks into it: contents exist for what the guest's kernel has allocated.
 * The rest of RAM costs nothing, whatever its size. It reads as zeros, and what is written there is kept nowhere: in the
 * simulated guest nobody reads it back, and a hostile request can't make the host hold a guest's whole memory.
 */
import { PageRuns } from './page-runs.js';
import type { GuestPages } from './platform.js';

/** Bytes. */
export const PAGE_SIZE = 4096;

/** Bytes below here are the firmware's. */
const LOW_MEMORY = 0x100000;

/** What the guest asks for with `allocate` has to be below here, since a request's address has 32 bits. */
const FOUR_GIB = 2 ** 32;

/** What a small Linux system holds for itself; more memory does not make its kernel larger. */
const KERNEL_MOST = 64 * 2 ** 20;

export interface GuestMemoryOptions {
  /** Bytes of RAM; it may change while the VM is set up. */
  readonly size: () => number;
  /**
   * Bytes at the bottom that the guest's kernel and programs hold, which are never handed out. By default a sixteenth,
   * 64 MiB at most, so that the largest balloon that a host may ask for (90 % of RAM) can be had.
   */
  readonly reserved?: () => number;
}

interface Region {
  readonly address: number;
  readonly data: Uint8Array;
}

/** RAM is one piece from address 0: the simulated guest has no devices in between. */
export class GuestMemory implements GuestPages {
  /** The guest has no page for its balloon (`allocatePage`), however much is free. */
  refusesPages = false;
  readonly #size: () => number;
  readonly #reserved: () => number;
  readonly #taken = new PageRuns();
  /** In the order of addresses. */
  readonly #regions: Region[] = [];

  constructor({ size, reserved }: GuestMemoryOptions) {
    this.#size = size;
    this.#reserved = reserved ?? (() => Math.min(size() / 16, KERNEL_MOST));
  }

  get size(): number {
    return this.#size();
  }

  get free(): number {
    return Math.max(0, this.#endPage - this.#firstPage - this.#taken.size) * PAGE_SIZE;
  }

  /** @throws RangeError unless the whole of it is RAM. */
  read(address: number, length: number): Uint8Array {
    this.#check(address, length);
    const copy = new Uint8Array(length);
    for (const { part, at } of this.#parts(address, length)) copy.set(part, at);
    return copy;
  }

  /** @throws RangeError unless the whole of it is RAM; nothing is written then. */
  write(address: number, data: Uint8Array): void {
    this.#check(address, data.length);
    for (const { part, at } of this.#parts(address, data.length)) {
      part.set(data.subarray(at, at + part.length));
    }
  }

  allocate(bytes: number): number | undefined {
    const count = Math.ceil(bytes / PAGE_SIZE);
    if (!(count > 0)) throw new RangeError(`${bytes} bytes can't be allocated`);
    const end = Math.min(this.#endPage, FOUR_GIB / PAGE_SIZE);
    const page = this.#taken.lowest(count, this.#firstPage, end);
    if (page === undefined) return undefined;
    this.#taken.take(page, count);
    const address = page * PAGE_SIZE;
    const region = { address, data: new Uint8Array(count * PAGE_SIZE) };
    this.#regions.splice(this.#firstRegion(address), 0, region);
    return address;
  }

  /** @throws RangeError unless `allocate` gave it, and it was not given back since. */
  release(address: number): void {
    const at = this.#firstRegion(address);
    const region = this.#regions[at];
    if (region?.address !== address) throw new RangeError(`nothing was allocated at ${address}`);
    this.#regions.splice(at, 1);
    this.#taken.release(address / PAGE_SIZE, region.data.length / PAGE_SIZE);
  }

  /** From the top, so that the balloon leaves the memory below 4 GiB for last. */
  allocatePage(): number | undefined {
    if (this.refusesPages) return undefined;
    const page = this.#taken.highest(this.#firstPage, this.#endPage);
    if (page === undefined) return undefined;
    this.#taken.take(page);
    return page * PAGE_SIZE;
  }

  /** @throws RangeError unless `allocatePage` gave it, and it was not given back since. */
  releasePage(address: number): void {
    const region = this.#regions[this.#firstRegion(address)];
    if (address % PAGE_SIZE !== 0 || (region !== undefined && region.address <= address)) {
      throw new RangeError(`no page was allocated at ${address}`);
    }
    this.#taken.release(address / PAGE_SIZE);
  }

  get #firstPage(): number {
    return Math.ceil(Math.max(this.#reserved(), LOW_MEMORY) / PAGE_SIZE);
  }

  get #endPage(): number {
    return Math.floor(this.#size() / PAGE_SIZE);
  }

  #check(address: number, length: number): void {
    const inside = address >= 0 && length >= 0 && address + length <= this.#size();
    if (inside && Number.isSafeInteger(address)) return;
    throw new RangeError(`${length} bytes at ${address} are not in RAM`);
  }

  /** What a range has of contents: parts of regions, with where they are in the range. */
  *#parts(address: number, length: number): Generator<{ part: Uint8Array; at: number }> {
    const end = address + length;
    for (let index = this.#firstRegion(address); ; index++) {
      const region = this.#regions[index];
      if (region === undefined || region.address >= end) return;
      const start = Math.max(address, region.address);
      const stop = Math.min(end, region.address + region.data.length);
      const part = region.data.subarray(start - region.address, stop - region.address);
      yield { part, at: start - address };
    }
  }

  /** Index of the first region that ends above an address. */
  #firstRegion(address: number): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const region = this.#regions[middle];
      if (region !== undefined && region.address + region.data.length <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
