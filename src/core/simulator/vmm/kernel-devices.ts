/**
 * The devices of a VM that the kernel emulates, as VM_GET_KERNEMU_DEV and VM_SET_KERNEMU_DEV reach them: what is written is
 * read again, and some registers tell who they are. Follows FreeBSD's vlapic.c, vioapic.c and vhpet.c in
 * sys/amd64/vmm/io.
 */
import { SystemError } from '../../abi/errno.js';
import type { Vcpu } from './vcpu.js';

const PAGE = 4096n;
const LAPIC_BASE = 0xfee00000n;
const IOAPIC_BASE = 0xfec00000n;
const HPET_BASE = 0xfed00000n;

/** Pins of the I/O APIC. */
export const IOAPIC_PINS = 32;
const IOAPIC_SELECT = 0x00;
const IOAPIC_WINDOW = 0x10;
const IOAPIC_VERSION = 0x01;
const IOAPIC_FIRST_PIN = 0x10;
const PIN_MASKED = 0x10000;

/** HPET_CAPABILITIES, its lower half: vendor 0x8086, 8 timers of 32 bits, revision 1. */
export const HPET_CAPABILITIES = 0x80860701;
/** The upper half: the time of a tick at 2^24 Hz, femtoseconds. */
const HPET_PERIOD = 1_000_000_000_000_000n / 16_777_216n;

export class KernelDevices {
  #select = 0;
  readonly #ioapic = new Map<number, number>();
  /** Registers of 8 bytes. */
  readonly #hpet = new Map<number, bigint>();

  /** Reads `width` bytes. @throws SystemError EINVAL where no device is, or with a width or place that it does not take. */
  read(vcpu: Vcpu, gpa: bigint, width: number): bigint {
    const { device, offset } = place(gpa, width);
    if (device === 'lapic') return BigInt(vcpu.lapic.read(offset) >>> 0);
    if (device === 'ioapic') return BigInt(this.#readIoapic(offset) >>> 0);
    const register = this.#hpet.get(offset & ~7) ?? 0n;
    const whole = offset < 8 ? (HPET_PERIOD << 32n) | BigInt(HPET_CAPABILITIES) : register;
    return BigInt.asUintN(width * 8, whole >> BigInt((offset & 7) * 8));
  }

  /** Writes `width` bytes. @throws SystemError EINVAL as `read`. */
  write(vcpu: Vcpu, gpa: bigint, width: number, value: bigint): void {
    const { device, offset } = place(gpa, width);
    const low = Number(BigInt.asUintN(32, value));
    if (device === 'lapic') vcpu.lapic.write(offset, low);
    else if (device === 'ioapic') this.#writeIoapic(offset, low);
    else this.#writeHpet(offset, width, value);
  }

  #readIoapic(offset: number): number {
    if (offset === IOAPIC_SELECT) return this.#select;
    if (offset !== IOAPIC_WINDOW) return 0;
    if (this.#select === IOAPIC_VERSION) return ((IOAPIC_PINS - 1) << 16) | 0x11;
    return this.#ioapic.get(this.#select) ?? this.#resetValue();
  }

  #resetValue(): number {
    const pin = this.#select - IOAPIC_FIRST_PIN;
    return pin >= 0 && pin < IOAPIC_PINS * 2 && pin % 2 === 0 ? PIN_MASKED : 0;
  }

  #writeIoapic(offset: number, value: number): void {
    if (offset === IOAPIC_SELECT) this.#select = value & 0xff;
    else if (offset === IOAPIC_WINDOW && this.#select !== IOAPIC_VERSION) {
      this.#ioapic.set(this.#select, value);
    }
  }

  #writeHpet(offset: number, width: number, value: bigint): void {
    const register = offset & ~7;
    const shift = BigInt((offset & 7) * 8);
    const mask = (2n ** BigInt(width * 8) - 1n) << shift;
    const old = this.#hpet.get(register) ?? 0n;
    this.#hpet.set(register, (old & ~mask) | ((value << shift) & mask));
  }
}

const DEVICES = [
  { device: 'lapic', base: LAPIC_BASE, widths: [4], align: 16 },
  { device: 'ioapic', base: IOAPIC_BASE, widths: [4], align: 16 },
  { device: 'hpet', base: HPET_BASE, widths: [4, 8], align: 4 },
] as const;

/** Which device is at an address, and where in it. @throws SystemError EINVAL */
function place(gpa: bigint, width: number) {
  const found = DEVICES.find(({ base }) => gpa >= base && gpa < base + PAGE);
  const offset = Number(gpa - (found?.base ?? 0n));
  const fits = found?.widths.some(
    (each) => each === width && offset % Math.max(found.align, each) === 0,
  );
  if (found !== undefined && fits) return { device: found.device, offset };
  throw new SystemError('EINVAL', { message: 'no device of the kernel has such a register there' });
}
