/**
 * The device of one VM of bhyve, /dev/vmm/NAME. Mirrors sys/dev/vmm/vmm_dev.h,
 * sys/dev/vmm/vmm_mem.h and sys/amd64/include/vmm_dev.h of FreeBSD 15; older forms that a kernel
 * still takes end in their release. The control device is in vmmctl.ts, exits are in vmm-exit.ts,
 * registers in vmm-machine.ts.
 */
import { ioctl } from './freebsd-ioctl.js';
import { array, bytes, i32, i64, pointer, struct, u8, u16, u32, u64 } from './layout.js';
import { seg_desc, vm_exit_13, vm_exit_grown, vm_guest_paging } from './vmm-exit.js';

/**
 * Memory segments by number: those below VM_BOOTROM are system memory, one for each NUMA domain.
 */
export const VM_SYSMEM = 0;
export const VM_MAXMEMDOM = 8;
export const VM_BOOTROM = 8;
export const VM_FRAMEBUFFER = 9;
export const VM_PCIROM = 10;
export const VM_MAX_MEMSEGS = 11;
export const VM_MAX_MEMMAPS = 22;

/** Until FreeBSD 14. */
export const VM_BOOTROM_14 = 1;
export const VM_FRAMEBUFFER_14 = 2;
export const VM_PCIROM_14 = 3;
export const VM_MAX_MEMSEGS_14 = 4;
export const VM_MAX_MEMMAPS_14 = 8;

/** Flags of vm_memmap. */
export const VM_MEMMAP_F_WIRED = 0x1;
export const VM_MEMMAP_F_IOMMU = 0x2;

/** What vm_memmap's `prot` permits. Source: sys/vm/vm.h. */
export const VM_PROT_READ = 0x1;
export const VM_PROT_WRITE = 0x2;
export const VM_PROT_EXECUTE = 0x4;
export const VM_PROT_ALL = VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXECUTE;

/** What VM_GET_CPUS is asked for. */
export const VM_ACTIVE_CPUS = 0;
export const VM_SUSPENDED_CPUS = 1;
export const VM_DEBUG_CPUS = 2;

/** Counters in one answer of VM_STATS. */
export const MAX_VM_STATS = 64;

/** Policies of vm_memseg's `ds_policy`. Source: sys/sys/domainset.h. */
export const DOMAINSET_POLICY_INVALID = 0;
export const DOMAINSET_POLICY_ROUNDROBIN = 1;
export const DOMAINSET_POLICY_FIRSTTOUCH = 2;
export const DOMAINSET_POLICY_PREFER = 3;
export const DOMAINSET_POLICY_INTERLEAVE = 4;

export const vm_memmap = struct('vm_memmap', {
  gpa: u64,
  segid: i32,
  segoff: i64,
  len: u64,
  prot: i32,
  flags: i32,
});

export const vm_munmap = struct('vm_munmap', { gpa: u64, len: u64 });

/** Until FreeBSD 12. */
export const vm_memseg_fbsd12 = struct('vm_memseg_fbsd12', {
  segid: i32,
  len: u64,
  name: bytes(64),
});

/** In FreeBSD 13 and 14. */
export const vm_memseg_14 = struct('vm_memseg_14', { segid: i32, len: u64, name: bytes(16) });

/** `len` in bytes. A segment with a name is a device's memory, one without is system memory. */
export const vm_memseg = struct('vm_memseg', {
  segid: i32,
  len: u64,
  name: bytes(16),
  ds_mask: pointer,
  ds_mask_size: u64,
  ds_policy: i32,
});

export const vm_register = struct('vm_register', { cpuid: i32, regnum: i32, regval: u64 });

export const vm_seg_desc = struct('vm_seg_desc', { cpuid: i32, regnum: i32, desc: seg_desc });

export const vm_register_set = struct('vm_register_set', {
  cpuid: i32,
  count: u32,
  regnums: pointer,
  regvals: pointer,
});

/** `cpuset` takes the targets of VM_EXITCODE_IPI, `vm_exit` the exit. */
export const vm_run = struct('vm_run', {
  cpuid: i32,
  cpuset: pointer,
  cpusetsize: u64,
  vm_exit: pointer,
});

export const vm_exception = struct('vm_exception', {
  cpuid: i32,
  vector: i32,
  error_code: u32,
  error_code_valid: i32,
  restart_instruction: i32,
});

export const vm_lapic_msi = struct('vm_lapic_msi', { msg: u64, addr: u64 });

export const vm_lapic_irq = struct('vm_lapic_irq', { cpuid: i32, vector: i32 });

export const vm_ioapic_irq = struct('vm_ioapic_irq', { irq: i32 });

export const vm_isa_irq = struct('vm_isa_irq', { atpic_irq: i32, ioapic_irq: i32 });

export const vm_isa_irq_trigger = struct('vm_isa_irq_trigger', { atpic_irq: i32, trigger: u32 });

export const vm_capability = struct('vm_capability', {
  cpuid: i32,
  captype: u32,
  capval: i32,
  allcpus: i32,
});

export const vm_pptdev = struct('vm_pptdev', { bus: i32, slot: i32, func: i32 });

export const vm_pptdev_mmio = struct('vm_pptdev_mmio', {
  bus: i32,
  slot: i32,
  func: i32,
  gpa: u64,
  hpa: u64,
  len: u64,
});

export const vm_pptdev_msi = struct('vm_pptdev_msi', {
  vcpu: i32,
  bus: i32,
  slot: i32,
  func: i32,
  numvec: i32,
  msg: u64,
  addr: u64,
});

export const vm_pptdev_msix = struct('vm_pptdev_msix', {
  vcpu: i32,
  bus: i32,
  slot: i32,
  func: i32,
  idx: i32,
  msg: u64,
  vector_control: u32,
  addr: u64,
});

export const vm_nmi = struct('vm_nmi', { cpuid: i32 });

export const timeval = struct('timeval', { tv_sec: i64, tv_usec: i64 });

/** Until FreeBSD 13. */
export const vm_stats_13 = struct('vm_stats_13', {
  cpuid: i32,
  num_entries: i32,
  tv: timeval,
  statbuf: array(u64, MAX_VM_STATS),
});

/** `index` is the first counter that is asked for. */
export const vm_stats = struct('vm_stats', {
  cpuid: i32,
  index: i32,
  num_entries: i32,
  tv: timeval,
  statbuf: array(u64, MAX_VM_STATS),
});

export const vm_stat_desc = struct('vm_stat_desc', { index: i32, desc: bytes(128) });

export const vm_x2apic = struct('vm_x2apic', { cpuid: i32, state: u32 });

export const vm_gpa_pte = struct('vm_gpa_pte', { gpa: u64, pte: array(u64, 4), ptenum: i32 });

export const vm_hpet_cap = struct('vm_hpet_cap', { capabilities: u32 });

export const vm_suspend = struct('vm_suspend', { how: u32 });

export const vm_gla2gpa = struct('vm_gla2gpa', {
  vcpuid: i32,
  prot: i32,
  gla: u64,
  paging: vm_guest_paging,
  fault: i32,
  gpa: u64,
});

export const vm_activate_cpu = struct('vm_activate_cpu', { vcpuid: i32 });

/** `cpusetsize` bytes go to `cpus`. */
export const vm_cpuset = struct('vm_cpuset', { which: i32, cpusetsize: i32, cpus: pointer });

export const vm_intinfo = struct('vm_intinfo', { vcpuid: i32, info1: u64, info2: u64 });

export const vm_rtc_time = struct('vm_rtc_time', { secs: i64 });

export const vm_rtc_data = struct('vm_rtc_data', { offset: i32, value: u8 });

/** `maxcpus` is only ever an answer. */
export const vm_cpu_topology = struct('vm_cpu_topology', {
  sockets: u16,
  cores: u16,
  threads: u16,
  maxcpus: u16,
});

/** `access_width` is the logarithm of the width in bytes; the header gives it 3 bits. */
export const vm_readwrite_kernemu_device = struct('vm_readwrite_kernemu_device', {
  vcpuid: i32,
  access_width: u32,
  gpa: u64,
  value: u64,
});

export const vm_snapshot_buffer = struct('vm_snapshot_buffer', {
  buf_start: pointer,
  buf_size: u64,
  buf: pointer,
  buf_rem: u64,
});

/** Until FreeBSD 13. */
export const vm_snapshot_meta_13 = struct('vm_snapshot_meta_13', {
  ctx: pointer,
  dev_data: pointer,
  dev_name: pointer,
  dev_req: u32,
  buffer: vm_snapshot_buffer,
  op: u32,
});

export const vm_snapshot_meta = struct('vm_snapshot_meta', {
  dev_data: pointer,
  dev_name: pointer,
  dev_req: u32,
  buffer: vm_snapshot_buffer,
  op: u32,
});

/** VM_RUN until FreeBSD 13, with the exit in it. */
export const vm_run_13 = struct('vm_run_13', { cpuid: i32, vm_exit: vm_exit_13 });

/** VM_RUN in the form that broke the ABI, with the grown exit in it. */
export const vm_run_grown = struct('vm_run_grown', { cpuid: i32, vm_exit: vm_exit_grown });

/** No release has it. 0xC0A07601. */
export const VM_RUN_GROWN = ioctl('VM_RUN_GROWN', 'v', 1, 'inout', vm_run_grown);

/** The ioctls of /dev/vmm/NAME, in the order of their numbers. */
export const VMM_IOCTLS = {
  VM_RUN: ioctl('VM_RUN', 'v', 1, 'inout', vm_run),
  VM_RUN_13: ioctl('VM_RUN_13', 'v', 1, 'inout', vm_run_13),
  VM_SET_CAPABILITY: ioctl('VM_SET_CAPABILITY', 'v', 2, 'in', vm_capability),
  VM_GET_CAPABILITY: ioctl('VM_GET_CAPABILITY', 'v', 3, 'inout', vm_capability),
  VM_SUSPEND: ioctl('VM_SUSPEND', 'v', 4, 'in', vm_suspend),
  VM_REINIT: ioctl('VM_REINIT', 'v', 5, 'void', null),
  VM_GET_GPA_PMAP: ioctl('VM_GET_GPA_PMAP', 'v', 12, 'inout', vm_gpa_pte),
  VM_GLA2GPA: ioctl('VM_GLA2GPA', 'v', 13, 'inout', vm_gla2gpa),
  VM_ALLOC_MEMSEG: ioctl('VM_ALLOC_MEMSEG', 'v', 14, 'in', vm_memseg),
  VM_ALLOC_MEMSEG_14: ioctl('VM_ALLOC_MEMSEG_14', 'v', 14, 'in', vm_memseg_14),
  VM_ALLOC_MEMSEG_12: ioctl('VM_ALLOC_MEMSEG_12', 'v', 14, 'in', vm_memseg_fbsd12),
  VM_GET_MEMSEG: ioctl('VM_GET_MEMSEG', 'v', 15, 'inout', vm_memseg),
  VM_GET_MEMSEG_14: ioctl('VM_GET_MEMSEG_14', 'v', 15, 'inout', vm_memseg_14),
  VM_GET_MEMSEG_12: ioctl('VM_GET_MEMSEG_12', 'v', 15, 'inout', vm_memseg_fbsd12),
  VM_MMAP_MEMSEG: ioctl('VM_MMAP_MEMSEG', 'v', 16, 'in', vm_memmap),
  VM_MMAP_GETNEXT: ioctl('VM_MMAP_GETNEXT', 'v', 17, 'inout', vm_memmap),
  VM_GLA2GPA_NOFAULT: ioctl('VM_GLA2GPA_NOFAULT', 'v', 18, 'inout', vm_gla2gpa),
  VM_MUNMAP_MEMSEG: ioctl('VM_MUNMAP_MEMSEG', 'v', 19, 'in', vm_munmap),
  VM_SET_REGISTER: ioctl('VM_SET_REGISTER', 'v', 20, 'in', vm_register),
  VM_GET_REGISTER: ioctl('VM_GET_REGISTER', 'v', 21, 'inout', vm_register),
  VM_SET_SEGMENT_DESCRIPTOR: ioctl('VM_SET_SEGMENT_DESCRIPTOR', 'v', 22, 'in', vm_seg_desc),
  VM_GET_SEGMENT_DESCRIPTOR: ioctl('VM_GET_SEGMENT_DESCRIPTOR', 'v', 23, 'inout', vm_seg_desc),
  VM_SET_REGISTER_SET: ioctl('VM_SET_REGISTER_SET', 'v', 24, 'in', vm_register_set),
  VM_GET_REGISTER_SET: ioctl('VM_GET_REGISTER_SET', 'v', 25, 'inout', vm_register_set),
  VM_GET_KERNEMU_DEV: ioctl('VM_GET_KERNEMU_DEV', 'v', 26, 'inout', vm_readwrite_kernemu_device),
  VM_SET_KERNEMU_DEV: ioctl('VM_SET_KERNEMU_DEV', 'v', 27, 'in', vm_readwrite_kernemu_device),
  VM_GET_INTINFO: ioctl('VM_GET_INTINFO', 'v', 28, 'inout', vm_intinfo),
  VM_SET_INTINFO: ioctl('VM_SET_INTINFO', 'v', 29, 'in', vm_intinfo),
  VM_INJECT_EXCEPTION: ioctl('VM_INJECT_EXCEPTION', 'v', 30, 'in', vm_exception),
  VM_LAPIC_IRQ: ioctl('VM_LAPIC_IRQ', 'v', 31, 'in', vm_lapic_irq),
  VM_INJECT_NMI: ioctl('VM_INJECT_NMI', 'v', 32, 'in', vm_nmi),
  VM_IOAPIC_ASSERT_IRQ: ioctl('VM_IOAPIC_ASSERT_IRQ', 'v', 33, 'in', vm_ioapic_irq),
  VM_IOAPIC_DEASSERT_IRQ: ioctl('VM_IOAPIC_DEASSERT_IRQ', 'v', 34, 'in', vm_ioapic_irq),
  VM_IOAPIC_PULSE_IRQ: ioctl('VM_IOAPIC_PULSE_IRQ', 'v', 35, 'in', vm_ioapic_irq),
  VM_LAPIC_MSI: ioctl('VM_LAPIC_MSI', 'v', 36, 'in', vm_lapic_msi),
  VM_LAPIC_LOCAL_IRQ: ioctl('VM_LAPIC_LOCAL_IRQ', 'v', 37, 'in', vm_lapic_irq),
  VM_IOAPIC_PINCOUNT: ioctl('VM_IOAPIC_PINCOUNT', 'v', 38, 'out', i32),
  VM_RESTART_INSTRUCTION: ioctl('VM_RESTART_INSTRUCTION', 'v', 39, 'in', i32),
  VM_BIND_PPTDEV: ioctl('VM_BIND_PPTDEV', 'v', 40, 'in', vm_pptdev),
  VM_UNBIND_PPTDEV: ioctl('VM_UNBIND_PPTDEV', 'v', 41, 'in', vm_pptdev),
  VM_MAP_PPTDEV_MMIO: ioctl('VM_MAP_PPTDEV_MMIO', 'v', 42, 'in', vm_pptdev_mmio),
  VM_PPTDEV_MSI: ioctl('VM_PPTDEV_MSI', 'v', 43, 'in', vm_pptdev_msi),
  VM_PPTDEV_MSIX: ioctl('VM_PPTDEV_MSIX', 'v', 44, 'in', vm_pptdev_msix),
  VM_PPTDEV_DISABLE_MSIX: ioctl('VM_PPTDEV_DISABLE_MSIX', 'v', 45, 'in', vm_pptdev),
  VM_UNMAP_PPTDEV_MMIO: ioctl('VM_UNMAP_PPTDEV_MMIO', 'v', 46, 'in', vm_pptdev_mmio),
  VM_STATS: ioctl('VM_STATS', 'v', 50, 'inout', vm_stats),
  VM_STATS_13: ioctl('VM_STATS_13', 'v', 50, 'inout', vm_stats_13),
  VM_STAT_DESC: ioctl('VM_STAT_DESC', 'v', 51, 'inout', vm_stat_desc),
  VM_SET_X2APIC_STATE: ioctl('VM_SET_X2APIC_STATE', 'v', 60, 'in', vm_x2apic),
  VM_GET_X2APIC_STATE: ioctl('VM_GET_X2APIC_STATE', 'v', 61, 'inout', vm_x2apic),
  VM_GET_HPET_CAPABILITIES: ioctl('VM_GET_HPET_CAPABILITIES', 'v', 62, 'out', vm_hpet_cap),
  VM_SET_TOPOLOGY: ioctl('VM_SET_TOPOLOGY', 'v', 63, 'in', vm_cpu_topology),
  VM_GET_TOPOLOGY: ioctl('VM_GET_TOPOLOGY', 'v', 64, 'out', vm_cpu_topology),
  VM_ISA_ASSERT_IRQ: ioctl('VM_ISA_ASSERT_IRQ', 'v', 80, 'in', vm_isa_irq),
  VM_ISA_DEASSERT_IRQ: ioctl('VM_ISA_DEASSERT_IRQ', 'v', 81, 'in', vm_isa_irq),
  VM_ISA_PULSE_IRQ: ioctl('VM_ISA_PULSE_IRQ', 'v', 82, 'in', vm_isa_irq),
  VM_ISA_SET_IRQ_TRIGGER: ioctl('VM_ISA_SET_IRQ_TRIGGER', 'v', 83, 'in', vm_isa_irq_trigger),
  VM_ACTIVATE_CPU: ioctl('VM_ACTIVATE_CPU', 'v', 90, 'in', vm_activate_cpu),
  VM_GET_CPUS: ioctl('VM_GET_CPUS', 'v', 91, 'in', vm_cpuset),
  VM_SUSPEND_CPU: ioctl('VM_SUSPEND_CPU', 'v', 92, 'in', vm_activate_cpu),
  VM_RESUME_CPU: ioctl('VM_RESUME_CPU', 'v', 93, 'in', vm_activate_cpu),
  VM_RTC_READ: ioctl('VM_RTC_READ', 'v', 100, 'inout', vm_rtc_data),
  VM_RTC_WRITE: ioctl('VM_RTC_WRITE', 'v', 101, 'in', vm_rtc_data),
  VM_RTC_SETTIME: ioctl('VM_RTC_SETTIME', 'v', 102, 'in', vm_rtc_time),
  VM_RTC_GETTIME: ioctl('VM_RTC_GETTIME', 'v', 103, 'out', vm_rtc_time),
  VM_SNAPSHOT_REQ: ioctl('VM_SNAPSHOT_REQ', 'v', 113, 'inout', vm_snapshot_meta),
  VM_SNAPSHOT_REQ_13: ioctl('VM_SNAPSHOT_REQ_13', 'v', 113, 'inout', vm_snapshot_meta_13),
  VM_RESTORE_TIME: ioctl('VM_RESTORE_TIME', 'v', 115, 'inout', i32),
} as const;

/** A protection as `rwx`, with `-` for what it does not permit. */
export function describeProtection(prot: number): string {
  const letters = [
    [VM_PROT_READ, 'r'],
    [VM_PROT_WRITE, 'w'],
    [VM_PROT_EXECUTE, 'x'],
  ] as const;
  return letters.map(([bit, letter]) => ((prot & bit) !== 0 ? letter : '-')).join('');
}
