/** A VM's memory, as KVM is told of it. */
import { SystemError } from '../../../abi/errno.js';
import { KVM_SET_USER_MEMORY_REGION, kvm_userspace_memory_region } from '../../../abi/kvm-vm.js';
import { GuestMemory } from '../../../native/guest-memory.js';
import type { Libc } from '../../../native/libc.js';
import type { KvmImage } from '../../port/kvm.js';
import type { MemoryMapping } from '../../port/vm.js';
import { check } from '../errors.js';
import { KVM_CALL } from './system.js';

const GIB = 2 ** 30;
/** The last GiB below 4 GiB is for devices; memory goes on above. */
const HOLE_START = 3 * GIB;
const HOLE_END = 4 * GIB;

/** Address space of this process. `length` is bytes, a multiple of the page size. @throws SystemError ENOMEM, EINVAL. */
export async function mapMemory(length: number): Promise<GuestMemory> {
  const mapped = await GuestMemory.map(length);
  if (typeof mapped !== 'number') return mapped;
  check(mapped, { syscall: 'mmap', message: `no room for ${length} bytes of memory` });
  throw new Error(`mmap said ${mapped}`);
}

/** Gives it to the VM. @throws SystemError what KVM says. */
export function placeMemory(libc: Libc, vm: number, memory: GuestMemory): MemoryMapping[] {
  const low = Math.min(memory.length, HOLE_START);
  const pieces = [
    { address: 0, offset: 0, size: low },
    { address: HOLE_END, offset: low, size: memory.length - low },
  ].filter(({ size }) => size > 0);
  pieces.forEach(({ address, offset, size }, slot) => {
    const region = kvm_userspace_memory_region.encode({
      slot,
      guest_phys_addr: BigInt(address),
      memory_size: BigInt(size),
      userspace_addr: memory.address + BigInt(offset),
    });
    check(libc.ioctl(vm, KVM_SET_USER_MEMORY_REGION, region), KVM_CALL);
  });
  return pieces.map(({ address, size, offset }) => ({
    ...{ address, size, segment: 0, device: null },
    ...{ offset, access: 'rwx' },
  }));
}

/** Writes an image. @throws SystemError EINVAL for one that does not lie in one piece of the memory. */
export function loadImage(
  memory: GuestMemory,
  map: readonly MemoryMapping[],
  { bytes, at }: KvmImage,
): void {
  const piece = map.find(
    ({ address, size }) => at >= address && at + bytes.length <= address + size,
  );
  if (piece === undefined) {
    throw new SystemError('EINVAL', {
      message: `${bytes.length} bytes at 0x${at.toString(16)} do not lie in the VM's memory`,
    });
  }
  memory.write(piece.offset + at - piece.address, bytes);
}
