/**
 * The guest's memory: regions of the front-end's files. Nothing is read or written but through a range that has been
 * checked here. Addresses are numbers: one above 2^53 is rounded, and lies in no region, since none may reach there.
 */
import { MAX_PIECE } from '../../native/shared-memory.js';
import type { Piece } from './byte-parts.js';
import type { DirtyLog } from './dirty-log.js';
import { openRegion, type RegionBytes } from './region-bytes.js';
import { MemoryError } from './shared-files.js';
import type { System } from './system.js';

/** Regions at a time. Source: what QEMU has for hot-plugged memory at most is 256; it adapts to less. */
export const MAX_MEM_SLOTS = 32;

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
  readonly bytes: RegionBytes;
}

/** Where a part of a ring is. */
export interface Place {
  readonly bytes: RegionBytes;
  /** Offset in the region. */
  readonly at: number;
}

export interface MemoryEvents {
  log(text: string): void;
  /** A file was made shorter than its region. What was there reads as zeros. */
  lost(): void;
}

export class GuestMemory {
  /** Set while the front-end wants to know which pages are written. */
  dirty: DirtyLog | undefined;
  readonly #system: System;
  readonly #events: MemoryEvents;
  #regions: Region[] = [];
  #told = false;

  constructor(system: System, events: MemoryEvents) {
    this.#system = system;
    this.#events = events;
  }

  get slots(): number {
    return this.#regions.length;
  }

  /** Takes a region; the descriptor stays the caller's. @throws MemoryError */
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
    const range = { fd, offset, length: size };
    const bytes = openRegion(this.#system, range, () => this.#events.lost());
    this.#regions.push({ guest, user, size, bytes });
    if (bytes.remark === undefined || this.#told) return;
    this.#told = true;
    this.#events.log(bytes.remark);
  }

  /** Lets the region with these addresses go; false when there is none. */
  remove({ guest, size, user }: RegionRequest): boolean {
    const index = this.#regions.findIndex(
      (each) =>
        each.guest === Number(guest) && each.size === Number(size) && each.user === Number(user),
    );
    const [region] = index < 0 ? [] : this.#regions.splice(index, 1);
    region?.bytes.release();
    return region !== undefined;
  }

  /** Lets all go. Whoever still has a range reads zeros, or is refused. */
  clear(): void {
    for (const { bytes } of this.#regions.splice(0)) bytes.release();
  }

  /**
   * Adds pieces for a range of guest addresses, in order; more than one where it crosses regions. False when a part of
   * it is not the guest's memory.
   */
  collect(address: number, length: number, into: Piece[]): boolean {
    let [at, left] = [address, length];
    while (left > 0) {
      const region = this.#regions.find(({ guest, size }) => guest <= at && at < guest + size);
      if (region === undefined) return false;
      const count = Math.min(left, region.guest + region.size - at, MAX_PIECE);
      into.push(new GuestRange(this, region.bytes, at - region.guest, at, count));
      at += count;
      left -= count;
    }
    return true;
  }

  /** Where a range of the front-end's own addresses is, as rings have them; undefined where it is not in one region. */
  user(address: number, length: number): Place | undefined {
    const region = this.#regions.find(
      ({ user, size }) => user <= address && address + length <= user + size,
    );
    return region && { bytes: region.bytes, at: address - region.user };
  }

  /** Gives whole pages back to the machine. @returns bytes; see DeviceHost.release */
  release({ address, length }: { address: number; length: number }): number {
    const region = this.#regions.find(({ guest, size }) => {
      return guest <= address && address + length <= guest + size;
    });
    if (region === undefined) return 0;
    return Math.max(0, region.bytes.discard(address - region.guest, length));
  }
}

/** A part of one region. */
class GuestRange implements Piece {
  readonly address: number;
  readonly length: number;
  readonly #memory: GuestMemory;
  readonly #bytes: RegionBytes;
  /** Offset in the region. */
  readonly #at: number;

  constructor(
    memory: GuestMemory,
    bytes: RegionBytes,
    at: number,
    address: number,
    length: number,
  ) {
    this.#memory = memory;
    this.#bytes = bytes;
    this.#at = at;
    this.address = address;
    this.length = length;
  }

  read(at: number, into: Uint8Array): void {
    this.#bytes.read(this.#at + at, into);
  }

  write(at: number, bytes: Uint8Array): void {
    this.#bytes.write(this.#at + at, bytes);
    this.#memory.dirty?.mark(this.address + at, bytes.length);
  }
}

/** The start of a range whose end is a safe integer. @throws MemoryError */
function bounded(start: bigint, size: bigint, what: string): number {
  if (start + size > BigInt(Number.MAX_SAFE_INTEGER)) throw new MemoryError(`${what} out of range`);
  return Number(start);
}
