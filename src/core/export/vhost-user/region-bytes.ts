/**
 * The bytes of one region of a guest's memory, in two ways: mapped, where the file is sealed against shrinking, and
 * else by system calls, since the front-end could end us by cutting its file short.
 */
import type { FileMemory } from '../../native/file-memory.js';
import type { SharedMemory } from '../../native/shared-memory.js';
import { type FileRange, mapFile, openFile, skipOf } from './shared-files.js';
import type { System } from './system.js';

const CAN_BE_CUT = 'its memory is in a file that can be made shorter';

/** Offsets are bytes from the region's begin; the caller has checked them. */
export interface RegionBytes {
  /** Where it may be looked at without a call. */
  readonly mapped: SharedMemory | undefined;
  /** Where the region begins in its first page. */
  readonly skip: number;
  /** What is to be told of it, for the log. */
  readonly remark: string | undefined;
  read(at: number, into: Uint8Array): void;
  write(at: number, bytes: Uint8Array): void;
  /** Adds 2 ** bit to the 32 bits at `at` in one step; `at` is aligned. */
  addBit(at: number, bit: number): void;
  /** Gives whole pages back to the machine. @returns bytes, or a negated errno */
  discard(at: number, length: number): number;
  release(): void;
}

/**
 * Takes a part of a file as memory; the descriptor stays the caller's.
 * @param lost called when it turns out that the file was made shorter. @throws MemoryError
 */
export function openRegion(system: System, range: FileRange, lost: () => void): RegionBytes {
  const skip = skipOf(range);
  // The seal comes first: what is sealed can't change between the look and the map.
  const sealed = system.memories.seal(range.fd);
  if (sealed) return new MappedBytes(mapFile(system, range), skip);
  if (!system.files.supports(range.fd)) {
    return new MappedBytes(mapFile(system, range), skip, `${CAN_BE_CUT}, and has to be mapped`);
  }
  return new FileBytes(openFile(system, range), skip, lost);
}

class MappedBytes implements RegionBytes {
  readonly mapped: SharedMemory;
  readonly skip: number;
  readonly remark: string | undefined;
  #released = false;

  constructor(memory: SharedMemory, skip: number, remark?: string) {
    this.mapped = memory;
    this.skip = skip;
    this.remark = remark;
  }

  read(at: number, into: Uint8Array): void {
    if (this.#released) into.fill(0);
    else if (into.length > 0) into.set(this.#view(at, into.length));
  }

  write(at: number, bytes: Uint8Array): void {
    if (bytes.length > 0 && !this.#released) this.#view(at, bytes.length).set(bytes);
  }

  addBit(at: number, bit: number): void {
    if (this.#released) return;
    const { buffer, offset } = this.mapped.at(this.skip + at, 4);
    Atomics.add(new Int32Array(buffer, offset, 1), 0, 1 << bit);
  }

  discard(at: number, length: number): number {
    return this.mapped.discard(this.skip + at, length);
  }

  release(): void {
    this.#released = true;
    this.mapped.release();
  }

  #view(at: number, length: number): Uint8Array {
    const { buffer, offset } = this.mapped.at(this.skip + at, length);
    return new Uint8Array(buffer, offset, length);
  }
}

class FileBytes implements RegionBytes {
  readonly mapped = undefined;
  readonly remark = `${CAN_BE_CUT}, so it is not mapped`;
  readonly skip: number;
  readonly #file: FileMemory;
  readonly #lost: () => void;

  constructor(file: FileMemory, skip: number, lost: () => void) {
    this.#file = file;
    this.skip = skip;
    this.#lost = lost;
  }

  read(at: number, into: Uint8Array): void {
    if (!this.#file.read(this.skip + at, into)) this.#lost();
  }

  write(at: number, bytes: Uint8Array): void {
    if (!this.#file.write(this.skip + at, bytes)) this.#lost();
  }

  addBit(at: number, bit: number): void {
    if (!this.#file.addBit(this.skip + at, bit)) this.#lost();
  }

  discard(at: number, length: number): number {
    return this.#file.discard(this.skip + at, length);
  }

  release(): void {
    this.#file.release();
  }
}
