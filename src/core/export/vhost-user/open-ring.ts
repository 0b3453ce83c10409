/** Finds a ring's parts in the guest's memory, and the way to look at them. */
import {
  VRING_AVAIL_ALIGN_SIZE,
  VRING_DESC_ALIGN_SIZE,
  VRING_USED_ALIGN_SIZE,
  vringSizes,
} from '../../abi/virtio-ring.js';
import { FileRing } from './file-ring.js';
import { MappedRing } from './mapped-ring.js';
import type { GuestMemory } from './memory.js';
import { type RingAddresses, RingError, type RingParts, type SplitRing } from './ring.js';

/** @throws RingError where a part is not in the guest's memory, or not aligned. */
export function openRing(num: number, at: RingAddresses, memory: GuestMemory): SplitRing {
  const part = (name: keyof RingAddresses, length: number, alignment: number) => {
    const found = memory.user(Number(at[name]), length);
    const address = `0x${at[name].toString(16)}`;
    if (found === undefined) throw new RingError(`${name} at ${address} is outside of its memory`);
    if ((found.bytes.skip + found.at) % alignment !== 0) {
      throw new RingError(`${name} at ${address} is not aligned`);
    }
    return found;
  };
  const sizes = vringSizes(num);
  const parts: RingParts = {
    desc: part('desc', sizes.desc, VRING_DESC_ALIGN_SIZE),
    avail: part('avail', sizes.avail, VRING_AVAIL_ALIGN_SIZE),
    used: part('used', sizes.used, VRING_USED_ALIGN_SIZE),
  };
  return MappedRing.over(num, parts) ?? new FileRing(num, parts);
}
