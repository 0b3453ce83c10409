/**
 * Memory segments of a VM. Follows vm_alloc_memseg() in FreeBSD's sys/dev/vmm/vmm_mem.c and
 * vmm_dev.c.
 */
import { SystemError } from '../../abi/errno.js';
import { VM_MAX_MEMSEGS } from '../../abi/vmm.js';
import { type DevfsPaths, memsegPath } from './names.js';
import type { Memseg, Vm } from './vm.js';

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
): Memseg {
  const { segid, len, name } = request;
  checkSegid(segid);
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
export function checkSegid(segid: number): void {
  if (segid >= 0 && segid < VM_MAX_MEMSEGS) return;
  throw new SystemError('EINVAL', { message: `segments are numbered 0 to ${VM_MAX_MEMSEGS - 1}` });
}

/** Frees all segments. */
export function freeMemsegs(vm: Vm, paths: DevfsPaths): void {
  for (const { path } of vm.memsegs.values()) {
    if (path !== '') paths.remove(path);
  }
  vm.memsegs.clear();
}
