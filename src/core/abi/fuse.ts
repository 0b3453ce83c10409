/**
 * What the kernel and a program say to each other over /dev/cuse. Mirrors Linux include/uapi/linux/fuse.h, as far as a
 * character device needs it. One read gives one request: a header and what the operation has; one write takes one
 * reply.
 */
import { array, i32, struct, u16, u32, u64 } from './layout.js';

export const FUSE_KERNEL_VERSION = 7;
/** The version that we speak; a newer kernel speaks it too. */
export const FUSE_KERNEL_MINOR_VERSION = 31;
export const FUSE_OPCODE = {
  FUSE_FORGET: 2,
  FUSE_OPEN: 14,
  FUSE_READ: 15,
  FUSE_WRITE: 16,
  FUSE_RELEASE: 18,
  FUSE_INTERRUPT: 36,
  FUSE_IOCTL: 39,
  FUSE_POLL: 40,
  FUSE_NOTIFY_REPLY: 41,
  FUSE_BATCH_FORGET: 42,
  CUSE_INIT: 4096,
} as const;

/** Begins each request. `uid`, `gid` and `pid` are the caller's; `len` counts the header, in bytes. */
export const fuse_in_header = struct('fuse_in_header', {
  len: u32,
  opcode: u32,
  unique: u64,
  nodeid: u64,
  uid: u32,
  gid: u32,
  pid: u32,
  total_extlen: u16,
  padding: u16,
});

/** Begins each reply. `error` is 0 or a negated errno; with one nothing follows. */
export const fuse_out_header = struct('fuse_out_header', { len: u32, error: i32, unique: u64 });

/** `flags` as in open(2). */
export const fuse_open_in = struct('fuse_open_in', { flags: u32, open_flags: u32 });
/** `fh` comes with each later request about the open file. */
export const fuse_open_out = struct('fuse_open_out', { fh: u64, open_flags: u32, padding: u32 });

export const fuse_release_in = struct('fuse_release_in', {
  fh: u64,
  flags: u32,
  release_flags: u32,
  lock_owner: u64,
});

/** `unique` is that of the request whose caller has got a signal. It has no reply of its own. */
export const fuse_interrupt_in = struct('fuse_interrupt_in', { unique: u64 });

/** In a reply: do it again, with the memory that is named in it. */
export const FUSE_IOCTL_RETRY = 1 << 2;
/** Ranges that a retry may name, in and out together. */
export const FUSE_IOCTL_MAX_IOV = 256;

/** `in_size` bytes follow; the reply has at most `out_size`. */
export const fuse_ioctl_in = struct('fuse_ioctl_in', {
  fh: u64,
  flags: u32,
  cmd: u32,
  arg: u64,
  in_size: u32,
  out_size: u32,
});
/** A range of the caller's memory, bytes. */
export const fuse_ioctl_iovec = struct('fuse_ioctl_iovec', { base: u64, len: u64 });
/** With FUSE_IOCTL_RETRY the ranges follow, else what the call gives back. */
export const fuse_ioctl_out = struct('fuse_ioctl_out', {
  result: i32,
  flags: u32,
  in_iovs: u32,
  out_iovs: u32,
});

/** In a poll: somebody waits, and is to be told. */
export const FUSE_POLL_SCHEDULE_NOTIFY = 1 << 0;
/** `kh` names the open file in what tells that. `events` are those that are asked for. */
export const fuse_poll_in = struct('fuse_poll_in', { fh: u64, kh: u64, flags: u32, events: u32 });
export const fuse_poll_out = struct('fuse_poll_out', { revents: u32, padding: u32 });
/** Stands as the error of a header whose `unique` is 0: a poll may have another answer now. */
export const FUSE_NOTIFY_POLL = 1;
export const fuse_notify_poll_wakeup_out = struct('fuse_notify_poll_wakeup_out', { kh: u64 });

/** The device may say what memory an ioctl has. */
export const CUSE_UNRESTRICTED_IOCTL = 1 << 0;
/** Bytes of the text behind cuse_init_out, at most. */
export const CUSE_INIT_INFO_MAX = 4096;

export const cuse_init_in = struct('cuse_init_in', {
  major: u32,
  minor: u32,
  unused: u32,
  flags: u32,
});
/** Words of the form NAME=VALUE follow, each ended by a NUL; DEVNAME is the node's name below /dev. */
export const cuse_init_out = struct('cuse_init_out', {
  major: u32,
  minor: u32,
  unused: u32,
  flags: u32,
  max_read: u32,
  max_write: u32,
  dev_major: u32,
  dev_minor: u32,
  spare: array(u32, 10),
});
