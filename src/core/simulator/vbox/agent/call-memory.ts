/** The memory of a program for one call: the buffers whose addresses it passes. */
import { SystemError } from '../../../abi/errno.js';
import type { UserMemory } from '../../node.js';

/** Where the first buffer is; any place but the first pages, which no program has. */
const BASE = 0x10000n;

export class CallMemory implements UserMemory {
  readonly #data: Uint8Array;
  /** Where each buffer is, in bytes. */
  readonly places: readonly { readonly address: bigint; readonly length: number }[];

  constructor(buffers: readonly Uint8Array[]) {
    const places: { address: bigint; length: number }[] = [];
    let end = 0;
    for (const { length } of buffers) {
      places.push({ address: BASE + BigInt(end), length });
      end += length;
    }
    this.places = places;
    this.#data = new Uint8Array(end);
    for (const [index, { address }] of places.entries()) {
      this.#data.set(buffers[index] ?? new Uint8Array(0), Number(address - BASE));
    }
  }

  read(address: bigint, length: number): Uint8Array {
    const at = this.#at(address, length);
    return this.#data.slice(at, at + length);
  }

  write(address: bigint, data: Uint8Array): void {
    this.#data.set(data, this.#at(address, data.length));
  }

  #at(address: bigint, length: number): number {
    const at = address - BASE;
    if (at >= 0n && at + BigInt(length) <= BigInt(this.#data.length)) return Number(at);
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
}
