/**
 * The guest's memory: the front-end's files, mapped. Nothing is read or written but through a range that has been
 * checked here. Addresses are numbers: one above 2^53 is rounded, and lies in no region, since none may reach there.
 */
import { fstatSync } from 'node:fs';
import { MAX_PIECE, type SharedMemories, type SharedMemory } from '../../native/shared-memory.js';

/** Regions at a time. Source: what QEMU has for hot-plugged memory at most is 256; it adapts to less. */
export const MAX_MEM_SLOTS = 32;
const PAGE = 4096;

/** A region as the front-end describes it; bytes. */
export interface RegionRequest {
  readonly guest: bigint;
  readonly size: bigint;
  readonly user: bigint;
  /** Where it begins in its file. */
  readonly offset: bigint;
}

interface Region {
  readonly guest: number;
  readonly user: number;
  readonly size: number;
  /** Mappings begin at pages, regions need not. */
  readonly skip: number;
  readonly memory: SharedMemory;
}

/** Says what is wrong with a region, for the log. */
export class MemoryError extends Error {}

export class GuestMemory {
  readonly #system: SharedMemories;
  readonly #log: (text: string) => void;
  #regions: Region[] = [];
  #warned = false;

  constructor(system: SharedMemories, log: (text: string) => void) {
    this.#system = system;
    this.#log = log;
  }

  get slots(): number {
    return this.#regions.length;
  }

  /** Maps a region; the descriptor stays the caller's. @throws MemoryError */
  add(request: RegionRequest, fd: number): void {
    const [guest, size, user, offset] = [
      bounded(request.guest, request.size, 'guest address'),
      Number(request.size),
      bounded(request.user, request.size, 'user address'),
      bounded(request.offset, request.size, 'offset'),
    ];
    if (size === 0) throw new MemoryError('a region of no bytes');
    if (this.#regions.length >= MAX_MEM_SLOTS) throw new MemoryError('too many regions');
    const taken = this.#regions.some(
      (each) => guest < each.guest + each.size && each.guest < guest + size,
    );
    if (taken) throw new MemoryError('regions lie over each other');
    const skip = offset % PAGE;
    const memory = this.#map(fd, offset - skip, skip + size);
    this.#regions.push({ guest, user, size, skip, memory });
  }

  /** Unmaps the region with these addresses; false when there is none. */
  remove({ guest, size, user }: RegionRequest): boolean {
    const index = this.#regions.findIndex(
      (each) =>
        each.guest === Number(guest) && each.size === Number(size) && each.user === Number(user),
    );
    const [region] = index < 0 ? [] : this.#regions.splice(index, 1);
    region?.memory.release();
    return region !== undefined;
  }

  /** Unmaps all. Whoever still has a view reads zeros. */
  clear(): void {
    for (const { memory } of this.#regions.splice(0)) memory.release();
  }

  /**
   * Adds views of a range of guest addresses, in order; more than one where it crosses regions. False when a part of
   * it is not the guest's memory.
   */
  collect(address: number, length: number, into: Uint8Array[]): boolean {
    let [at, left] = [address, length];
    while (left > 0) {
      const region = this.#regions.find(({ guest, size }) => guest <= at && at < guest + size);
      if (region === undefined) return false;
      const count = Math.min(left, region.guest + region.size - at, MAX_PIECE);
      const { buffer, offset } = region.memory.at(region.skip + at - region.guest, count);
      into.push(new Uint8Array(buffer, offset, count));
      at += count;
      left -= count;
    }
    return true;
  }

  /** A range of the front-end's own addresses, as rings have them; undefined where it is not in one region. */
  user(address: number, length: number): { buffer: ArrayBuffer; offset: number } | undefined {
    const region = this.#regions.find(
      ({ user, size }) => user <= address && address + length <= user + size,
    );
    return region?.memory.at(region.skip + address - region.user, length);
  }

  /** The guest address of a byte of a view that `collect` gave; undefined for other memory. */
  addressOf(view: Uint8Array): number | undefined {
    for (const { guest, skip, memory } of this.#regions) {
      const offset = memory.offsetOf(view.buffer, view.byteOffset);
      if (offset !== undefined) return guest + offset - skip;
    }
    return undefined;
  }

  /** Gives whole pages back to the machine. @returns bytes; see DeviceHost.release */
  release(range: Uint8Array | { address: number; length: number }): number {
    const address = range instanceof Uint8Array ? this.addressOf(range) : range.address;
    if (address === undefined) return 0;
    const region = this.#regions.find(({ guest, size }) => {
      return guest <= address && address + range.length <= guest + size;
    });
    if (region === undefined) return 0;
    return Math.max(0, region.memory.discard(region.skip + address - region.guest, range.length));
  }

  #map(fd: number, offset: number, length: number): SharedMemory {
    // The seal comes first: what is sealed can't change between the look and the map.
    const sealed = this.#system.seal(fd);
    const file = fstatSync(fd);
    if (!file.isFile()) throw new MemoryError('memory that is no file');
    if (offset + length > file.size) {
      throw new MemoryError(`a region ends at ${offset + length} in a file of ${file.size} bytes`);
    }
    if (!sealed && !this.#warned) this.#log('its memory is in a file that can be made shorter');
    this.#warned ||= !sealed;
    const memory = this.#system.map(fd, length, offset);
    if (typeof memory === 'number') throw new MemoryError(`mmap: errno ${-memory}`);
    return memory;
  }
}

/** The start of a range whose end is a safe integer. @throws MemoryError */
function bounded(start: bigint, size: bigint, what: string): number {
  if (start + size > BigInt(Number.MAX_SAFE_INTEGER)) throw new MemoryError(`${what} out of range`);
  return Number(start);
}
