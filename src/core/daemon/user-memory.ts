/**
 * The memory of a client's ioctl: ranges that were sent along, at addresses that the client chose, and what it has mapped
 * together with us.
 */
import { SystemError } from '../abi/errno.js';
import type { QueueMemory } from '../abi/vmci-queue.js';
import type { UserMemory } from '../simulator/node.js';
import type { MappedPieces } from './mapped-memory.js';
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
  readonly #mapped: MappedPieces | undefined;

  /** Writes go to the bytes that are given. */
  constructor(ranges: readonly SentRange[], mapped?: MappedPieces) {
    this.#mapped = mapped;
    this.#ranges = ranges.map(({ address, bytes }) => ({ address, bytes, written: false }));
  }

  /**
   * Takes what was sent apart: first the argument, then the ranges that the parameter `memory` names.
   * @throws SystemError EINVAL when both do not fit together.
   */
  static split(
    parameters: Parameters,
    binary: Uint8Array,
    mapped?: MappedPieces,
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
    return { argument, memory: new SentMemory(ranges, mapped) };
  }

  read(address: bigint, length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const sent = this.#find(address, length);
    if (sent !== undefined) return sent.range.bytes.slice(sent.offset, sent.offset + length);
    return this.#mappedBytes(address, length).slice();
  }

  write(address: bigint, data: Uint8Array): void {
    if (data.length === 0) return;
    const sent = this.#find(address, data.length);
    if (sent === undefined) {
      this.#mappedBytes(address, data.length).set(data);
      return;
    }
    sent.range.bytes.set(data, sent.offset);
    sent.range.written = true;
  }

  /** Only what is mapped stays. */
  pin(address: bigint, length: number): QueueMemory | undefined {
    return length > 0 ? this.#mapped?.find(address, length) : undefined;
  }

  /** Numbers of the ranges that were written, and their bytes. */
  changes(): { written: number[]; bytes: Uint8Array[] } {
    const written = [...this.#ranges.keys()].filter((index) => this.#ranges[index]?.written);
    return {
      written,
      bytes: written.map((index) => this.#ranges[index]?.bytes ?? new Uint8Array()),
    };
  }

  #find(address: bigint, length: number): { range: Range; offset: number } | undefined {
    for (const range of this.#ranges) {
      const offset = address - range.address;
      if (offset >= 0n && offset + BigInt(length) <= BigInt(range.bytes.length)) {
        return { range, offset: Number(offset) };
      }
    }
    return undefined;
  }

  /** Memory of a client is in one piece. */
  #mappedBytes(address: bigint, length: number): Uint8Array {
    const memory = this.#mapped?.find(address, length);
    if (memory === undefined) throw new SystemError('EFAULT', { syscall: 'ioctl' });
    return memory.view(0, length);
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
