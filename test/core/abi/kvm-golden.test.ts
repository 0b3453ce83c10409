/** VMs of KVM against values that a C compiler gave on x86-64; headers.test.ts asks it anew where it is. */
import t from 'tap';
import * as kvmRun from '../../../src/core/abi/kvm-run.js';
import * as kvmVm from '../../../src/core/abi/kvm-vm.js';

const NUMBERS = {
  KVM_CREATE_VM: 0xae01,
  KVM_GET_SUPPORTED_CPUID: 0xc008ae05,
  KVM_CREATE_VCPU: 0xae41,
  KVM_SET_USER_MEMORY_REGION: 0x4020ae46,
  KVM_SET_TSS_ADDR: 0xae47,
  KVM_RUN: 0xae80,
  KVM_GET_REGS: 0x8090ae81,
  KVM_SET_REGS: 0x4090ae82,
  KVM_GET_SREGS: 0x8138ae83,
  KVM_SET_SREGS: 0x4138ae84,
  KVM_SET_CPUID2: 0x4008ae90,
  KVM_CPUID_ENTRY_SIZE: 40,
};

t.test('numbers', async (t) => {
  const own = Object.entries(kvmVm).filter(([, value]) => typeof value === 'number');
  t.same(Object.fromEntries(own), NUMBERS);
});

t.test('sizes and places', async (t) => {
  t.equal(kvmVm.kvm_userspace_memory_region.size, 32);
  t.equal(kvmVm.kvm_regs.size, 144);
  t.equal(kvmVm.kvm_regs.offset('rip'), 128);
  t.equal(kvmVm.kvm_segment.size, 24);
  t.equal(kvmVm.kvm_dtable.size, 16);
  t.equal(kvmVm.kvm_sregs.size, 312);
  t.equal(kvmVm.kvm_sregs.offset('gdt'), 192);
  t.equal(kvmVm.kvm_cpuid2.size, 8);
  t.equal(kvmRun.KVM_RUN_IMMEDIATE_EXIT, 1);
  t.equal(kvmRun.kvm_run.offset('exit_reason'), 8);
  t.equal(kvmRun.KVM_RUN_EXIT, 32);
  t.equal(kvmRun.kvm_run_io.offset('data_offset'), 8);
  t.equal(kvmRun.kvm_run_mmio.offset('data'), 8);
  t.equal(kvmRun.kvm_run_mmio.offset('is_write'), 20);
  t.equal(kvmRun.kvm_run.size, 288);
});

t.test('names of exits', async (t) => {
  t.equal(kvmRun.kvmExitName(2), 'KVM_EXIT_IO');
  t.equal(kvmRun.kvmExitName(37), 'KVM_EXIT_NOTIFY');
  t.equal(kvmRun.kvmExitName(38), '38');
});
