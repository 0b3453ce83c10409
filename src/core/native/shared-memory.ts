/**
 * Files of other programs, mapped for as long as these programs live. A mapping that is given back leaves its addresses
 * to memory of our own, which reads as zeros, until the last view of it is collected: so a view that somebody still
 * holds does no harm, where an address without memory behind it would end the process. Linux.
 */
import { type Koffi, loadKoffi } from './koffi.js';

const [PROT_READ, PROT_WRITE] = [1, 2];
const [MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE] = [
  0x1, 0x2, 0x10, 0x20, 0x4000,
];
const MADV_REMOVE = 9;
const MAP_FAILED = 2n ** 64n - 1n;
const PAGE = 4096;
const [F_ADD_SEALS, F_GET_SEALS, F_SEAL_SHRINK] = [1033, 1034, 2];

/**
 * An ArrayBuffer has at most 4 GiB, so memory is seen through windows, each half over the next: what is no longer than
 * the overlap is whole in one of them.
 */
const WINDOW_STEP = 2 ** 30;
const WINDOW = 2 * WINDOW_STEP;
/** The longest piece that `at` finds in one window, bytes. */
export const MAX_PIECE = WINDOW - WINDOW_STEP;

/** Where a piece of memory stands in a buffer. */
export interface Piece {
  readonly buffer: ArrayBuffer;
  readonly offset: number;
}

interface Range {
  readonly address: bigint;
  readonly length: number;
  /** Windows that are not collected yet, and the mapping itself while it is in use. */
  holders: number;
}

type Call = (...values: unknown[]) => unknown;

/** The calls that make and unmake mappings. */
export class SharedMemories {
  readonly koffi: Koffi;
  readonly #mmap: Call;
  readonly #munmap: Call;
  readonly #madvise: Call;
  readonly #fcntl: Call;
  readonly #collected = new FinalizationRegistry<Range>((range) => this.#let(range));

  private constructor(koffi: Koffi) {
    const library = koffi.load(null);
    this.koffi = koffi;
    this.#mmap = library.func(
      'uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
    );
    this.#munmap = library.func('int munmap(uintptr_t address, size_t length)');
    this.#madvise = library.func('int madvise(uintptr_t address, size_t length, int advice)');
    this.#fcntl = library.func('int fcntl(int fd, int command, long argument)');
  }

  /** @throws NativeMissingError */
  static async load(): Promise<SharedMemories> {
    return new SharedMemories(await loadKoffi());
  }

  /**
   * Sees to it that a file is not made shorter, where that can be: to touch a mapping beyond its file's end ends the
   * process. False for files that have no seals, or that their owner keeps from being sealed.
   */
  seal(fd: number): boolean {
    this.#fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    const seals = Number(this.#fcntl(fd, F_GET_SEALS, 0));
    return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
  }

  /** A negated errno where the system refuses. `length` and `offset` are bytes and multiples of the page size. */
  map(fd: number, length: number, offset: number): SharedMemory | number {
    const protection = PROT_READ | PROT_WRITE;
    const address = BigInt(
      this.#mmap(0, length, protection, MAP_SHARED | MAP_NORESERVE, fd, offset) as number,
    );
    if (address === MAP_FAILED) return -this.koffi.errno();
    return new SharedMemory(this, { address, length, holders: 1 });
  }

  /** Memory without a file, zeros. A negated errno where the system refuses. `length` is a multiple of the page size. */
  anonymous(length: number): SharedMemory | number {
    const protection = PROT_READ | PROT_WRITE;
    const address = BigInt(
      this.#mmap(0, length, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0) as number,
    );
    if (address === MAP_FAILED) return -this.koffi.errno();
    return new SharedMemory(this, { address, length, holders: 1 });
  }

  /** A window of a mapping, which holds the range until it is collected. */
  window(range: Range, start: number): ArrayBuffer {
    const length = Math.min(WINDOW, range.length - start);
    const buffer = this.koffi.view(range.address + BigInt(start), length);
    range.holders++;
    this.#collected.register(buffer, range);
    return buffer;
  }

  /** Takes the file away from below a range. */
  replace({ address, length }: Range): void {
    const flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const result = this.#mmap(address, length, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (BigInt(result as number) === MAP_FAILED) {
      throw new Error(`mmap: errno ${this.koffi.errno()} for memory in place of a mapping`);
    }
  }

  /** One who held the range does so no more; the last one's addresses are free. */
  #let(range: Range): void {
    range.holders--;
    if (range.holders === 0) this.#munmap(range.address, range.length);
  }

  release(range: Range): void {
    if (range.holders > 1) this.replace(range);
    this.#let(range);
  }

  /** 0, or a negated errno. */
  discard({ address }: Range, offset: number, length: number): number {
    const result = Number(this.#madvise(address + BigInt(offset), length, MADV_REMOVE));
    return result < 0 ? -this.koffi.errno() : 0;
  }
}

/** A file's bytes, shared with whoever else has it mapped. */
export class SharedMemory {
  readonly length: number;
  readonly #owner: SharedMemories;
  readonly #range: Range;
  readonly #windows: ArrayBuffer[] = [];
  #released = false;

  constructor(owner: SharedMemories, range: Range) {
    this.#owner = owner;
    this.#range = range;
    this.length = range.length;
  }

  /** The piece from `offset` on, of at most MAX_PIECE bytes. @throws RangeError outside of the mapping. */
  at(offset: number, length: number): Piece {
    const inside = offset >= 0 && length > 0 && offset + length <= this.length;
    if (this.#released || !inside || length > MAX_PIECE) {
      throw new RangeError(`no piece of ${length} bytes at ${offset} of ${this.length}`);
    }
    const index = Math.floor(offset / WINDOW_STEP);
    const start = index * WINDOW_STEP;
    this.#windows[index] ??= this.#owner.window(this.#range, start);
    return { buffer: this.#windows[index], offset: offset - start };
  }

  /** Where a byte of it is in this process, for system calls; not to be used after `release`. */
  address(offset: number): bigint {
    return this.#range.address + BigInt(offset);
  }

  /** A view from `offset` on, of at most `length` bytes, and MAX_PIECE. @throws RangeError outside of the mapping. */
  view(offset: number, length: number): Uint8Array {
    const count = Math.min(length, MAX_PIECE);
    const piece = this.at(offset, count);
    return new Uint8Array(piece.buffer, piece.offset, count);
  }

  /**
   * Gives whole pages of the range back to the system; they read as zeros afterwards. The bytes given back, or a
   * negated errno where the file can't have holes.
   */
  discard(offset: number, length: number): number {
    const first = Math.ceil(offset / PAGE) * PAGE;
    const end = Math.floor((offset + length) / PAGE) * PAGE;
    if (this.#released || first < 0 || end > this.length || end <= first) return 0;
    const result = this.#owner.discard(this.#range, first, end - first);
    return result < 0 ? result : end - first;
  }

  /** Gives the memory back. Views of it read as zeros from now on. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#windows.length = 0;
    this.#owner.release(this.#range);
  }
}
