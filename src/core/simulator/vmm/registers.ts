/** The registers and segment descriptors of a vCPU, by the numbers of vm_reg_name. */
import { vm_reg_name } from '../../abi/vmm-machine.js';

/** struct seg_desc. */
export interface SegmentDescriptor {
  readonly base: bigint;
  readonly limit: number;
  readonly access: number;
}

/** The bit of RFLAGS that is always set. */
const RFLAGS_RESERVED = 2n;

const DESCRIBED: ReadonlySet<number> = new Set([
  vm_reg_name.VM_REG_GUEST_ES,
  vm_reg_name.VM_REG_GUEST_CS,
  vm_reg_name.VM_REG_GUEST_SS,
  vm_reg_name.VM_REG_GUEST_DS,
  vm_reg_name.VM_REG_GUEST_FS,
  vm_reg_name.VM_REG_GUEST_GS,
  vm_reg_name.VM_REG_GUEST_TR,
  vm_reg_name.VM_REG_GUEST_LDTR,
  vm_reg_name.VM_REG_GUEST_IDTR,
  vm_reg_name.VM_REG_GUEST_GDTR,
]);

/** Whether a register has a segment descriptor. */
export function isDescribed(register: number): boolean {
  return DESCRIBED.has(register);
}

export class Registers {
  readonly #values = new BigUint64Array(vm_reg_name.VM_REG_LAST);
  readonly #descriptors = new Map<number, SegmentDescriptor>();

  constructor() {
    this.set(vm_reg_name.VM_REG_GUEST_RFLAGS, RFLAGS_RESERVED);
  }

  /** 0 for a number that is none. */
  get(register: number): bigint {
    return this.#values[register] ?? 0n;
  }

  /** The value is cut to 64 bits. */
  set(register: number, value: bigint): void {
    this.#values[register] = value;
  }

  descriptor(register: number): SegmentDescriptor | undefined {
    return this.#descriptors.get(register);
  }

  setDescriptor(register: number, { base, limit, access }: SegmentDescriptor): void {
    this.#descriptors.set(register, { base, limit, access });
  }
}
