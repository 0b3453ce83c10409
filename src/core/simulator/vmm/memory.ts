/**
 * Memory segments of a VM, and where its guest has them. Follows FreeBSD's sys/dev/vmm/vmm_mem.c
 * and vmm_dev.c.
 */
import { SystemError } from '../../abi/errno.js';
import { VM_MEMMAP_F_WIRED, VM_PROT_ALL } from '../../abi/vmm.js';
import type { MemoryLimits } from './config.js';
import { type DevfsPaths, memsegPath } from './names.js';
import type { Memmap, Memseg, Vm } from './vm.js';

/** Bytes. */
export const PAGE_SIZE = 4096n;

/**
 * Allocates a segment; `len` is in bytes. One with a name is a device's memory and gets a node.
 * @throws SystemError EINVAL for a number out of range, a length that is 0 or no multiple of the
 * page size, or a segment that is there with another length or kind; EEXIST when the same one is
 * there; for a name also what `memsegPath` and `DevfsPaths.add` throw.
 */
export function allocMemseg(
  vm: Vm,
  request: { segid: number; len: bigint; name: string },
  paths: DevfsPaths,
  limits: MemoryLimits,
): Memseg {
  const { segid, len, name } = request;
  checkSegid(segid, limits);
  if (len === 0n || len % PAGE_SIZE !== 0n) {
    throw new SystemError('EINVAL', {
      message: `a segment's length is a multiple of ${PAGE_SIZE} bytes, and not 0`,
    });
  }
  const old = vm.memsegs.get(segid);
  if (old !== undefined) {
    const same = old.len === len && (old.name === '') === (name === '');
    throw new SystemError(same ? 'EEXIST' : 'EINVAL', {
      message: `segment ${segid} is there already`,
    });
  }
  const path = name === '' ? '' : memsegPath(vm.name, name);
  if (path !== '') paths.add(path);
  const segment = { segid, len, name, path };
  vm.memsegs.set(segid, segment);
  return segment;
}

/** @throws SystemError EINVAL for a number out of range. */
export function checkSegid(segid: number, { segments }: MemoryLimits): void {
  if (segid >= 0 && segid < segments) return;
  throw new SystemError('EINVAL', { message: `segments are numbered 0 to ${segments - 1}` });
}

/**
 * Maps part of a segment into the guest's memory. The order of the checks is the kernel's.
 * @throws SystemError EINVAL for a protection, flag, segment or range that makes no sense; ENOSPC
 * when the VM has as many mappings as it may; EFAULT when it lies over another.
 */
export function mapMemseg(vm: Vm, map: Memmap, limits: MemoryLimits): void {
  const { gpa, segid, segoff, len, prot, flags } = map;
  if (prot === 0 || (prot & ~VM_PROT_ALL) !== 0) throw invalid('no protection is like that');
  if ((flags & ~VM_MEMMAP_F_WIRED) !== 0) throw invalid('a mapping has no such flag');
  checkSegid(segid, limits);
  const segment = vm.memsegs.get(segid);
  if (segment === undefined) throw invalid(`there is no segment ${segid}`);
  const last = segoff + len;
  if (segoff < 0n || segoff >= last || last > segment.len) {
    throw invalid(`segment ${segid} has no such part`);
  }
  if ([gpa, segoff, last].some((at) => at % PAGE_SIZE !== 0n)) {
    throw invalid(`a mapping begins and ends at a multiple of ${PAGE_SIZE} bytes`);
  }
  if (vm.memmaps.length >= limits.mappings) throw new SystemError('ENOSPC');
  if (vm.memmaps.some((other) => gpa < other.gpa + other.len && other.gpa < gpa + len)) {
    throw new SystemError('EFAULT', { message: 'another mapping is there' });
  }
  vm.memmaps.push(map);
}

/**
 * Takes a mapping away.
 * @throws SystemError EINVAL unless one begins there and is as long.
 */
export function unmapMemseg(vm: Vm, gpa: bigint, len: bigint, limits: MemoryLimits): void {
  const at = vm.memmaps.findIndex((map) => map.gpa === gpa && map.len === len);
  if (at >= 0) vm.memmaps.splice(at, 1);
  // The kernel's table has zeros where nothing is mapped, and finds those.
  else if (gpa !== 0n || len !== 0n || vm.memmaps.length >= limits.mappings) {
    throw invalid('no mapping begins there and is as long');
  }
}

/** The mapping at an address, or the first one above. @throws SystemError ENOENT when there is none. */
export function nextMapping(vm: Vm, gpa: bigint): Memmap {
  const found = vm.memmaps
    .filter((map) => map.gpa >= gpa)
    .reduce<Memmap | undefined>((first, map) => {
      return first === undefined || map.gpa < first.gpa ? map : first;
    }, undefined);
  if (found === undefined) throw new SystemError('ENOENT', { message: 'nothing is mapped there' });
  return found;
}

function invalid(message: string): SystemError {
  return new SystemError('EINVAL', { message });
}

/** The VM is going: the nodes of its segments are gone. The memory stays for its guest, which ends after it. */
export function removeMemsegNodes(vm: Vm, paths: DevfsPaths): void {
  for (const { path } of vm.memsegs.values()) {
    if (path !== '') paths.remove(path);
  }
}
