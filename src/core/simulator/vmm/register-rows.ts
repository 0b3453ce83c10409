/**
 * Ioctls about the registers and capabilities of a vCPU. Follows vm_get_register() and its neighbours in FreeBSD's
 * sys/amd64/vmm/vmm.c, and what lies below them on Intel's processors, sys/amd64/vmm/intel/vmx.c.
 */
import { SystemError } from '../../abi/errno.js';
import { VMM_IOCTLS } from '../../abi/vmm.js';
import { vm_cap_type, vm_reg_name } from '../../abi/vmm-machine.js';
import type { UserMemory } from '../node.js';
import { type Row, row } from './dispatch.js';
import { isDescribed, type SegmentDescriptor } from './registers.js';
import type { Vcpu } from './vcpu.js';
import { vcpuOf } from './vm.js';
import type { VmFile } from './vm-file.js';

/** Encodings of fields of the VMCS have 15 bits. Source: Intel's Software Developer's Manual, volume 3, appendix B. */
const MAX_VMCS_FIELD = 0x7fff;
/** VMCS_IDENT: what makes an encoding the number of a register. */
const VMCS_IDENT = 0x80000000;

const {
  VM_CAP_HALT_EXIT,
  VM_CAP_MTRAP_EXIT,
  VM_CAP_PAUSE_EXIT,
  VM_CAP_UNRESTRICTED_GUEST,
  VM_CAP_ENABLE_INVPCID,
  VM_CAP_BPT_EXIT,
  VM_CAP_RDPID,
  VM_CAP_RDTSCP,
  VM_CAP_IPI_EXIT,
  VM_CAP_MASK_HWINTR,
} = vm_cap_type;

const SWITCHED = [
  VM_CAP_HALT_EXIT,
  VM_CAP_MTRAP_EXIT,
  VM_CAP_PAUSE_EXIT,
  VM_CAP_UNRESTRICTED_GUEST,
  VM_CAP_ENABLE_INVPCID,
  VM_CAP_BPT_EXIT,
  VM_CAP_IPI_EXIT,
];
/** What an Intel processor can tell, and what it lets be switched; VM_CAP_RFLAGS_TF is AMD's. */
const READABLE: ReadonlySet<number> = new Set([...SWITCHED, VM_CAP_RDPID, VM_CAP_RDTSCP]);
const WRITABLE: ReadonlySet<number> = new Set([...SWITCHED, VM_CAP_MASK_HWINTR]);

/** No segment has a selector there. */
const NO_SELECTOR: ReadonlySet<number> = new Set([
  vm_reg_name.VM_REG_GUEST_IDTR,
  vm_reg_name.VM_REG_GUEST_GDTR,
]);
/** These can only be read. */
const READ_ONLY: ReadonlySet<number> = new Set([
  vm_reg_name.VM_REG_GUEST_KGS_BASE,
  vm_reg_name.VM_REG_GUEST_TPR,
]);

export const REGISTER_ROWS: readonly Row<VmFile>[] = [
  row(VMM_IOCTLS.VM_GET_REGISTER, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, { cpuid, regnum }) => {
    return { regval: readRegister(vcpuOf(vm, cpuid), regnum) };
  }),
  row(
    VMM_IOCTLS.VM_SET_REGISTER,
    ['LOCK_ONE_VCPU'],
    ({ vm }: VmFile, { cpuid, regnum, regval }) => {
      writeRegister(vcpuOf(vm, cpuid), regnum, regval);
      return undefined;
    },
  ),
  row(
    VMM_IOCTLS.VM_GET_REGISTER_SET,
    ['LOCK_ONE_VCPU'],
    ({ vm }: VmFile, { cpuid, count, regnums, regvals }, memory) => {
      const vcpu = vcpuOf(vm, cpuid);
      const numbers = readNumbers(memory, regnums, count);
      const values = BigUint64Array.from(numbers, (number) => readRegister(vcpu, number));
      memory.write(regvals, new Uint8Array(values.buffer));
      return undefined;
    },
  ),
  row(
    VMM_IOCTLS.VM_SET_REGISTER_SET,
    ['LOCK_ONE_VCPU'],
    ({ vm }: VmFile, { cpuid, count, regnums, regvals }, memory) => {
      const vcpu = vcpuOf(vm, cpuid);
      const numbers = readNumbers(memory, regnums, count);
      const values = memory.read(regvals, count * 8);
      const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
      // Those before one that fails are set.
      for (const [i, number] of numbers.entries()) {
        writeRegister(vcpu, number, view.getBigUint64(i * 8, true));
      }
      return undefined;
    },
  ),
  row(
    VMM_IOCTLS.VM_GET_SEGMENT_DESCRIPTOR,
    ['LOCK_ONE_VCPU'],
    ({ vm }: VmFile, { cpuid, regnum }) => {
      checkDescribed(regnum);
      return { desc: vcpuOf(vm, cpuid).registers.descriptor(regnum) ?? NO_DESCRIPTOR };
    },
  ),
  row(
    VMM_IOCTLS.VM_SET_SEGMENT_DESCRIPTOR,
    ['LOCK_ONE_VCPU'],
    ({ vm }: VmFile, { cpuid, regnum, desc }) => {
      checkDescribed(regnum);
      vcpuOf(vm, cpuid).registers.setDescriptor(regnum, desc);
      return undefined;
    },
  ),

  row(VMM_IOCTLS.VM_GET_CAPABILITY, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, { cpuid, captype }) => {
    checkCapability(captype, READABLE);
    return { capval: vcpuOf(vm, cpuid).capabilities.has(captype) ? 1 : 0 };
  }),
  row(
    VMM_IOCTLS.VM_SET_CAPABILITY,
    ['LOCK_ONE_VCPU'],
    ({ vm }: VmFile, { cpuid, captype, capval }) => {
      checkCapability(captype, WRITABLE);
      const { capabilities } = vcpuOf(vm, cpuid);
      if (capval === 0) capabilities.delete(captype);
      else capabilities.add(captype);
      return undefined;
    },
  ),
];

const NO_DESCRIPTOR: SegmentDescriptor = { base: 0n, limit: 0, access: 0 };

/** A register; negative numbers are fields of the VMCS, of which nothing is known here, so that they are zeros. */
function readRegister({ registers }: Vcpu, regnum: number): bigint {
  if (regnum < 0) {
    const field = (regnum >>> 0) - VMCS_IDENT;
    if (field <= MAX_VMCS_FIELD) return 0n;
  } else if (regnum < vm_reg_name.VM_REG_LAST && !NO_SELECTOR.has(regnum)) {
    return registers.get(regnum);
  }
  throw noRegister(regnum);
}

function writeRegister(vcpu: Vcpu, regnum: number, value: bigint): void {
  const known = regnum >= 0 && regnum < vm_reg_name.VM_REG_LAST;
  if (!known || NO_SELECTOR.has(regnum) || READ_ONLY.has(regnum)) throw noRegister(regnum);
  // A vCPU can't be forced to hold interrupts back for an instruction.
  if (regnum === vm_reg_name.VM_REG_GUEST_INTR_SHADOW && value !== 0n) throw noRegister(regnum);
  vcpu.setRegister(regnum, value);
}

function readNumbers(memory: UserMemory, address: bigint, count: number): Int32Array {
  if (count > vm_reg_name.VM_REG_LAST) {
    throw invalid(`there are ${vm_reg_name.VM_REG_LAST} registers, not ${count}`);
  }
  // A copy of its own, which begins where an array of numbers may.
  const bytes = new Uint8Array(memory.read(address, count * 4));
  return new Int32Array(bytes.buffer);
}

function checkDescribed(regnum: number): void {
  if (!isDescribed(regnum)) throw invalid(`register ${regnum} has no segment descriptor`);
}

function checkCapability(type: number, available: ReadonlySet<number>): void {
  if (type >= vm_cap_type.VM_CAP_MAX) throw invalid(`no capability has the number ${type}`);
  if (!available.has(type)) {
    throw new SystemError('ENOENT', { message: `the processor lacks capability ${type}` });
  }
}

function noRegister(regnum: number): SystemError {
  return invalid(`no register has the number ${regnum}, or it does not take the value`);
}

function invalid(message: string): SystemError {
  return new SystemError('EINVAL', { message });
}
