/**
 * Events from the host to the guest, and the interrupt that tells of them. An event stays until the guest acknowledges
 * it, and only those that pass the guest's filter raise the interrupt.
 */
import { VMMDEV_EVENT } from '../../../abi/vmmdev.js';

const { VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST, VMMDEV_EVENT_HGCM } = VMMDEV_EVENT;

export class Events {
  readonly #setInterrupt: (raised: boolean) => void;
  /** The guest has reported itself; until then there are no interrupts. */
  ready = false;
  #pending = 0;
  #filter = 0;
  /** What the filter becomes with the next acknowledge. */
  #nextFilter: number | undefined;
  #haveEvents = false;

  constructor(setInterrupt: (raised: boolean) => void) {
    this.#setInterrupt = setInterrupt;
  }

  /** Raised and not acknowledged, whatever the filter. */
  get pending(): number {
    return this.#pending;
  }

  get filter(): number {
    return this.#filter;
  }

  /** What VMMDevMemory shows. */
  get haveEvents(): boolean {
    return this.#haveEvents;
  }

  raise(mask: number): void {
    const waiting = this.#visible !== 0;
    this.#pending = (this.#pending | mask) >>> 0;
    // Whoever has not acknowledged yet will see the new ones then.
    if (this.ready && !waiting) this.#interrupt();
  }

  /** Gives the events that pass the filter, and takes them away. A filter that was put off counts from now on. */
  acknowledge(): number {
    this.#filter = this.#nextFilter ?? this.#filter;
    this.#nextFilter = undefined;
    const events = this.#visible;
    this.#pending = (this.#pending & ~this.#filter) >>> 0;
    this.#haveEvents = false;
    this.#setInterrupt(false);
    return events;
  }

  /** HGCM's event can't be taken out of the filter. While events wait the change is put off. */
  changeFilter(or: number, not: number): void {
    const change = (filter: number) => ((filter | or) & ~(not & ~VMMDEV_EVENT_HGCM)) >>> 0;
    if (this.#visible !== 0) {
      this.#nextFilter = change(this.#nextFilter ?? this.#filter);
      return;
    }
    this.#filter = change(this.#filter);
    this.#interrupt();
  }

  lowerInterrupt(): void {
    this.#setInterrupt(false);
  }

  /** Of the events only that of a display change outlives a reset. */
  reset(): void {
    this.ready = false;
    this.#pending &= VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST;
    this.#filter = 0;
    this.#nextFilter = undefined;
    this.#haveEvents = false;
    this.#setInterrupt(false);
  }

  get #visible(): number {
    return (this.#pending & this.#filter) >>> 0;
  }

  #interrupt(): void {
    if (this.#visible === 0) return;
    this.#haveEvents = true;
    this.#setInterrupt(true);
  }
}
