/**
 * The page in which a host says which doorbells of a guest were rung: bit 0 of one byte for each index. Which doorbell has
 * which index is the guest's choice. Source: Linux drivers/misc/vmw_vmci/vmci_doorbell.c.
 */
import { VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES } from '../../abi/vmci.js';

const SIZE = VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES;
const RUNG = 1;

export class NotifyBitmap<T> {
  readonly page = new Uint8Array(SIZE);
  readonly #byIndex = new Map<number, T[]>();
  /** Indexes below it are looked at. */
  #max = 0;
  #count = 0;
  #lastReserved = 0;
  /** SIZE when none is to be used again. */
  #lastReleased = SIZE;

  /** Gives an index to a doorbell. When all are taken they are shared, in turn. */
  add(doorbell: T): number {
    const index = this.#choose();
    this.#lastReserved = index;
    this.#count++;
    const sharing = this.#byIndex.get(index) ?? [];
    this.#byIndex.set(index, sharing);
    sharing.push(doorbell);
    return index;
  }

  remove(doorbell: T, index: number): void {
    const sharing = this.#byIndex.get(index) ?? [];
    const place = sharing.indexOf(doorbell);
    if (place < 0) return;
    sharing.splice(place, 1);
    if (sharing.length === 0) this.#byIndex.delete(index);
    this.#count--;
    if (index === this.#max - 1) {
      while (this.#max > 0 && !this.#byIndex.has(this.#max - 1)) this.#max--;
    }
    this.#lastReleased = index;
  }

  /** Those that were rung since the last call. */
  take(): T[] {
    const rung: T[] = [];
    for (let index = 0; index < this.#max; index++) {
      const byte = this.page[index] ?? 0;
      if ((byte & RUNG) === 0) continue;
      this.page[index] = byte & ~RUNG;
      rung.push(...(this.#byIndex.get(index) ?? []));
    }
    return rung;
  }

  #choose(): number {
    if (this.#max >= SIZE && this.#count >= SIZE) return (this.#lastReserved + 1) % SIZE;
    const released = this.#lastReleased;
    if (released < this.#max && !this.#byIndex.has(released)) {
      this.#lastReleased = SIZE;
      return released;
    }
    const hole = this.#count + 1 < this.#max ? this.#hole() : undefined;
    if (hole !== undefined) return hole;
    return this.#max < SIZE ? this.#max++ : (this.#lastReserved + 1) % SIZE;
  }

  /** An unused one from the last reserved on, in a circle. */
  #hole(): number | undefined {
    for (let step = 0; step < this.#max; step++) {
      const index = (this.#lastReserved + step) % this.#max;
      if (!this.#byIndex.has(index)) return index;
    }
    return undefined;
  }
}
