/** Kinds of memory in which queue pairs stand. */
import { type QueueMemory, type QueueSizes, queueBytes } from './vmci-queue.js';

/** Memory of this process alone, or a view of some. */
export class BufferMemory implements QueueMemory {
  readonly length: number;
  readonly #bytes: Uint8Array;

  /** @param memory how many bytes, or the bytes themselves, at an address that 8 divides. */
  constructor(memory: number | Uint8Array) {
    this.#bytes = typeof memory === 'number' ? new Uint8Array(memory) : memory;
    this.length = this.#bytes.length;
  }

  view(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }
}

/** Two memories as one. */
export class JoinedMemory implements QueueMemory {
  readonly length: number;
  readonly #first: QueueMemory;
  readonly #second: QueueMemory;

  constructor(first: QueueMemory, second: QueueMemory) {
    this.#first = first;
    this.#second = second;
    this.length = first.length + second.length;
  }

  view(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    const border = this.#first.length;
    if (offset >= border) return this.#second.view(offset - border, length);
    return this.#first.view(offset, Math.min(length, border - offset));
  }
}

/** Part of a memory. */
export class PartOfMemory implements QueueMemory {
  readonly length: number;
  readonly #whole: QueueMemory;
  readonly #start: number;

  /** @throws RangeError outside of the memory. */
  constructor(whole: QueueMemory, start: number, length: number) {
    checkRange(whole, start, length);
    this.#whole = whole;
    this.#start = start;
    this.length = length;
  }

  view(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    return this.#whole.view(this.#start + offset, length);
  }
}

/**
 * A pair's memory as its other end names it: what the owner writes is read there.
 * @param sizes of the owner, as whose queues the memory is laid out.
 */
export function swapped(
  memory: QueueMemory,
  { produceSize, consumeSize }: QueueSizes,
): QueueMemory {
  const [produce, consume] = [queueBytes(produceSize), queueBytes(consumeSize)];
  return new JoinedMemory(
    new PartOfMemory(memory, produce, consume),
    new PartOfMemory(memory, 0, produce),
  );
}

/** @throws RangeError for what is not inside of a memory. */
function checkRange(memory: QueueMemory, offset: number, length: number): void {
  if (offset >= 0 && length > 0 && offset + length <= memory.length) return;
  throw new RangeError(`no ${length} bytes at ${offset} of ${memory.length}`);
}
