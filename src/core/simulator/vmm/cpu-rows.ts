/**
 * Ioctls about a VM's life and its set of vCPUs. Follows vmmdev_ioctl() in FreeBSD's sys/dev/vmm/vmm_dev.c and
 * sys/dev/vmm/vmm_vm.c.
 */
import { SystemError } from '../../abi/errno.js';
import { VM_ACTIVE_CPUS, VM_DEBUG_CPUS, VM_SUSPENDED_CPUS, VMM_IOCTLS } from '../../abi/vmm.js';
import { vm_suspend_how } from '../../abi/vmm-machine.js';
import type { UserMemory } from '../node.js';
import type { VmmRelease } from './config.js';
import { CPUSET_SIZE, cpusetOf, highestCpu, sameCpus } from './cpuset.js';
import { type Row, row, voidRow } from './dispatch.js';
import { suspendVm, wake } from './run.js';
import { refuseRealGuest, resetVm, reviewState, type Vm } from './vm.js';
import type { VmFile, VmHost } from './vm-file.js';

export const CPU_ROWS: readonly Row<VmFile>[] = [
  row(VMM_IOCTLS.VM_SUSPEND, [], ({ host, vm }: VmFile, { how }) => {
    checkReason(how, host.config.release);
    suspendVm(host, vm, how);
    return undefined;
  }),
  voidRow(VMM_IOCTLS.VM_REINIT, ['XLOCK_MEMSEGS', 'LOCK_ALL_VCPUS'], ({ host, vm }: VmFile) => {
    if (!sameCpus(vm.activeCpus, vm.suspendedCpus)) {
      throw new SystemError('EBUSY', { message: 'not all active vCPUs are suspended' });
    }
    resetVm(vm);
    host.changed(vm);
  }),
  row(VMM_IOCTLS.VM_SET_TOPOLOGY, [], ({ host, vm }: VmFile, { sockets, cores, threads }) => {
    const { maxcpus } = vm.topology;
    if (sockets * cores * threads > maxcpus) throw invalid(`a VM has at most ${maxcpus} vCPUs`);
    vm.topology = { sockets, cores, threads, maxcpus };
    host.changed(vm);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_GET_TOPOLOGY, [], ({ vm }: VmFile) => vm.topology),

  row(VMM_IOCTLS.VM_ACTIVATE_CPU, ['LOCK_ONE_VCPU'], ({ host, vm }: VmFile, { vcpuid }) => {
    if (vm.activeCpus.has(vcpuid)) {
      throw new SystemError('EBUSY', { message: `vCPU ${vcpuid} is active already` });
    }
    vm.activeCpus.add(vcpuid);
    reviewState(vm);
    host.changed(vm);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_SUSPEND_CPU, ['MAYBE_ALLOC_VCPU'], ({ host, vm }: VmFile, { vcpuid }) => {
    suspendCpu(host, vm, vcpuid);
    return undefined;
  }),
  row(VMM_IOCTLS.VM_RESUME_CPU, ['MAYBE_ALLOC_VCPU'], ({ host, vm }: VmFile, { vcpuid }) => {
    resumeCpu(host, vm, vcpuid);
    return undefined;
  }),
];

/** VM_GET_CPUS with the rules of a release for the size of the set: FreeBSD 14 takes its own, 15 each that is large enough. */
export function getCpusRow(minSize: number): Row<VmFile> {
  return row(VMM_IOCTLS.VM_GET_CPUS, [], ({ vm }: VmFile, { which, cpusetsize, cpus }, memory) => {
    if (cpusetsize < minSize || cpusetsize > CPUSET_SIZE) throw range(cpusetsize);
    copyCpus(cpusOf(vm, which), cpusetsize, { memory, to: cpus });
    return undefined;
  });
}

function copyCpus(
  cpus: ReadonlySet<number>,
  size: number,
  { memory, to }: { memory: UserMemory; to: bigint },
): void {
  if (highestCpu(cpus) > size * 8) throw range(size);
  memory.write(to, cpusetOf(cpus).subarray(0, size));
}

function cpusOf(vm: Vm, which: number): ReadonlySet<number> {
  if (which === VM_ACTIVE_CPUS) return vm.activeCpus;
  if (which === VM_SUSPENDED_CPUS) return vm.suspendedCpus;
  if (which === VM_DEBUG_CPUS) return vm.debugCpus;
  throw invalid(`no set of CPUs has the number ${which}`);
}

/** @throws SystemError EINVAL for a reason that is none in the release. */
function checkReason(how: number, release: VmmRelease): void {
  const { VM_SUSPEND_NONE, VM_SUSPEND_DESTROY, VM_SUSPEND_LAST } = vm_suspend_how;
  // Until FreeBSD 14 the number of VM_SUSPEND_DESTROY was that of LAST.
  const last = release === '14' ? VM_SUSPEND_DESTROY : VM_SUSPEND_LAST;
  if (how <= VM_SUSPEND_NONE || how >= last) throw invalid(`${how} is no reason to suspend a VM`);
}

/**
 * Keeps a vCPU from running, or with -1 all that are active.
 * @throws SystemError EINVAL for one that is not active; EOPNOTSUPP while a real kernel is the guest.
 */
function suspendCpu(host: VmHost, vm: Vm, vcpuid: number): void {
  refuseRealGuest(vm, "and can't be paused");
  const all = vcpuid === -1;
  if (!all && !vm.activeCpus.has(vcpuid)) throw invalid(`vCPU ${vcpuid} is not active`);
  if (all) vm.debugCpus.clear();
  for (const id of all ? vm.activeCpus : [vcpuid]) {
    vm.debugCpus.add(id);
    const vcpu = vm.vcpus.get(id);
    if (vcpu !== undefined) wake(host, vm, vcpu);
  }
  if (reviewState(vm)) host.changed(vm);
}

/** Lets a vCPU run again, or with -1 all. @throws SystemError EINVAL for one that was not kept from it. */
function resumeCpu(host: VmHost, vm: Vm, vcpuid: number): void {
  if (vcpuid === -1) vm.debugCpus.clear();
  else if (!vm.debugCpus.delete(vcpuid)) throw invalid(`vCPU ${vcpuid} is not suspended`);
  if (reviewState(vm)) host.changed(vm);
}

function invalid(message: string): SystemError {
  return new SystemError('EINVAL', { message });
}

function range(size: number): SystemError {
  return new SystemError('ERANGE', { message: `${size} bytes are no room for these CPUs` });
}
