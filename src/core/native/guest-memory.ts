/**
 * Memory of this process that a hypervisor gives to a guest. Nobody sees it as an ArrayBuffer, so it can be given back at
 * once, and may be larger than one can be. Linux.
 */
import { type Koffi, loadKoffi } from './koffi.js';

const PROT_READ_WRITE = 3;
/** MAP_PRIVATE, MAP_ANONYMOUS and MAP_NORESERVE: pages come when they are touched. */
const MAP_FLAGS = 0x2 | 0x20 | 0x4000;
const MAP_FAILED = 2n ** 64n - 1n;

interface Calls {
  mmap(length: number): bigint;
  munmap(address: bigint, length: number): number;
  memcpy(to: bigint, from: Uint8Array): void;
  errno(): number;
}

let loaded: Promise<Calls> | undefined;

function bind(koffi: Koffi): Calls {
  const library = koffi.load(null);
  const mmap = library.func(
    'uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
  );
  const munmap = library.func('int munmap(uintptr_t address, size_t length)');
  const memcpy = library.func('uintptr_t memcpy(uintptr_t to, const void *from, size_t length)');
  return {
    mmap: (length) => BigInt(mmap(0, length, PROT_READ_WRITE, MAP_FLAGS, -1, 0)),
    munmap: (address, length) => Number(munmap(address, length)),
    memcpy: (to, from) => {
      memcpy(to, from, from.length);
    },
    errno: () => koffi.errno(),
  };
}

export class GuestMemory {
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
  readonly #calls: Calls;
  #mapped = true;

  private constructor(calls: Calls, address: bigint, length: number) {
    this.#calls = calls;
    this.address = address;
    this.length = length;
  }

  /** Zeros, or a negated errno. `length` is a multiple of the page size. @throws NativeMissingError */
  static async map(length: number): Promise<GuestMemory | number> {
    loaded ??= loadKoffi().then(bind);
    const calls = await loaded;
    const address = calls.mmap(length);
    return address === MAP_FAILED ? -calls.errno() : new GuestMemory(calls, address, length);
  }

  /** @throws RangeError for what does not lie in it. */
  write(offset: number, bytes: Uint8Array): void {
    const inside = this.#mapped && offset >= 0 && offset + bytes.length <= this.length;
    if (!inside) throw new RangeError(`no ${bytes.length} bytes at ${offset} of ${this.length}`);
    if (bytes.length > 0) this.#calls.memcpy(this.address + BigInt(offset), bytes);
  }

  /** Gives it back; the hypervisor must not use it any more. 0, or a negated errno. */
  unmap(): number {
    if (!this.#mapped) return 0;
    this.#mapped = false;
    return this.#calls.munmap(this.address, this.length) === -1 ? -this.#calls.errno() : 0;
  }
}
