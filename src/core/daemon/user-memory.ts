/** The memory of a client's ioctl, as far as it was sent along: ranges at addresses that the client chose. */
import { SystemError } from '../abi/errno.js';
import type { UserMemory } from '../simulator/node.js';
import type { Parameters } from './parameters.js';

/** Ranges that one call may have: more than any interface's parameters. */
const MAX_RANGES = 256;

/** Bytes that stand at an address of a program. */
export interface SentRange {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

interface Range extends SentRange {
  written: boolean;
}

export class SentMemory implements UserMemory {
  readonly #ranges: readonly Range[];

  /** Writes go to the bytes that are given. */
  constructor(ranges: readonly SentRange[]) {
    this.#ranges = ranges.map(({ address, bytes }) => ({ address, bytes, written: false }));
  }

  /**
   * Takes what was sent apart: first the argument, then the ranges that the parameter `memory` names.
   * @throws SystemError EINVAL when both do not fit together.
   */
  static split(
    parameters: Parameters,
    binary: Uint8Array,
  ): { argument: Uint8Array; memory: SentMemory } {
    const places = parsePlaces(parameters.memory);
    const total = places.reduce((sum, { length }) => sum + length, 0);
    let at = binary.length - total;
    if (at < 0) throw invalid();
    const argument = new Uint8Array(binary.subarray(0, at));
    const ranges = places.map(({ address, length }) => {
      const bytes = new Uint8Array(binary.subarray(at, at + length));
      at += length;
      return { address, bytes };
    });
    return { argument, memory: new SentMemory(ranges) };
  }

  read(address: bigint, length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const { bytes, offset } = this.#find(address, length);
    return bytes.slice(offset, offset + length);
  }

  write(address: bigint, data: Uint8Array): void {
    if (data.length === 0) return;
    const { range, bytes, offset } = this.#find(address, data.length);
    bytes.set(data, offset);
    range.written = true;
  }

  /** Numbers of the ranges that were written, and their bytes. */
  changes(): { written: number[]; bytes: Uint8Array[] } {
    const written = [...this.#ranges.keys()].filter((index) => this.#ranges[index]?.written);
    return {
      written,
      bytes: written.map((index) => this.#ranges[index]?.bytes ?? new Uint8Array()),
    };
  }

  #find(address: bigint, length: number) {
    for (const range of this.#ranges) {
      const { bytes } = range;
      const offset = address - range.address;
      if (offset >= 0n && offset + BigInt(length) <= BigInt(bytes.length)) {
        return { range, bytes, offset: Number(offset) };
      }
    }
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
}

function parsePlaces(value: unknown): { address: bigint; length: number }[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > MAX_RANGES) throw invalid();
  return value.map((place: unknown) => {
    const { address, length } = (place ?? {}) as { address?: unknown; length?: unknown };
    if (!isSize(address) || !isSize(length)) throw invalid();
    return { address: BigInt(address), length };
  });
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function invalid(): SystemError {
  return new SystemError('EINVAL', { message: "the parameter 'memory' makes no sense" });
}
