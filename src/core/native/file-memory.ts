/**
 * Files of other programs that may be made shorter at any time. To touch a mapping beyond its file's end ends the process
 * by a signal; a system call only says that there was less. So bytes are read and written by calls, and words that others
 * look at meanwhile are changed by the kernel. Linux.
 */
import { constants } from 'node:os';
import { type Koffi, loadKoffi } from './koffi.js';
import type { SharedMemory } from './shared-memory.js';

const F_DUPFD_CLOEXEC = 1030;

/** Source: asm/unistd_64.h of x86, and asm-generic/unistd.h, which the others have. */
const FUTEX_CALLS: Readonly<Record<string, number>> = {
  x64: 202,
  arm64: 98,
  riscv64: 98,
  loong64: 98,
};
/** Source: linux/futex.h. */
const FUTEX_WAKE_OP_PRIVATE = 5 | 128;
const FUTEX_OP_ADD = 1;
const FUTEX_OP_OR = 2;
/** The argument is a number of a bit. */
const FUTEX_OP_OPARG_SHIFT = 8;

type Call = (...values: unknown[]) => unknown;

export class FileMemories {
  readonly #koffi: Koffi;
  readonly #pread: Call;
  readonly #pwrite: Call;
  readonly #fcntl: Call;
  readonly #close: Call;
  readonly #syscall: Call;
  readonly #futex: number | undefined = FUTEX_CALLS[process.arch];
  /** What the first half of the call is about: a word that nobody waits for. */
  readonly #nobody = new Uint32Array(1);

  private constructor(koffi: Koffi) {
    const library = koffi.load(null);
    this.#koffi = koffi;
    this.#pread = library.func('intptr_t pread(int fd, void *into, size_t length, int64_t offset)');
    this.#pwrite = library.func(
      'intptr_t pwrite(int fd, const void *bytes, size_t length, int64_t offset)',
    );
    this.#fcntl = library.func('int fcntl(int fd, int command, long argument)');
    this.#close = library.func('int close(int fd)');
    this.#syscall = library.func(
      'long syscall(long number, void *first, long operation, long count, long count2, uintptr_t second, uint32_t what)',
    );
  }

  /** @throws NativeMissingError */
  static async load(): Promise<FileMemories> {
    return new FileMemories(await loadKoffi());
  }

  /** Whether a file can be used so: files of huge pages can't be written by calls, and not every machine is known here. */
  supports(fd: number): boolean {
    return this.#futex !== undefined && this.write(fd, new Uint8Array(0), 0) === 0;
  }

  /**
   * Takes a part of a file, and its mapping over.
   * @param offset where the mapping begins in the file, bytes.
   * @returns a negated errno where there is no descriptor left.
   */
  open(fd: number, offset: number, mapping: SharedMemory): FileMemory | number {
    const own = Number(this.#fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (own < 0) return -this.#koffi.errno();
    return new FileMemory(this, own, offset, mapping);
  }

  /** Bytes that were there, or a negated errno. */
  read(fd: number, into: Uint8Array, offset: number): number {
    return this.#result(this.#pread(fd, into, into.length, offset));
  }

  write(fd: number, bytes: Uint8Array, offset: number): number {
    return this.#result(this.#pwrite(fd, bytes, bytes.length, offset));
  }

  close(fd: number): void {
    this.#close(fd);
  }

  /**
   * Changes a word of memory in one step, as Atomics do. FUTEX_WAKE_OP is the call that does so, and where there is no
   * memory it says EFAULT.
   * @returns 0, or a negated errno.
   */
  change(address: bigint, operation: 'add' | 'or', bit: number): number {
    const code = operation === 'add' ? FUTEX_OP_ADD : FUTEX_OP_OR;
    const what = (((code | FUTEX_OP_OPARG_SHIFT) << 28) | (bit << 12)) >>> 0;
    const { EOPNOTSUPP } = constants.errno;
    if (this.#futex === undefined) return -EOPNOTSUPP;
    return this.#result(
      this.#syscall(this.#futex, this.#nobody, FUTEX_WAKE_OP_PRIVATE, 0, 0, address, what),
    );
  }

  #result(value: unknown): number {
    const result = Number(value);
    return result < 0 ? -this.#koffi.errno() : result;
  }
}

/** A part of a file. What lies behind the file's end reads as zeros. */
export class FileMemory {
  readonly length: number;
  readonly #calls: FileMemories;
  readonly #fd: number;
  readonly #offset: number;
  readonly #mapping: SharedMemory;
  #released = false;

  constructor(calls: FileMemories, fd: number, offset: number, mapping: SharedMemory) {
    this.#calls = calls;
    this.#fd = fd;
    this.#offset = offset;
    this.#mapping = mapping;
    this.length = mapping.length;
  }

  /** False when not all is there any more. @throws RangeError outside of the part. */
  read(at: number, into: Uint8Array): boolean {
    if (this.#released) {
      into.fill(0);
      return true;
    }
    this.#check(at, into.length);
    const got = this.#calls.read(this.#fd, into, this.#offset + at);
    if (got === into.length) return true;
    into.fill(0, Math.max(0, got));
    return false;
  }

  /** False where it can't be written. What was cut off is made anew by it. @throws RangeError */
  write(at: number, bytes: Uint8Array): boolean {
    if (this.#released) return true;
    this.#check(at, bytes.length);
    return this.#calls.write(this.#fd, bytes, this.#offset + at) === bytes.length;
  }

  /** Adds 2 ** bit to the 32 bits at `at`, a multiple of four. False where there is no memory. @throws RangeError */
  addBit(at: number, bit: number): boolean {
    return this.#change(at, 'add', bit);
  }

  /** Sets a bit of these 32. */
  setBit(at: number, bit: number): boolean {
    return this.#change(at, 'or', bit);
  }

  /** As SharedMemory.discard. */
  discard(at: number, length: number): number {
    return this.#mapping.discard(at, length);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#mapping.release();
    this.#calls.close(this.#fd);
  }

  #change(at: number, operation: 'add' | 'or', bit: number): boolean {
    if (this.#released) return true;
    this.#check(at, 4);
    return this.#calls.change(this.#mapping.address(at), operation, bit) >= 0;
  }

  #check(at: number, length: number): void {
    if (at >= 0 && at + length <= this.length) return;
    throw new RangeError(`no ${length} bytes at ${at} of ${this.length}`);
  }
}
