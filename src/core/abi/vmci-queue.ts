/**
 * Queue pairs of VMCI as memory: two rings of bytes, each with a header page. A queue is one object, made once from
 * both headers, so that nothing takes two headers that could be mixed up. Source: Linux include/linux/vmw_vmci_defs.h,
 * drivers/misc/vmw_vmci/vmci_queue_pair.c.
 *
 * What stands in the memory comes from outside: indexes are read once for each operation, and checked before they are
 * used. So whatever the other end writes there, an operation ends, and touches nothing outside of its queue.
 */
import { struct, u64 } from './layout.js';
import { vmci_handle } from './vmci.js';
import { VMCI_RESULT } from './vmci-errors.js';

/** Bytes of a page, and of a header. */
export const VMCI_PAGE_SIZE = 4096;

/** Stands at the beginning of a header's page. Both indexes are moved by the end that writes the queue. */
export const vmci_queue_header = struct('vmci_queue_header', {
  handle: vmci_handle,
  /** Where that end writes next in its own queue. */
  producer_tail: u64,
  /** Where it reads next in the other one. */
  consumer_head: u64,
});

/** Memory that both ends have. It may be of several pieces. */
export interface QueueMemory {
  /** Bytes; a multiple of the page size. */
  readonly length: number;
  /**
   * A view that begins at an offset, of at least one byte and at most `length` bytes; of all of them, where they stand in
   * one piece. A header page always does. @throws RangeError outside of the memory.
   */
  view(offset: number, length: number): Uint8Array;
}

/** Bytes of the queue that an end writes, and of that which it reads. Any sizes do, also 0 for one of them. */
export interface QueueSizes {
  readonly produceSize: number;
  readonly consumeSize: number;
}

/** Both queues of a pair, as one of its ends names them. */
export interface QueueEnds {
  readonly produce: Queue;
  readonly consume: Queue;
}

/** Where a queue's parts are in its memory, bytes. */
interface QueuePlaces {
  /** The header of the end that writes it, with the tail. */
  readonly own: number;
  /** The header of the end that reads it, with the head. */
  readonly opposite: number;
  readonly data: number;
}

const { NOSPACE, NODATA, INVALID_SIZE, SUCCESS } = {
  NOSPACE: VMCI_RESULT.VMCI_ERROR_QUEUEPAIR_NOSPACE,
  NODATA: VMCI_RESULT.VMCI_ERROR_QUEUEPAIR_NODATA,
  INVALID_SIZE: VMCI_RESULT.VMCI_ERROR_INVALID_SIZE,
  SUCCESS: VMCI_RESULT.VMCI_SUCCESS,
};

/** Bytes of a queue with its header's page. */
export function queueBytes(size: number): number {
  return VMCI_PAGE_SIZE + Math.ceil(size / VMCI_PAGE_SIZE) * VMCI_PAGE_SIZE;
}

/** Bytes of a pair: the produce queue with its header, then the consume queue with its. */
export function queuePairBytes({ produceSize, consumeSize }: QueueSizes): number {
  return queueBytes(produceSize) + queueBytes(consumeSize);
}

/**
 * Both queues in memory that is laid out as this end names them; for the other end's, see `swapped` of vmci-memory.ts.
 * @throws RangeError when the memory is shorter than the pair, or its headers are not aligned to 8 bytes.
 */
export function openQueuePair(memory: QueueMemory, sizes: QueueSizes): QueueEnds {
  if (memory.length < queuePairBytes(sizes)) {
    throw new RangeError(`a pair of ${queuePairBytes(sizes)} bytes in ${memory.length}`);
  }
  const [mine, theirs] = [0, queueBytes(sizes.produceSize)];
  return {
    produce: new Queue(memory, sizes.produceSize, {
      own: mine,
      opposite: theirs,
      data: mine + VMCI_PAGE_SIZE,
    }),
    consume: new Queue(memory, sizes.consumeSize, {
      own: theirs,
      opposite: mine,
      data: theirs + VMCI_PAGE_SIZE,
    }),
  };
}

/** Puts a pair's handle into its headers. The indexes are zeros in new memory, and stay as they are. */
export function markQueuePair(
  memory: QueueMemory,
  { produceSize }: QueueSizes,
  handle: { readonly context: number; readonly resource: number },
): void {
  const bytes = vmci_handle.encode(handle);
  memory.view(0, bytes.length).set(bytes);
  memory.view(queueBytes(produceSize), bytes.length).set(bytes);
}

/** Writes both headers anew, for empty queues. Who gives a pair its pages does that, before anybody attaches. */
export function resetQueuePair(
  memory: QueueMemory,
  { produceSize }: QueueSizes,
  handle: { readonly context: number; readonly resource: number },
): void {
  const header = vmci_queue_header.encode({ handle });
  memory.view(0, header.length).set(header);
  memory.view(queueBytes(produceSize), header.length).set(header);
}

/** One ring of bytes. It holds one byte less than its size, since equal indexes mean that it is empty. */
export class Queue {
  /** Bytes. */
  readonly size: number;
  readonly #memory: QueueMemory;
  readonly #data: number;
  readonly #tailCell: BigUint64Array;
  readonly #headCell: BigUint64Array;
  /** As they were read last. */
  #tail = 0;
  #head = 0;

  constructor(memory: QueueMemory, size: number, { own, opposite, data }: QueuePlaces) {
    this.size = size;
    this.#memory = memory;
    this.#data = data;
    this.#tailCell = indexCell(memory, own + vmci_queue_header.offset('producer_tail'));
    this.#headCell = indexCell(memory, opposite + vmci_queue_header.offset('consumer_head'));
  }

  /** Both indexes; INVALID_SIZE when one is not inside of the queue. */
  indexes(): { tail: number; head: number } | number {
    const result = this.#load();
    return result < 0 ? result : { tail: this.#tail, head: this.#head };
  }

  /** Bytes that can be written; INVALID_SIZE for indexes outside of the queue. */
  get freeSpace(): number {
    const result = this.#load();
    return result < 0 ? result : this.size - 1 - this.#ready();
  }

  /** Bytes that can be read; INVALID_SIZE. */
  get bufReady(): number {
    const result = this.#load();
    return result < 0 ? result : this.#ready();
  }

  /** Writes as much as there is room for. @returns bytes; QUEUEPAIR_NOSPACE when it is full, INVALID_SIZE. */
  enqueue(bytes: Uint8Array): number {
    return this.enqueuev([bytes]);
  }

  /** The same from several pieces, which become readable at once. */
  enqueuev(pieces: readonly Uint8Array[]): number {
    const free = this.freeSpace;
    if (free < 0) return free;
    if (free === 0) return NOSPACE;
    let count = 0;
    for (const piece of pieces) {
      const part = piece.subarray(0, free - count);
      this.#copyIn(this.#advance(this.#tail, count), part);
      count += part.length;
    }
    this.produced(count);
    return count;
  }

  /** Reads what is there, at most as much as fits. @returns bytes; QUEUEPAIR_NODATA, INVALID_SIZE. */
  dequeue(into: Uint8Array): number {
    return this.dequeuev([into]);
  }

  dequeuev(pieces: readonly Uint8Array[]): number {
    const count = this.peekv(pieces);
    if (count > 0) this.consumed(count);
    return count;
  }

  /** `dequeue` that leaves the bytes where they are. */
  peek(into: Uint8Array): number {
    return this.peekv([into]);
  }

  peekv(pieces: readonly Uint8Array[]): number {
    const ready = this.bufReady;
    if (ready < 0) return ready;
    if (ready === 0) return NODATA;
    let count = 0;
    for (const piece of pieces) {
      const part = piece.subarray(0, ready - count);
      this.#copyOut(this.#advance(this.#head, count), part);
      count += part.length;
    }
    return count;
  }

  /**
   * The memory in which the next bytes go, up to where the ring or a piece of memory ends; to be filled, then told by
   * `produced`. @returns QUEUEPAIR_NOSPACE, INVALID_SIZE.
   */
  room(): Uint8Array | number {
    const free = this.freeSpace;
    if (free < 0) return free;
    if (free === 0) return NOSPACE;
    return this.#piece(this.#tail, Math.min(free, this.size - this.#tail));
  }

  /** The next bytes to be read, up to where the ring or a piece of memory ends. @returns QUEUEPAIR_NODATA, INVALID_SIZE. */
  bytes(): Uint8Array | number {
    const ready = this.bufReady;
    if (ready < 0) return ready;
    if (ready === 0) return NODATA;
    return this.#piece(this.#head, Math.min(ready, this.size - this.#head));
  }

  /**
   * Lets the other end read what has been put into `room`. The index goes out after the bytes, in one piece: the store is
   * sequentially consistent.
   */
  produced(count: number): void {
    this.#tail = this.#advance(this.#tail, count);
    Atomics.store(this.#tailCell, 0, BigInt(this.#tail));
  }

  /** Gives the other end the space of what was read, from `bytes`. */
  consumed(count: number): void {
    this.#head = this.#advance(this.#head, count);
    Atomics.store(this.#headCell, 0, BigInt(this.#head));
  }

  #load(): number {
    // Beyond 2^53 a number is rounded, and is far outside all the same.
    this.#tail = Number(Atomics.load(this.#tailCell, 0));
    this.#head = Number(Atomics.load(this.#headCell, 0));
    return this.#tail < this.size && this.#head < this.size ? SUCCESS : INVALID_SIZE;
  }

  #ready(): number {
    const distance = this.#tail - this.#head;
    return distance < 0 ? distance + this.size : distance;
  }

  #advance(index: number, count: number): number {
    const next = index + count;
    return next < this.size ? next : next - this.size;
  }

  #piece(at: number, length: number): Uint8Array {
    return this.#memory.view(this.#data + at, length);
  }

  #copyIn(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const position = this.#advance(at, done);
      const room = this.#piece(position, Math.min(bytes.length - done, this.size - position));
      room.set(bytes.subarray(done, done + room.length));
      done += room.length;
    }
  }

  #copyOut(at: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const position = this.#advance(at, done);
      const piece = this.#piece(position, Math.min(into.length - done, this.size - position));
      into.set(piece, done);
      done += piece.length;
    }
  }
}

/** @throws RangeError when it is not aligned. */
function indexCell(memory: QueueMemory, offset: number): BigUint64Array {
  const { buffer, byteOffset } = memory.view(offset, BigUint64Array.BYTES_PER_ELEMENT);
  return new BigUint64Array(buffer, byteOffset, 1);
}
