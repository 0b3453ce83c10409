/**
 * /dev/vmm/NAME: one VM. Follows vmmdev_ioctl() in FreeBSD's sys/dev/vmm/vmm_dev.c, and vmm_vm.c.
 */
import { SystemError } from '../../abi/errno.js';
import type { Ioctl } from '../../abi/freebsd-ioctl.js';
import { DOMAINSET_POLICY_INVALID, VM_BOOTROM, VM_BOOTROM_14, VMM_IOCTLS } from '../../abi/vmm.js';
import { vm_suspend_how } from '../../abi/vmm-machine.js';
import { decodeName, encodeName } from '../../abi/vmmctl.js';
import type { PromptNode } from '../node.js';
import type { MemoryLimits, VmmRelease } from './config.js';
import { dispatch, type Row, row, type Table, table, voidRow } from './dispatch.js';
import { allocMemseg, checkSegid, mapMemseg, nextMapping, unmapMemseg } from './memory.js';
import type { DevfsPaths } from './names.js';
import { resetVm, type Vm } from './vm.js';

/** Bytes of a NUMA mask: sizeof(domainset_t) in the kernel of amd64, and DOMAINSET_MAXSIZE. */
const MIN_DOMAINSET = 8n;
const MAX_DOMAINSET = 32n;

/** What the node needs of the registry of VMs. */
export interface VmHost {
  readonly config: { readonly release: VmmRelease };
  readonly limits: MemoryLimits;
  readonly paths: DevfsPaths;
  /** Tells that something of the VM that others see has changed. */
  changed(vm: Vm): void;
}

interface VmFile {
  readonly host: VmHost;
  readonly vm: Vm;
}

/** Opens the node of a VM. An ioctl gives ENXIO once the VM is destroyed, EBADF after close. */
export function openVmNode(host: VmHost, vm: Vm): PromptNode {
  const file: VmFile = { host, vm };
  const ioctls = vmNodeIoctls(host.config.release);
  let open = true;
  return {
    ioctl(request, argument) {
      if (!open) throw new SystemError('EBADF', { syscall: 'ioctl' });
      if (vm.state === 'destroying') {
        throw new SystemError('ENXIO', { syscall: 'ioctl', message: 'the VM has been destroyed' });
      }
      return dispatch(ioctls, file, request, argument, (entry, view) => {
        if (needsVcpu(entry)) checkVcpu(vm, view.getInt32(0, true));
      });
    },
    close() {
      open = false;
    },
  };
}

function needsVcpu(entry: Row<VmFile>): boolean {
  return entry.flags.includes('LOCK_ONE_VCPU');
}

/** @throws SystemError EINVAL for the number of a vCPU that the VM can't have. */
function checkVcpu(vm: Vm, vcpuid: number): void {
  if (vcpuid >= 0 && vcpuid < vm.topology.maxcpus) return;
  throw new SystemError('EINVAL', { message: `no vCPU has the number ${vcpuid}` });
}

/** The node's ioctls that all releases have. */
const COMMON: readonly Row<VmFile>[] = [
  row(VMM_IOCTLS.VM_SUSPEND, [], (file: VmFile, { how }) => {
    suspend(file.vm, how);
    file.host.changed(file.vm);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_MMAP_GETNEXT, [], ({ vm }: VmFile, { gpa }) => nextMapping(vm, gpa)),
  row(VMM_IOCTLS.VM_SET_TOPOLOGY, [], ({ host, vm }: VmFile, { sockets, cores, threads }) => {
    const { maxcpus } = vm.topology;
    if (sockets * cores * threads > maxcpus) {
      throw new SystemError('EINVAL', { message: `a VM has at most ${maxcpus} vCPUs` });
    }
    vm.topology = { sockets, cores, threads, maxcpus };
    host.changed(vm);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_GET_TOPOLOGY, [], ({ vm }: VmFile) => vm.topology),

  voidRow(VMM_IOCTLS.VM_REINIT, ({ host, vm }: VmFile) => {
    const { activeCpus, suspendedCpus } = vm;
    const all = [...activeCpus].every((vcpuid) => suspendedCpus.has(vcpuid));
    if (!all || activeCpus.size !== suspendedCpus.size) {
      throw new SystemError('EBUSY', { message: 'not all active vCPUs are suspended' });
    }
    resetVm(vm);
    host.changed(vm);
  }),
  row(VMM_IOCTLS.VM_MMAP_MEMSEG, [], ({ host, vm }: VmFile, map) => {
    mapMemseg(vm, map, host.limits);
    host.changed(vm);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_MUNMAP_MEMSEG, [], ({ host, vm }: VmFile, { gpa, len }) => {
    unmapMemseg(vm, gpa, len, host.limits);
    host.changed(vm);
    return undefined;
  }),

  row(VMM_IOCTLS.VM_ACTIVATE_CPU, ['LOCK_ONE_VCPU'], ({ host, vm }: VmFile, { vcpuid }) => {
    if (vm.activeCpus.has(vcpuid)) {
      throw new SystemError('EBUSY', { message: `vCPU ${vcpuid} is active already` });
    }
    vm.activeCpus.add(vcpuid);
    host.changed(vm);
    return undefined;
  }),
];

/** What all forms of struct vm_memseg have. */
interface MemsegFields {
  segid: number;
  len: bigint;
  name: Uint8Array;
}

/** One form of VM_ALLOC_MEMSEG and VM_GET_MEMSEG, and what number a segment has whose number is given in it. */
function memsegRows<T extends MemsegFields>(
  alloc: Ioctl<T>,
  get: Ioctl<T>,
  numbered: (segid: number) => number,
  check: (argument: T) => void = () => undefined,
): Row<VmFile>[] {
  return [
    row(alloc, [], ({ host, vm }: VmFile, argument) => {
      check(argument);
      const { len } = argument;
      const request = { segid: numbered(argument.segid), len, name: segmentName(argument.name) };
      allocMemseg(vm, request, host.paths, host.limits);
      host.changed(vm);
      return undefined;
    }),
    row(get, [], ({ host, vm }: VmFile, argument) => {
      const segid = numbered(argument.segid);
      checkSegid(segid, host.limits);
      const segment = vm.memsegs.get(segid);
      const found = segment && { len: segment.len, name: encodeName(segment.name) };
      return (found ?? { len: 0n }) as Partial<T>;
    }),
  ];
}

const same = (segid: number) => segid;

/** Older forms have the numbers of their time, when system memory had only one. */
const since15 = (segid: number) => (segid === 0 ? 0 : segid + VM_BOOTROM - VM_BOOTROM_14);

const {
  VM_ALLOC_MEMSEG,
  VM_GET_MEMSEG,
  VM_ALLOC_MEMSEG_14,
  VM_GET_MEMSEG_14,
  VM_ALLOC_MEMSEG_12,
  VM_GET_MEMSEG_12,
} = VMM_IOCTLS;

const IOCTLS_14 = table<VmFile>([
  ...COMMON,
  ...memsegRows(VM_ALLOC_MEMSEG_14, VM_GET_MEMSEG_14, same),
  ...memsegRows(VM_ALLOC_MEMSEG_12, VM_GET_MEMSEG_12, same),
]);

const IOCTLS_15 = table<VmFile>([
  ...COMMON,
  ...memsegRows(VM_ALLOC_MEMSEG, VM_GET_MEMSEG, same, checkDomains),
  ...memsegRows(VM_ALLOC_MEMSEG_14, VM_GET_MEMSEG_14, since15),
  ...memsegRows(VM_ALLOC_MEMSEG_12, VM_GET_MEMSEG_12, since15),
]);

/** The node's ioctls in a release, with the older forms that it still takes. */
export function vmNodeIoctls(release: VmmRelease): Table<VmFile> {
  return release === '14' ? IOCTLS_14 : IOCTLS_15;
}

/**
 * Suspends a VM for a reason.
 * @throws SystemError EINVAL for a reason that is none; EALREADY when it is suspended.
 */
export function suspend(vm: Vm, how: number): void {
  if (how <= vm_suspend_how.VM_SUSPEND_NONE || how >= vm_suspend_how.VM_SUSPEND_LAST) {
    throw new SystemError('EINVAL', { message: `${how} is no reason to suspend a VM` });
  }
  if (vm.suspendReason !== vm_suspend_how.VM_SUSPEND_NONE) {
    throw new SystemError('EALREADY', { message: 'the VM is suspended already' });
  }
  vm.suspendReason = how;
  vm.state = 'suspended';
}

/** @throws SystemError ENAMETOOLONG for a segment's name without a terminator. */
function segmentName(field: Uint8Array): string {
  if (!field.includes(0)) {
    const message = `a segment's name has at most ${field.length - 1} bytes`;
    throw new SystemError('ENAMETOOLONG', { message });
  }
  return decodeName(field);
}

/**
 * Where the memory should come from makes no difference here, but a wrong request is still refused.
 * @throws SystemError ERANGE for a mask of a size that the kernel doesn't take; EFAULT for none.
 */
function checkDomains(argument: {
  ds_mask: bigint;
  ds_mask_size: bigint;
  ds_policy: number;
}): void {
  if (argument.ds_policy === DOMAINSET_POLICY_INVALID) return;
  const size = argument.ds_mask_size;
  if (size < MIN_DOMAINSET || size > MAX_DOMAINSET) throw new SystemError('ERANGE');
  if (argument.ds_mask === 0n) throw new SystemError('EFAULT');
}
