/**
 * The local APIC of a vCPU, as far as the host's ioctls reach it: which interrupts wait, and the registers of its page.
 * Numbers of registers are those of Intel's Software Developer's Manual, volume 3; what an interrupt needs to get through
 * follows FreeBSD's sys/amd64/vmm/io/vlapic.c.
 */

/** Offsets of registers in the page. */
const ID = 0x20;
const VERSION = 0x30;
const SVR = 0xf0;
const SVR_ENABLE = 0x100;
const SVR_RESET = 0xff;
/** Version 0x10 with 7 local vectors. */
const VERSION_VALUE = 0x00060010;
/** By APIC_LVT_*: LINT0, LINT1, TIMER, ERROR, PMC, THERMAL, CMCI. Source: sys/x86/include/apicvar.h. */
const LVT_OFFSETS = [0x350, 0x360, 0x320, 0x370, 0x340, 0x330, 0x2f0];
export const LVT_COUNT = LVT_OFFSETS.length;
const LVT_MASKED = 0x10000;
const DELIVERY_MODE = 0x700;
const DELIVERY_FIXED = 0x000;
const DELIVERY_NMI = 0x400;
const DELIVERY_EXTINT = 0x700;
/** Vectors below it are the processor's own. */
const FIRST_VECTOR = 16;

export class Lapic {
  readonly #id: number;
  /** Registers that were written, by offset. */
  readonly #registers = new Map<number, number>();
  /** Vectors that wait. */
  readonly #waiting = new Set<number>();
  #external = false;

  constructor(vcpuid: number) {
    this.#id = vcpuid;
  }

  /** Whether software has enabled it; until then interrupts are ignored. */
  get enabled(): boolean {
    return (this.read(SVR) & SVR_ENABLE) !== 0;
  }

  /** What an operating system does early. */
  enable(): void {
    this.#registers.set(SVR, SVR_RESET | SVR_ENABLE);
  }

  /** Whether an interrupt waits to be taken. */
  get pending(): boolean {
    return this.#external || this.#waiting.size > 0;
  }

  /** An interrupt. @returns whether it waits now. */
  raise(vector: number): boolean {
    if (!this.enabled || vector < FIRST_VECTOR) return false;
    this.#waiting.add(vector);
    return true;
  }

  /** The vCPU takes what has the highest priority. */
  take(): void {
    if (this.#waiting.size === 0) this.#external = false;
    else this.#waiting.delete(Math.max(...this.#waiting));
  }

  /** A local interrupt, by its place in the table. @returns what it makes of itself. */
  trigger(lvt: number): 'ignored' | 'interrupt' | 'nmi' {
    const entry = this.read(LVT_OFFSETS[lvt] ?? 0);
    if (!this.enabled || (entry & LVT_MASKED) !== 0) return 'ignored';
    const mode = entry & DELIVERY_MODE;
    if (mode === DELIVERY_NMI) return 'nmi';
    if (mode === DELIVERY_EXTINT) {
      this.#external = true;
      return 'interrupt';
    }
    if (mode !== DELIVERY_FIXED) return 'ignored';
    return this.raise(entry & 0xff) ? 'interrupt' : 'ignored';
  }

  /** A register of its page. */
  read(offset: number): number {
    if (offset === ID) return this.#id << 24;
    if (offset === VERSION) return VERSION_VALUE;
    const reset = LVT_OFFSETS.includes(offset) ? LVT_MASKED : 0;
    return this.#registers.get(offset) ?? (offset === SVR ? SVR_RESET : reset);
  }

  write(offset: number, value: number): void {
    if (offset !== ID && offset !== VERSION) this.#registers.set(offset, value);
  }
}
