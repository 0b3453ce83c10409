/**
 * Ioctls about the devices that the kernel emulates for a VM, about addresses, and about devices that are passed through, of
 * which this host has none. Follows vmmdev_machdep_ioctl() in FreeBSD's sys/amd64/vmm/vmm_dev_machdep.c.
 */
import { SystemError } from '../../abi/errno.js';
import type { Ioctl } from '../../abi/freebsd-ioctl.js';
import { VMM_IOCTLS } from '../../abi/vmm.js';
import { vm_paging_mode, vm_reg_name, x2apic_state } from '../../abi/vmm-machine.js';
import { type Row, type RowFlag, row } from './dispatch.js';
import { injectException } from './event-rows.js';
import { HPET_CAPABILITIES } from './kernel-devices.js';
import { type Vm, vcpuOf } from './vm.js';
import type { VmFile } from './vm-file.js';

const WIDTH_BITS = 0x7;
const IDT_PF = 14;
/** The lower bits of CR3 are no part of the address. */
const PAGE_MASK = ~0xfffn;
/** Bits 12 to 51. */
const ADDRESS_MASK = 2n ** 52n - 1n;

export const DEVICE_ROWS: readonly Row<VmFile>[] = [
  row(VMM_IOCTLS.VM_GET_KERNEMU_DEV, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, argument) => {
    const { vcpuid, gpa, access_width } = argument;
    return { value: vm.devices.read(vcpuOf(vm, vcpuid), gpa, 1 << (access_width & WIDTH_BITS)) };
  }),
  row(VMM_IOCTLS.VM_SET_KERNEMU_DEV, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, argument) => {
    const { vcpuid, gpa, access_width, value } = argument;
    vm.devices.write(vcpuOf(vm, vcpuid), gpa, 1 << (access_width & WIDTH_BITS), value);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_SET_X2APIC_STATE, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, { cpuid, state }) => {
    if (state >= x2apic_state.X2APIC_STATE_LAST) {
      throw new SystemError('EINVAL', { message: `${state} is no state of the x2APIC` });
    }
    vcpuOf(vm, cpuid).x2apic = state;
    return undefined;
  }),
  row(VMM_IOCTLS.VM_GET_HPET_CAPABILITIES, [], () => ({ capabilities: HPET_CAPABILITIES })),

  row(VMM_IOCTLS.VM_RTC_READ, [], ({ vm }: VmFile, { offset }) => ({ value: vm.rtc.read(offset) })),
  row(VMM_IOCTLS.VM_RTC_WRITE, [], ({ vm }: VmFile, { offset, value }) => {
    vm.rtc.write(offset, value);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_RTC_SETTIME, [], ({ vm }: VmFile, { secs }) => {
    vm.rtc.seconds = secs;
    return undefined;
  }),
  row(VMM_IOCTLS.VM_RTC_GETTIME, [], ({ vm }: VmFile) => ({ secs: vm.rtc.seconds })),

  // No guest has touched its memory yet, so the first table of its page tables has no entry.
  row(VMM_IOCTLS.VM_GET_GPA_PMAP, [], () => ({ pte: [0n, 0n, 0n, 0n], ptenum: 1 })),
  translationRow(VMM_IOCTLS.VM_GLA2GPA, true),
  translationRow(VMM_IOCTLS.VM_GLA2GPA_NOFAULT, false),
  ...passthruRows(),
];

/** Locks the vCPU since FreeBSD 15, and only names it before. */
export function x2apicStateRow(flag: RowFlag): Row<VmFile> {
  return row(VMM_IOCTLS.VM_GET_X2APIC_STATE, [flag], ({ vm }: VmFile, { cpuid }) => {
    return { state: vcpuOf(vm, cpuid).x2apic };
  });
}

/**
 * Without paging an address is what it is. With paging the guest's tables are read: they are zeros, so that nothing is there;
 * `faults` has that be an exception of the guest, if it is to be one.
 */
function translationRow(ioctl: typeof VMM_IOCTLS.VM_GLA2GPA, faults: boolean): Row<VmFile> {
  return row(ioctl, ['LOCK_ONE_VCPU'], ({ vm }: VmFile, { vcpuid, gla, paging }) => {
    if (paging.paging_mode === vm_paging_mode.PAGING_MODE_FLAT) return { gpa: gla, fault: 0 };
    checkMapped(vm, paging.cr3 & PAGE_MASK & ADDRESS_MASK);
    if (!faults) return { fault: 1 };
    const vcpu = vcpuOf(vm, vcpuid);
    injectException(vcpu, IDT_PF, 0);
    vcpu.setRegister(vm_reg_name.VM_REG_GUEST_CR2, gla);
    return { fault: 1 };
  });
}

/** @throws SystemError EFAULT where the guest has no memory. */
function checkMapped(vm: Vm, gpa: bigint): void {
  if (vm.memmaps.some((map) => gpa >= map.gpa && gpa < map.gpa + map.len)) return;
  throw new SystemError('EFAULT', { message: 'the guest has no memory there' });
}

function passthruRows(): Row<VmFile>[] {
  const exclusive: RowFlag[] = ['XLOCK_MEMSEGS', 'LOCK_ALL_VCPUS', 'PRIV_CHECK_DRIVER'];
  const locked: RowFlag[] = ['LOCK_ALL_VCPUS', 'PRIV_CHECK_DRIVER'];
  return [
    // The first device of a VM makes the IOMMU's domain for it, which this host can't.
    noDevice(VMM_IOCTLS.VM_BIND_PPTDEV, exclusive, 'ENXIO'),
    noDevice(VMM_IOCTLS.VM_UNBIND_PPTDEV, exclusive, 'ENOENT'),
    noDevice(VMM_IOCTLS.VM_MAP_PPTDEV_MMIO, locked, 'ENOENT'),
    noDevice(VMM_IOCTLS.VM_UNMAP_PPTDEV_MMIO, locked, 'ENOENT'),
    noDevice(VMM_IOCTLS.VM_PPTDEV_MSI, ['PRIV_CHECK_DRIVER'], 'ENOENT'),
    noDevice(VMM_IOCTLS.VM_PPTDEV_MSIX, ['PRIV_CHECK_DRIVER'], 'ENOENT'),
    noDevice(VMM_IOCTLS.VM_PPTDEV_DISABLE_MSIX, ['PRIV_CHECK_DRIVER'], 'ENOENT'),
  ];
}

function noDevice<T>(
  ioctl: Ioctl<T>,
  flags: readonly RowFlag[],
  code: 'ENXIO' | 'ENOENT',
): Row<VmFile> {
  return row(ioctl, flags, () => {
    throw new SystemError(code, { message: 'no device of this host can be passed through' });
  });
}
