/** Ioctls about a VM's memory, with their older forms. Follows vmmdev_ioctl() in FreeBSD's sys/dev/vmm/vmm_dev.c. */
import { SystemError } from '../../abi/errno.js';
import type { Ioctl } from '../../abi/freebsd-ioctl.js';
import { DOMAINSET_POLICY_INVALID, VM_BOOTROM, VM_BOOTROM_14, VMM_IOCTLS } from '../../abi/vmm.js';
import { decodeName, encodeName } from '../../abi/vmmctl.js';
import { type Row, row } from './dispatch.js';
import { allocMemseg, checkSegid, mapMemseg, nextMapping, unmapMemseg } from './memory.js';
import type { VmFile } from './vm-file.js';

/** Bytes of a NUMA mask: sizeof(domainset_t) in the kernel of amd64, and DOMAINSET_MAXSIZE. */
const MIN_DOMAINSET = 8n;
const MAX_DOMAINSET = 32n;

const MAPPING_ROWS: readonly Row<VmFile>[] = [
  row(VMM_IOCTLS.VM_MMAP_GETNEXT, ['SLOCK_MEMSEGS'], ({ vm }: VmFile, { gpa }) => {
    return nextMapping(vm, gpa);
  }),
  row(
    VMM_IOCTLS.VM_MMAP_MEMSEG,
    ['XLOCK_MEMSEGS', 'LOCK_ALL_VCPUS'],
    ({ host, vm }: VmFile, map) => {
      mapMemseg(vm, map, host.limits);
      host.changed(vm);
      return undefined;
    },
  ),
  row(
    VMM_IOCTLS.VM_MUNMAP_MEMSEG,
    ['XLOCK_MEMSEGS', 'LOCK_ALL_VCPUS'],
    ({ host, vm }: VmFile, { gpa, len }) => {
      unmapMemseg(vm, gpa, len, host.limits);
      host.changed(vm);
      return undefined;
    },
  ),
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
    row(alloc, ['XLOCK_MEMSEGS', 'LOCK_ALL_VCPUS'], ({ host, vm }: VmFile, argument) => {
      check(argument);
      const { len } = argument;
      const request = { segid: numbered(argument.segid), len, name: segmentName(argument.name) };
      allocMemseg(vm, request, host.paths, host.limits);
      host.changed(vm);
      return undefined;
    }),
    row(get, ['SLOCK_MEMSEGS'], ({ host, vm }: VmFile, argument) => {
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

export const MEMORY_ROWS_14: readonly Row<VmFile>[] = [
  ...MAPPING_ROWS,
  ...memsegRows(VM_ALLOC_MEMSEG_14, VM_GET_MEMSEG_14, same),
  ...memsegRows(VM_ALLOC_MEMSEG_12, VM_GET_MEMSEG_12, same),
];

export const MEMORY_ROWS_15: readonly Row<VmFile>[] = [
  ...MAPPING_ROWS,
  ...memsegRows(VM_ALLOC_MEMSEG, VM_GET_MEMSEG, same, checkDomains),
  ...memsegRows(VM_ALLOC_MEMSEG_14, VM_GET_MEMSEG_14, since15),
  ...memsegRows(VM_ALLOC_MEMSEG_12, VM_GET_MEMSEG_12, since15),
];

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
