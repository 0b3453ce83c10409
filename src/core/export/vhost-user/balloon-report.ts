/** A guest's statistics, as its balloon's driver sends them. */
import {
  VIRTIO_BALLOON_S_AVAIL,
  VIRTIO_BALLOON_S_CACHES,
  VIRTIO_BALLOON_S_MEMFREE,
  VIRTIO_BALLOON_S_MEMTOT,
  virtio_balloon_stat,
} from '../../abi/virtio-balloon.js';
import type { MemoryReport } from '../../simulator/real-guest.js';

/** What the entries say; a tag that comes again replaces the one before, and a part of an entry says nothing. */
export function readReport(bytes: Uint8Array): Omit<MemoryReport, 'reportedAtMs'> {
  const values = new Map<number, number>();
  const { size } = virtio_balloon_stat;
  for (let at = 0; at + size <= bytes.length; at += size) {
    const { tag, val } = virtio_balloon_stat.decode(bytes.subarray(at, at + size));
    values.set(tag, Number(val));
  }
  const of = (tag: number) => values.get(tag) ?? null;
  return {
    total: of(VIRTIO_BALLOON_S_MEMTOT),
    free: of(VIRTIO_BALLOON_S_MEMFREE),
    available: of(VIRTIO_BALLOON_S_AVAIL),
    caches: of(VIRTIO_BALLOON_S_CACHES),
  };
}
