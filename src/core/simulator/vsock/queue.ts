/** Payloads in order, on their way out of a socket or waiting in one to be read. */

/** Packets of at most this many bytes are merged into the one before. Source: GOOD_COPY_LEN, virtio_transport_common.c. */
export const GOOD_COPY_LEN = 128;

/** How large a buffer grows by merging. */
const MERGE_BYTES = 4096;

interface Item {
  payload: Uint8Array;
  /** Bytes of the payload that have been read. */
  read: number;
  flags: number;
  /** The buffer that `payload` is the front of, when small packets are merged in it. */
  room: Uint8Array | undefined;
}

export class PayloadQueue {
  #items: Item[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Adds a payload; a small one joins the last, unless that ends a message (`flags`). */
  push(payload: Uint8Array, flags: number): void {
    if (payload.length <= GOOD_COPY_LEN && this.#merge(payload, flags)) return;
    this.#items.push({ payload, read: 0, flags, room: undefined });
  }

  /** Flags of the first payload. */
  flags(): number {
    return this.#items[this.#head]?.flags ?? 0;
  }

  /**
   * Takes up to `max` bytes of the first payload, without copying.
   * `finished` is the size of that payload when this was the last of it, otherwise 0.
   */
  take(max: number): { bytes: Uint8Array; finished: number; flags: number } | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    const bytes = item.payload.subarray(item.read, item.read + max);
    item.read += bytes.length;
    if (item.read < item.payload.length) return { bytes, finished: 0, flags: item.flags };
    this.#dropHead();
    return { bytes, finished: item.payload.length, flags: item.flags };
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  #merge(payload: Uint8Array, flags: number): boolean {
    const last = this.length > 0 ? this.#items[this.#items.length - 1] : undefined;
    if (last === undefined || last.flags !== 0 || flags !== 0) return false;
    const size = last.payload.length + payload.length;
    if (last.room === undefined) {
      if (last.payload.length > GOOD_COPY_LEN) return false;
      last.room = new Uint8Array(MERGE_BYTES);
      last.room.set(last.payload);
    }
    if (size > last.room.length) return false;
    last.room.set(payload, last.payload.length);
    last.payload = last.room.subarray(0, size);
    return true;
  }

  #dropHead(): void {
    this.#items[this.#head] = { payload: new Uint8Array(0), read: 0, flags: 0, room: undefined };
    this.#head++;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}
