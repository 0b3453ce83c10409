/**
 * The pages of the guest that were written, as a migrating front-end wants to know them: a bit for each, from address 0
 * on, in memory that it shares. Source: QEMU docs/interop/vhost-user.rst, "Migration".
 */
import type { FileMemory } from '../../native/file-memory.js';
import { type FileRange, openFile, skipOf } from './shared-files.js';
import type { System } from './system.js';

/** Bytes of the guest's memory that a bit stands for. */
export const VHOST_LOG_PAGE = 0x1000;
const BITS = 32;

export class DirtyLog {
  readonly #file: FileMemory;
  readonly #skip: number;
  readonly #pages: number;
  /** Told after each change. */
  readonly #changed: () => void;

  /** The descriptor stays the caller's. The length is cut to whole words. @throws MemoryError */
  constructor(system: System, range: FileRange, changed: () => void) {
    this.#file = openFile(system, range);
    this.#skip = skipOf(range);
    this.#pages = Math.floor(range.length / (BITS / 8)) * BITS;
    this.#changed = changed;
  }

  /** Marks the pages of a range of guest addresses that was just written. Those that the log has no bit for are not. */
  mark(address: number, length: number): void {
    if (length === 0) return;
    const end = Math.min(this.#pages, Math.ceil((address + length) / VHOST_LOG_PAGE));
    const first = Math.floor(address / VHOST_LOG_PAGE);
    for (let page = first; page < end; page++) {
      // The front-end takes words out of it meanwhile, so a bit is set in one step.
      this.#file.setBit(this.#skip + Math.floor(page / BITS) * (BITS / 8), page % BITS);
    }
    if (first < end) this.#changed();
  }

  release(): void {
    this.#file.release();
  }
}
