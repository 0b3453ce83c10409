/**
 * What the exits of a simulated vCPU carry: the union of struct vm_exit, by kind. What an exit tells of the processor is
 * taken from the vCPU's registers. Layouts are in abi/vmm-exit.ts.
 */
import {
  seg_desc,
  vm_exit,
  vm_exit_u_inst_emul,
  vm_inout,
  vm_inout_str,
  vm_task_switch,
} from '../../abi/vmm-exit.js';
import { vm_cpu_mode, vm_paging_mode, vm_reg_name } from '../../abi/vmm-machine.js';
import type { Registers } from './registers.js';

/** An exit, as it is before it is copied to whoever called VM_RUN. */
export interface Exit {
  /** One of vm_exitcode. */
  readonly code: number;
  /** Bytes of the instruction; 0 when the vCPU does not go past it. */
  readonly length: number;
  readonly rip: bigint;
  /** The union, from its beginning; what is missing are zeros. To be copied before the vCPU goes on. */
  readonly u: Uint8Array;
  /** The targets of VM_EXITCODE_IPI, sizeof(cpuset_t) bytes; empty otherwise. */
  readonly cpus: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** An exit that carries nothing. */
export function plainExit(code: number, rip: bigint, length = 0): Exit {
  return { code, length, rip, u: NOTHING, cpus: NOTHING };
}

/** Writes the bytes of struct vm_exit. */
export function writeExit({ code, length, rip, u }: Exit, target: DataView): void {
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  bytes.fill(0);
  target.setInt32(0, code, true);
  target.setInt32(4, length, true);
  target.setBigUint64(8, rip, true);
  bytes.set(u, UNION_AT);
}

const UNION_AT = vm_exit.offset('u');

const CR0_PE = 1n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LMA = 1n << 10n;

const { VM_REG_GUEST_RAX, VM_REG_GUEST_RCX, VM_REG_GUEST_RSI, VM_REG_GUEST_RDI } = vm_reg_name;

/** struct vm_guest_paging: the modes that the control registers ask for. */
export function guestPaging(registers: Registers) {
  const cr0 = registers.get(vm_reg_name.VM_REG_GUEST_CR0);
  const long = (registers.get(vm_reg_name.VM_REG_GUEST_EFER) & EFER_LMA) !== 0n;
  const pae = (registers.get(vm_reg_name.VM_REG_GUEST_CR4) & CR4_PAE) !== 0n;
  return {
    cr3: registers.get(vm_reg_name.VM_REG_GUEST_CR3),
    cpl: 0,
    cpu_mode: cpuMode((cr0 & CR0_PE) !== 0n, long),
    paging_mode: (cr0 & CR0_PG) === 0n ? vm_paging_mode.PAGING_MODE_FLAT : pagingMode(pae, long),
  };
}

function cpuMode(protectedMode: boolean, long: boolean): number {
  if (!protectedMode) return vm_cpu_mode.CPU_MODE_REAL;
  return long ? vm_cpu_mode.CPU_MODE_64BIT : vm_cpu_mode.CPU_MODE_PROTECTED;
}

function pagingMode(pae: boolean, long: boolean): number {
  if (!pae) return vm_paging_mode.PAGING_MODE_32;
  return long ? vm_paging_mode.PAGING_MODE_64 : vm_paging_mode.PAGING_MODE_PAE;
}

/** Bytes of an address, by the mode of the processor. */
function addressSize(cpuMode: number): number {
  if (cpuMode === vm_cpu_mode.CPU_MODE_REAL) return 2;
  return cpuMode === vm_cpu_mode.CPU_MODE_64BIT ? 8 : 4;
}

export interface PortAccess {
  readonly port: number;
  /** 1, 2 or 4. */
  readonly bytes: number;
  readonly in: boolean;
}

/** The bit-fields of struct vm_inout, as vm_inout_bits has them. */
function accessBits(access: PortAccess, string: boolean, rep: boolean): number {
  return access.bytes | (access.in ? 8 : 0) | (string ? 16 : 0) | (rep ? 32 : 0);
}

/** The part of a register that an access of some bytes moves. */
export function lowBytes(value: bigint, bytes: number): bigint {
  return BigInt.asUintN(bytes * 8, value);
}

/**
 * VM_EXITCODE_INOUT: `eax` is what is written, or what a read finds in the register. The bytes are the same ones at each call,
 * since this is the exit that guests make most.
 */
export function inoutExit(access: PortAccess): (registers: Registers) => Uint8Array {
  const bytes = vm_inout.encode({ access: accessBits(access, false, false), port: access.port });
  const view = new DataView(bytes.buffer);
  const eaxBytes = access.in ? 4 : access.bytes;
  return (registers) => {
    const eax = lowBytes(registers.get(VM_REG_GUEST_RAX), eaxBytes);
    view.setUint32(EAX_AT, Number(eax), true);
    return bytes;
  };
}

const EAX_AT = vm_inout.offset('eax');

/** VM_EXITCODE_INOUT_STR, of a repeated instruction when there is a count. */
export function inoutStringExit(
  access: PortAccess,
  count: bigint | undefined,
  registers: Registers,
): Uint8Array {
  const paging = guestPaging(registers);
  const segment = access.in ? vm_reg_name.VM_REG_GUEST_ES : vm_reg_name.VM_REG_GUEST_DS;
  if (count !== undefined) registers.set(VM_REG_GUEST_RCX, count);
  return vm_inout_str.encode({
    inout: {
      access: accessBits(access, true, count !== undefined),
      port: access.port,
      eax: Number(lowBytes(registers.get(VM_REG_GUEST_RAX), 4)),
    },
    paging,
    rflags: registers.get(vm_reg_name.VM_REG_GUEST_RFLAGS),
    cr0: registers.get(vm_reg_name.VM_REG_GUEST_CR0),
    index: registers.get(access.in ? VM_REG_GUEST_RDI : VM_REG_GUEST_RSI),
    count: count ?? 1n,
    addrsize: addressSize(paging.cpu_mode),
    seg_name: segment,
    seg_desc: registers.descriptor(segment) ?? seg_desc.zero(),
  });
}

export interface MemoryAccess {
  readonly gpa: bigint;
  /** 1, 2, 4 or 8. */
  readonly bytes: number;
  readonly write: boolean;
}

/** `mov` between memory at RDI and RAX, by its width: operand size or REX prefix, opcode to read and to write, ModRM. */
const MOV: Readonly<Record<number, readonly [prefix: number[], read: number, write: number]>> = {
  1: [[], 0x8a, 0x88],
  2: [[0x66], 0x8b, 0x89],
  4: [[], 0x8b, 0x89],
  8: [[0x48], 0x8b, 0x89],
};
const MODRM_RAX_AT_RDI = 0x07;

/** The instruction of an access to memory. */
export function movInstruction({ bytes, write }: MemoryAccess): Uint8Array {
  const [prefix, load, store] = MOV[bytes] ?? [[], 0, 0];
  return Uint8Array.of(...prefix, write ? store : load, MODRM_RAX_AT_RDI);
}

/** VM_EXITCODE_INST_EMUL: the bytes of the instruction, and its decoding left to the caller (`decoded` is 0). */
export function instEmulExit(access: MemoryAccess, registers: Registers): Uint8Array {
  const inst = movInstruction(access);
  registers.set(VM_REG_GUEST_RDI, access.gpa);
  const value = { ...vm_exit_u_inst_emul.zero(), gpa: access.gpa, gla: access.gpa };
  const { base } = registers.descriptor(vm_reg_name.VM_REG_GUEST_CS) ?? seg_desc.zero();
  const vie = { ...value.vie, inst, num_valid: inst.length };
  return vm_exit_u_inst_emul.encode({
    ...value,
    cs_base: base,
    paging: guestPaging(registers),
    vie,
  });
}

/** VM_EXITCODE_TASK_SWITCH. */
export function taskSwitchExit(tsssel: number, reason: number, registers: Registers): Uint8Array {
  return vm_task_switch.encode({ tsssel, reason, paging: guestPaging(registers) });
}
