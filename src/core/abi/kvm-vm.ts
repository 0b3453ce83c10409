/**
 * VMs, vCPUs and memory of KVM on x86-64. Mirrors Linux include/uapi/linux/kvm.h and
 * arch/x86/include/uapi/asm/kvm.h.
 */
import { KVMIO } from './kvm.js';
import { array, struct, u8, u16, u32, u64 } from './layout.js';
import { _IO, _IOR, _IOW, _IOWR } from './linux-ioctl.js';

/** Guest memory and where it stands in the process. A size of 0 takes the slot away. */
export const kvm_userspace_memory_region = struct('kvm_userspace_memory_region', {
  slot: u32,
  flags: u32,
  guest_phys_addr: u64,
  memory_size: u64,
  userspace_addr: u64,
});

export const kvm_regs = struct('kvm_regs', {
  rax: u64,
  rbx: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  rsp: u64,
  rbp: u64,
  r8: u64,
  r9: u64,
  r10: u64,
  r11: u64,
  r12: u64,
  r13: u64,
  r14: u64,
  r15: u64,
  rip: u64,
  rflags: u64,
});

export const kvm_segment = struct('kvm_segment', {
  base: u64,
  limit: u32,
  selector: u16,
  type: u8,
  present: u8,
  dpl: u8,
  db: u8,
  s: u8,
  l: u8,
  g: u8,
  avl: u8,
  unusable: u8,
  padding: u8,
});

export const kvm_dtable = struct('kvm_dtable', { base: u64, limit: u16, padding: array(u16, 3) });

export const kvm_sregs = struct('kvm_sregs', {
  cs: kvm_segment,
  ds: kvm_segment,
  es: kvm_segment,
  fs: kvm_segment,
  gs: kvm_segment,
  ss: kvm_segment,
  tr: kvm_segment,
  ldt: kvm_segment,
  gdt: kvm_dtable,
  idt: kvm_dtable,
  cr0: u64,
  cr2: u64,
  cr3: u64,
  cr4: u64,
  cr8: u64,
  efer: u64,
  apic_base: u64,
  interrupt_bitmap: array(u64, 4),
});

/** `nent` of struct kvm_cpuid_entry2 follow. */
export const kvm_cpuid2 = struct('kvm_cpuid2', { nent: u32, padding: u32 });
/** Bytes of struct kvm_cpuid_entry2. */
export const KVM_CPUID_ENTRY_SIZE = 40;

/** Takes the type of VM, 0; its result is the VM's descriptor. */
export const KVM_CREATE_VM = _IO(KVMIO, 0x01);
/** Of /dev/kvm: what this machine can give a guest. E2BIG when there is no room for all. */
export const KVM_GET_SUPPORTED_CPUID = _IOWR(KVMIO, 0x05, kvm_cpuid2);

/** Of a VM. Takes the number of the vCPU; its result is the vCPU's descriptor. EEXIST, EINVAL. */
export const KVM_CREATE_VCPU = _IO(KVMIO, 0x41);
export const KVM_SET_USER_MEMORY_REGION = _IOW(KVMIO, 0x46, kvm_userspace_memory_region);
/** Three pages below 4 GiB that an Intel processor without real mode for guests needs. Takes their address. */
export const KVM_SET_TSS_ADDR = _IO(KVMIO, 0x47);

/** Of a vCPU: runs it until it exits. EINTR when a signal came. */
export const KVM_RUN = _IO(KVMIO, 0x80);
export const KVM_GET_REGS = _IOR(KVMIO, 0x81, kvm_regs);
export const KVM_SET_REGS = _IOW(KVMIO, 0x82, kvm_regs);
export const KVM_GET_SREGS = _IOR(KVMIO, 0x83, kvm_sregs);
export const KVM_SET_SREGS = _IOW(KVMIO, 0x84, kvm_sregs);
export const KVM_SET_CPUID2 = _IOW(KVMIO, 0x90, kvm_cpuid2);
