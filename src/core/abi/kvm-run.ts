/**
 * struct kvm_run, by which a vCPU of KVM tells why it has stopped. Mirrors Linux include/uapi/linux/kvm.h. What an exit
 * has of its own stands in a union; each of its arms is a layout here, `kvm_run_io` of `kvm_run.io`.
 */
import { array, bytes, struct, u8, u16, u32, u64 } from './layout.js';

/** Bytes of the union of the exits. */
export const KVM_RUN_UNION = 256;

/** As far as the end of its union. The registers that can be shared follow, which we don't use. */
export const kvm_run = struct('kvm_run', {
  /** In. */
  request_interrupt_window: u8,
  /** In: not zero makes KVM_RUN finish what is left of the last exit and answer EINTR, without running the guest. */
  immediate_exit: u8,
  padding1: bytes(6),
  exit_reason: u32,
  ready_for_interrupt_injection: u8,
  if_flag: u8,
  flags: u16,
  cr8: u64,
  apic_base: u64,
  padding: bytes(KVM_RUN_UNION),
});
/** Where the union stands. */
export const KVM_RUN_EXIT = kvm_run.offset('padding');
export const KVM_RUN_IMMEDIATE_EXIT = kvm_run.offset('immediate_exit');

export const KVM_EXIT = {
  KVM_EXIT_UNKNOWN: 0,
  KVM_EXIT_EXCEPTION: 1,
  KVM_EXIT_IO: 2,
  KVM_EXIT_HYPERCALL: 3,
  KVM_EXIT_DEBUG: 4,
  KVM_EXIT_HLT: 5,
  KVM_EXIT_MMIO: 6,
  KVM_EXIT_IRQ_WINDOW_OPEN: 7,
  KVM_EXIT_SHUTDOWN: 8,
  KVM_EXIT_FAIL_ENTRY: 9,
  KVM_EXIT_INTR: 10,
  KVM_EXIT_SET_TPR: 11,
  KVM_EXIT_TPR_ACCESS: 12,
  KVM_EXIT_S390_SIEIC: 13,
  KVM_EXIT_S390_RESET: 14,
  KVM_EXIT_DCR: 15,
  KVM_EXIT_NMI: 16,
  KVM_EXIT_INTERNAL_ERROR: 17,
  KVM_EXIT_OSI: 18,
  KVM_EXIT_PAPR_HCALL: 19,
  KVM_EXIT_S390_UCONTROL: 20,
  KVM_EXIT_WATCHDOG: 21,
  KVM_EXIT_S390_TSCH: 22,
  KVM_EXIT_EPR: 23,
  KVM_EXIT_SYSTEM_EVENT: 24,
  KVM_EXIT_S390_STSI: 25,
  KVM_EXIT_IOAPIC_EOI: 26,
  KVM_EXIT_HYPERV: 27,
  KVM_EXIT_ARM_NISV: 28,
  KVM_EXIT_X86_RDMSR: 29,
  KVM_EXIT_X86_WRMSR: 30,
  KVM_EXIT_DIRTY_RING_FULL: 31,
  KVM_EXIT_AP_RESET_HOLD: 32,
  KVM_EXIT_X86_BUS_LOCK: 33,
  KVM_EXIT_XEN: 34,
  KVM_EXIT_RISCV_SBI: 35,
  KVM_EXIT_RISCV_CSR: 36,
  KVM_EXIT_NOTIFY: 37,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(KVM_EXIT).map(([name, number]) => [number, name]),
);

/** The header's name of an exit's reason, or the number in decimal where this header has none. */
export function kvmExitName(reason: number): string {
  return NAMES.get(reason) ?? String(reason);
}

export const KVM_EXIT_IO_IN = 0;
export const KVM_EXIT_IO_OUT = 1;

/** KVM_EXIT_IO. `count` items of `size` bytes each stand at `data_offset`, counted from the beginning of kvm_run. */
export const kvm_run_io = struct('kvm_run.io', {
  direction: u8,
  size: u8,
  port: u16,
  count: u32,
  data_offset: u64,
});

/** KVM_EXIT_MMIO. The first `len` bytes of `data` count. */
export const kvm_run_mmio = struct('kvm_run.mmio', {
  phys_addr: u64,
  data: bytes(8),
  len: u32,
  is_write: u8,
});

/** KVM_EXIT_UNKNOWN. */
export const kvm_run_hw = struct('kvm_run.hw', { hardware_exit_reason: u64 });
/** KVM_EXIT_FAIL_ENTRY. */
export const kvm_run_fail_entry = struct('kvm_run.fail_entry', {
  hardware_entry_failure_reason: u64,
  cpu: u32,
});
/** KVM_EXIT_EXCEPTION. */
export const kvm_run_ex = struct('kvm_run.ex', { exception: u32, error_code: u32 });
/** KVM_EXIT_HYPERCALL. */
export const kvm_run_hypercall = struct('kvm_run.hypercall', {
  nr: u64,
  args: array(u64, 6),
  ret: u64,
  longmode: u32,
  pad: u32,
});
/** KVM_EXIT_TPR_ACCESS. */
export const kvm_run_tpr_access = struct('kvm_run.tpr_access', {
  rip: u64,
  is_write: u32,
  pad: u32,
});
/** KVM_EXIT_INTERNAL_ERROR: the first `ndata` of `data` count. */
export const kvm_run_internal = struct('kvm_run.internal', {
  suberror: u32,
  ndata: u32,
  data: array(u64, 16),
});
/** KVM_EXIT_SYSTEM_EVENT: the first `ndata` of `data` count. */
export const kvm_run_system_event = struct('kvm_run.system_event', {
  type: u32,
  ndata: u32,
  data: array(u64, 16),
});
/** KVM_EXIT_IOAPIC_EOI. */
export const kvm_run_eoi = struct('kvm_run.eoi', { vector: u8 });
/** KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR. */
export const kvm_run_msr = struct('kvm_run.msr', {
  error: u8,
  pad: bytes(7),
  reason: u32,
  index: u32,
  data: u64,
});
/** KVM_EXIT_NOTIFY. */
export const kvm_run_notify = struct('kvm_run.notify', { flags: u32 });

export const KVM_INTERNAL_ERROR = {
  KVM_INTERNAL_ERROR_EMULATION: 1,
  KVM_INTERNAL_ERROR_SIMUL_EX: 2,
  KVM_INTERNAL_ERROR_DELIVERY_EV: 3,
  KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: 4,
} as const;

export const KVM_SYSTEM_EVENT = {
  KVM_SYSTEM_EVENT_SHUTDOWN: 1,
  KVM_SYSTEM_EVENT_RESET: 2,
  KVM_SYSTEM_EVENT_CRASH: 3,
  KVM_SYSTEM_EVENT_WAKEUP: 4,
  KVM_SYSTEM_EVENT_SUSPEND: 5,
  KVM_SYSTEM_EVENT_SEV_TERM: 6,
} as const;
