/** The virtio memory balloon. Mirrors Linux include/uapi/linux/virtio_balloon.h; features are numbers of bits. */
import { struct, u16, u32, u64 } from './layout.js';

/** Number of the device type. Source: virtio_ids.h. */
export const VIRTIO_ID_BALLOON = 5;

export const VIRTIO_BALLOON_F_MUST_TELL_HOST = 0;
export const VIRTIO_BALLOON_F_STATS_VQ = 1;
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 2;
export const VIRTIO_BALLOON_F_FREE_PAGE_HINT = 3;
export const VIRTIO_BALLOON_F_PAGE_POISON = 4;
export const VIRTIO_BALLOON_F_REPORTING = 5;

/** A balloon's page is 1 << this many bytes, whatever the guest's pages are. */
export const VIRTIO_BALLOON_PFN_SHIFT = 12;

export const virtio_balloon_config = struct('virtio_balloon_config', {
  num_pages: u32,
  actual: u32,
  free_page_hint_cmd_id: u32,
  poison_val: u32,
});

/** Tags of statistics that all kernels since 4.19 have. Sizes are in bytes, the rest are counts. */
export const VIRTIO_BALLOON_S_SWAP_IN = 0;
export const VIRTIO_BALLOON_S_SWAP_OUT = 1;
export const VIRTIO_BALLOON_S_MAJFLT = 2;
export const VIRTIO_BALLOON_S_MINFLT = 3;
export const VIRTIO_BALLOON_S_MEMFREE = 4;
export const VIRTIO_BALLOON_S_MEMTOT = 5;
export const VIRTIO_BALLOON_S_AVAIL = 6;
export const VIRTIO_BALLOON_S_CACHES = 7;
export const VIRTIO_BALLOON_S_HTLB_PGALLOC = 8;
export const VIRTIO_BALLOON_S_HTLB_PGFAIL = 9;

export const virtio_balloon_stat = struct(
  'virtio_balloon_stat',
  { tag: u16, val: u64 },
  { packed: true },
);

export const VIRTIO_BALLOON_FEATURES: Readonly<Record<string, number>> = {
  VIRTIO_BALLOON_F_MUST_TELL_HOST,
  VIRTIO_BALLOON_F_STATS_VQ,
  VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
  VIRTIO_BALLOON_F_FREE_PAGE_HINT,
  VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_REPORTING,
};
