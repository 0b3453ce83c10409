/** What the dispatcher of /dev/vmm/NAME sees to before a handler runs: the flags of a row. */
import { SystemError } from '../../abi/errno.js';
import type { IoctlReply, PendingIoctl } from '../node.js';
import { holds } from './access.js';
import { type Call, type Row, type RowFlag, run } from './dispatch.js';
import type { Need } from './locks.js';
import type { Vcpu } from './vcpu.js';
import { type Vm, vcpuOf } from './vm.js';
import type { VmFile } from './vm-file.js';

/** The number that means all vCPUs. */
const ALL = -1;

/**
 * Runs a row when its preconditions are met, which may take a while.
 * @throws SystemError EPERM without the privilege; EINVAL for the number of a vCPU that the VM can't have; as the handler says.
 */
export function perform(entry: Row<VmFile>, call: Call<VmFile>): IoctlReply | PendingIoctl {
  const { vm, caller } = call.context;
  const has = (flag: RowFlag) => entry.flags.includes(flag);
  if (has('PRIV_CHECK_DRIVER') && !(holds(caller, 'PRIV_DRIVER') && caller.jail === '')) {
    throw new SystemError('EPERM', { syscall: 'ioctl', message: 'it takes PRIV_DRIVER' });
  }
  const named = namedVcpu(vm, call.view, has);
  const locked = named !== undefined && has('LOCK_ONE_VCPU') ? [named] : NO_VCPUS;
  const vcpus = has('LOCK_ALL_VCPUS') ? () => [...vm.vcpus.values()] : () => locked;
  return vm.locks.enter({ memsegs: memsegsOf(has), vcpus }, () => run(entry, call));
}

const NO_VCPUS: readonly Vcpu[] = [];

function namedVcpu(vm: Vm, view: DataView, has: (flag: RowFlag) => boolean): Vcpu | undefined {
  const all = has('MAYBE_ALLOC_VCPU');
  if (!all && !has('LOCK_ONE_VCPU') && !has('ALLOC_VCPU')) return undefined;
  const vcpuid = view.getInt32(0, true);
  return all && vcpuid === ALL ? undefined : vcpuOf(vm, vcpuid);
}

function memsegsOf(has: (flag: RowFlag) => boolean): Need['memsegs'] {
  if (has('XLOCK_MEMSEGS')) return 'exclusive';
  return has('SLOCK_MEMSEGS') ? 'shared' : 'none';
}
