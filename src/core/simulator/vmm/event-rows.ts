/**
 * Ioctls that have something happen to a vCPU: exceptions, interrupts, an NMI. Follows FreeBSD's sys/amd64/vmm/vmm.c,
 * vmm_lapic.c, and vlapic.c, vioapic.c and vatpic.c in sys/amd64/vmm/io. No guest has programmed the I/O APIC and the
 * 8259s, whose pins are masked then: their interrupts are checked, and end there.
 */
import { SystemError } from '../../abi/errno.js';
import { VMM_IOCTLS } from '../../abi/vmm.js';
import {
  VM_INTINFO_DEL_ERRCODE,
  VM_INTINFO_HWEXCEPTION,
  VM_INTINFO_NMI,
  VM_INTINFO_RSVD,
  VM_INTINFO_TYPE,
  VM_INTINFO_VALID,
  vm_intr_trigger,
} from '../../abi/vmm-machine.js';
import { type Row, type RowFlag, row } from './dispatch.js';
import { IOAPIC_PINS } from './kernel-devices.js';
import { LVT_COUNT } from './lapic.js';
import { wake } from './run.js';
import type { Vcpu } from './vcpu.js';
import { type Vm, vcpuOf } from './vm.js';
import type { VmFile, VmHost } from './vm-file.js';

const IDT_NMI = 2;
const IDT_DF = 8;
/** Vectors of exceptions are below it. */
const EXCEPTIONS = 32n;
const MIN_IRQ = 16;
const MAX_VECTOR = 255;
/** Messages go to this megabyte. */
const MSI_BASE = 0xfee00000n;
const MSI_MASK = ~0xfffffn;
/** The destination that means all. */
const MSI_ALL = 0xff;
const MSI_DELIVERY_MODE = 0x700n;
const MSI_NMI = 0x400n;
const ISA_PINS = 16;
/** These are always triggered by an edge. */
const EDGE_ONLY: ReadonlySet<number> = new Set([0, 1, 2, 8, 13]);
const ALL = -1;

export const EVENT_ROWS: readonly Row<VmFile>[] = [
  row(VMM_IOCTLS.VM_GET_INTINFO, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, { vcpuid }) => {
    const { exitIntinfo, exception } = vcpuOf(vm, vcpuid);
    return { info1: exitIntinfo, info2: exceptionInfo(exception) };
  }),
  row(VMM_IOCTLS.VM_SET_INTINFO, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, { vcpuid, info1 }) => {
    vcpuOf(vm, vcpuid).exitIntinfo = checkedIntinfo(info1);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_INJECT_EXCEPTION, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, argument) => {
    const { cpuid, vector, error_code, error_code_valid, restart_instruction } = argument;
    const vcpu = vcpuOf(vm, cpuid);
    injectException(vcpu, vector, error_code_valid === 0 ? undefined : error_code);
    if (restart_instruction !== 0) vcpu.restartInstruction();
    return undefined;
  }),
  row(VMM_IOCTLS.VM_RESTART_INSTRUCTION, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, vcpuid) => {
    vcpuOf(vm, vcpuid).restartInstruction();
    return undefined;
  }),

  row(
    VMM_IOCTLS.VM_LAPIC_LOCAL_IRQ,
    ['MAYBE_ALLOC_VCPU'],
    ({ host, vm }: VmFile, { cpuid, vector }) => {
      const targets = cpuid === ALL ? [...vm.activeCpus] : [cpuid];
      for (const id of targets) triggerLocal(host, vm, vcpuOf(vm, id), vector);
      return undefined;
    },
  ),
  row(VMM_IOCTLS.VM_LAPIC_MSI, [], ({ host, vm }: VmFile, { msg, addr }) => {
    if ((addr & MSI_MASK) !== MSI_BASE) throw invalid('messages go to 0xfee00000');
    const destination = Number((addr >> 12n) & 0xffn);
    const vector = Number(msg & 0xffn);
    for (const id of vm.activeCpus) {
      if (destination !== MSI_ALL && destination !== id) continue;
      const vcpu = vcpuOf(vm, id);
      if ((msg & MSI_DELIVERY_MODE) === MSI_NMI) vcpu.nmiPending = true;
      else vcpu.lapic.raise(vector);
      wake(host, vm, vcpu);
    }
    return undefined;
  }),
  ...pinRows(),
  ...isaRows(),
  row(VMM_IOCTLS.VM_IOAPIC_PINCOUNT, [], () => IOAPIC_PINS),
];

/** Those that lock the vCPU since FreeBSD 15, and only name it before. */
export function lockedEventRows(flag: RowFlag): Row<VmFile>[] {
  return [
    row(VMM_IOCTLS.VM_LAPIC_IRQ, [flag], ({ host, vm }: VmFile, { cpuid, vector }) => {
      if (vector < MIN_IRQ || vector > MAX_VECTOR) throw invalid(`no interrupt is ${vector}`);
      const vcpu = vcpuOf(vm, cpuid);
      if (vcpu.lapic.raise(vector)) wake(host, vm, vcpu);
      return undefined;
    }),
    row(VMM_IOCTLS.VM_INJECT_NMI, [flag], ({ host, vm }: VmFile, { cpuid }) => {
      const vcpu = vcpuOf(vm, cpuid);
      vcpu.nmiPending = true;
      wake(host, vm, vcpu);
      return undefined;
    }),
  ];
}

function triggerLocal(host: VmHost, vm: Vm, vcpu: Vcpu, lvt: number): void {
  if (!vcpu.lapic.enabled) return;
  if (lvt < 0 || lvt >= LVT_COUNT) throw invalid(`no local interrupt has the number ${lvt}`);
  const outcome = vcpu.lapic.trigger(lvt);
  if (outcome === 'ignored') return;
  vcpu.stats.add('LVTS_TRIGGERED', 1, lvt);
  if (outcome === 'nmi') vcpu.nmiPending = true;
  wake(host, vm, vcpu);
}

function pinRows(): Row<VmFile>[] {
  const { VM_IOAPIC_ASSERT_IRQ, VM_IOAPIC_DEASSERT_IRQ, VM_IOAPIC_PULSE_IRQ } = VMM_IOCTLS;
  return [VM_IOAPIC_ASSERT_IRQ, VM_IOAPIC_DEASSERT_IRQ, VM_IOAPIC_PULSE_IRQ].map((ioctl) => {
    return row(ioctl, [], (_: VmFile, { irq }) => {
      checkPin(irq);
      return undefined;
    });
  });
}

function isaRows(): Row<VmFile>[] {
  const { VM_ISA_ASSERT_IRQ, VM_ISA_DEASSERT_IRQ, VM_ISA_PULSE_IRQ } = VMM_IOCTLS;
  const lines = [VM_ISA_ASSERT_IRQ, VM_ISA_DEASSERT_IRQ, VM_ISA_PULSE_IRQ].map((ioctl) => {
    return row(ioctl, [], (_: VmFile, { atpic_irq, ioapic_irq }) => {
      checkIsa(atpic_irq);
      if (ioapic_irq !== -1) checkPin(ioapic_irq);
      return undefined;
    });
  });
  const trigger = row(VMM_IOCTLS.VM_ISA_SET_IRQ_TRIGGER, [], (_: VmFile, argument) => {
    checkIsa(argument.atpic_irq);
    const level = argument.trigger === vm_intr_trigger.LEVEL_TRIGGER;
    if (level && EDGE_ONLY.has(argument.atpic_irq)) {
      throw invalid(`interrupt ${argument.atpic_irq} is triggered by an edge`);
    }
    return undefined;
  });
  return [...lines, trigger];
}

function checkPin(irq: number): void {
  if (irq < 0 || irq >= IOAPIC_PINS) throw invalid(`the I/O APIC has no pin ${irq}`);
}

function checkIsa(irq: number): void {
  if (irq < 0 || irq >= ISA_PINS) throw invalid(`the ISA bus has no interrupt ${irq}`);
}

/** @throws SystemError EINVAL for what is no exception, or a double fault; EBUSY when one waits already. */
export function injectException(vcpu: Vcpu, vector: number, errorCode: number | undefined): void {
  if (vector < 0 || vector >= Number(EXCEPTIONS) || vector === IDT_DF) {
    throw invalid(`exception ${vector} can't be injected`);
  }
  if (vcpu.exception !== undefined) {
    throw new SystemError('EBUSY', { message: 'an exception waits already' });
  }
  vcpu.exception = { vector, errorCode };
}

function exceptionInfo(exception: Vcpu['exception']): bigint {
  if (exception === undefined) return 0n;
  const { vector, errorCode } = exception;
  const info = BigInt(VM_INTINFO_VALID) | BigInt(VM_INTINFO_HWEXCEPTION) | BigInt(vector);
  if (errorCode === undefined) return info;
  return info | BigInt(VM_INTINFO_DEL_ERRCODE) | (BigInt(errorCode) << 32n);
}

/** What is not valid is no event. */
function checkedIntinfo(info: bigint): bigint {
  if ((info & BigInt(VM_INTINFO_VALID)) === 0n) return 0n;
  const type = Number(info & BigInt(VM_INTINFO_TYPE));
  const vector = info & 0xffn;
  const wrong =
    (type === VM_INTINFO_NMI && vector !== BigInt(IDT_NMI)) ||
    (type === VM_INTINFO_HWEXCEPTION && vector >= EXCEPTIONS) ||
    (info & BigInt(VM_INTINFO_RSVD)) !== 0n;
  if (wrong) throw invalid('no event is like that');
  return info;
}

function invalid(message: string): SystemError {
  return new SystemError('EINVAL', { message });
}
