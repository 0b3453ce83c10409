/**
 * The split virtqueue, as driver and device share it. Mirrors Linux include/uapi/linux/virtio_ring.h (virtio 1.2,
 * section 2.7). Feature bits of the ring are in virtio.ts.
 */
import { struct, u16, u32, u64 } from './layout.js';

/** The chain goes on with `next`. */
export const VRING_DESC_F_NEXT = 1;
/** The device writes the buffer; without it, it reads. */
export const VRING_DESC_F_WRITE = 2;
/** The buffer is a table of descriptors. */
export const VRING_DESC_F_INDIRECT = 4;

/** The device needs no kick. A hint: one may come all the same. */
export const VRING_USED_F_NO_NOTIFY = 1;
/** The driver needs no interrupt. */
export const VRING_AVAIL_F_NO_INTERRUPT = 1;

export const VRING_AVAIL_ALIGN_SIZE = 2;
export const VRING_USED_ALIGN_SIZE = 4;
export const VRING_DESC_ALIGN_SIZE = 16;

/** The most entries that a queue may have; a power of two in any case. Source: virtio 1.2, section 2.7. */
export const VIRTQUEUE_SIZE_MAX = 32768;

export const vring_desc = struct('vring_desc', { addr: u64, len: u32, flags: u16, next: u16 });
/** Followed by `ring`, a u16 for each entry, and `used_event`, a u16. */
export const vring_avail = struct('vring_avail', { flags: u16, idx: u16 });
export const vring_used_elem = struct('vring_used_elem', { id: u32, len: u32 });
/** Followed by `ring`, a vring_used_elem for each entry, and `avail_event`, a u16. */
export const vring_used = struct('vring_used', { flags: u16, idx: u16 });

/** Bytes of the three parts of a queue with `num` entries. */
export function vringSizes(num: number): { desc: number; avail: number; used: number } {
  return {
    desc: num * vring_desc.size,
    avail: vring_avail.size + num * u16.size + u16.size,
    used: vring_used.size + num * vring_used_elem.size + u16.size,
  };
}

/**
 * Whether the other side wants to be told that an index went from `old` to `now`, having asked for it at `event`.
 * All are free running u16. Source: vring_need_event in virtio_ring.h.
 */
export function vringNeedEvent(event: number, now: number, old: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - old) & 0xffff);
}
