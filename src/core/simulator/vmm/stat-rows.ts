/** Ioctls that tell what the kernel has counted of a vCPU. Follows vmm_stat_copy() in FreeBSD's vmm_stat.c. */
import { SystemError } from '../../abi/errno.js';
import { MAX_VM_STATS, VMM_IOCTLS } from '../../abi/vmm.js';
import { encodeName } from '../../abi/vmmctl.js';
import type { Clock } from '../clock.js';
import { type Row, type RowFlag, row } from './dispatch.js';
import { STAT_DESCRIPTIONS } from './stats.js';
import { vcpuOf } from './vm.js';
import type { VmFile } from './vm-file.js';

/** The forms of VM_STATS, which lock the vCPU since FreeBSD 15, and only name it before. */
export function statRows(flag: RowFlag): Row<VmFile>[] {
  return [
    row(VMM_IOCTLS.VM_STATS, [flag], (file: VmFile, { cpuid, index }) => {
      return stats(file, cpuid, index);
    }),
    row(VMM_IOCTLS.VM_STATS_13, [flag], (file: VmFile, { cpuid }) => stats(file, cpuid, 0)),
    row(VMM_IOCTLS.VM_STAT_DESC, [], (_: VmFile, { index }) => {
      const desc = STAT_DESCRIPTIONS[index];
      if (desc === undefined) {
        throw new SystemError('EINVAL', { message: `no counter has the number ${index}` });
      }
      return { desc: encodeName(desc) };
    }),
  ];
}

function stats({ host, vm }: VmFile, cpuid: number, index: number) {
  if (index < 0) throw new SystemError('EINVAL', { message: 'counters are numbered from 0' });
  if (index > STAT_DESCRIPTIONS.length) {
    throw new SystemError('ENOENT', { message: `there are ${STAT_DESCRIPTIONS.length} counters` });
  }
  const statbuf = vcpuOf(vm, cpuid).stats.read(index, MAX_VM_STATS);
  return { num_entries: statbuf.length, tv: timeOf(host.clock), statbuf };
}

function timeOf(clock: Clock) {
  const ms = clock.wallMs();
  const seconds = Math.floor(ms / 1000);
  return { tv_sec: BigInt(seconds), tv_usec: BigInt(Math.floor((ms - seconds * 1000) * 1000)) };
}
