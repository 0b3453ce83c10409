/**
 * The guest device's requests about memory: the balloon and the guest's statistics. Mirrors VirtualBox'
 * include/VBox/VMMDev.h.
 */
import { struct, u32 } from './layout.js';
import { VMMDevRequestHeader } from './vmmdev.js';

const header = VMMDevRequestHeader;

/** Bytes of a chunk, in which the balloon is counted. */
export const VMMDEV_MEMORY_BALLOON_CHUNK_SIZE = 1048576;
/** Pages of a chunk, of 4096 bytes each. */
export const VMMDEV_MEMORY_BALLOON_CHUNK_PAGES = 256;

/**
 * What the host wants, and all that the VM has, in chunks. With VMMDEV_EVENT_BALLOON_CHANGE_REQUEST in `eventAck` it
 * counts as read.
 */
export const VMMDevGetMemBalloonChangeRequest = struct('VMMDevGetMemBalloonChangeRequest', {
  header,
  cBalloonChunks: u32,
  cPhysMemChunks: u32,
  eventAck: u32,
});

/** Gives a chunk to the host or takes it back. The physical addresses of its pages follow, 64 bits each. */
export const VMMDevChangeMemBalloon = struct('VMMDevChangeMemBalloon', {
  header,
  cPages: u32,
  fInflate: u32,
});
/** Bytes of a VMMDevChangeMemBalloon with the addresses of a whole chunk, the only size that a host takes. */
export const VMMDEV_CHANGE_MEM_BALLOON_SIZE =
  VMMDevChangeMemBalloon.size + 8 * VMMDEV_MEMORY_BALLOON_CHUNK_PAGES;

/** The interval in seconds, 0 for no statistics. Its event is VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST. */
export const VMMDevGetStatisticsChangeRequest = struct('VMMDevGetStatisticsChangeRequest', {
  header,
  u32StatInterval: u32,
  eventAck: u32,
});

/** Loads in percent of the last interval, memory in pages of `u32PageSize` bytes but for the balloon, in chunks. */
export const VBoxGuestStatistics = struct('VBoxGuestStatistics', {
  u32CpuId: u32,
  u32StatCaps: u32,
  u32CpuLoad_Idle: u32,
  u32CpuLoad_Kernel: u32,
  u32CpuLoad_User: u32,
  u32Threads: u32,
  u32Processes: u32,
  u32Handles: u32,
  u32MemoryLoad: u32,
  u32PageSize: u32,
  u32PhysMemTotal: u32,
  u32PhysMemAvail: u32,
  u32PhysMemBalloon: u32,
  u32MemCommitTotal: u32,
  u32MemKernelTotal: u32,
  u32MemKernelPaged: u32,
  u32MemKernelNonPaged: u32,
  u32MemSystemCache: u32,
  u32PageFileSize: u32,
});
export const VMMDevReportGuestStats = struct('VMMDevReportGuestStats', {
  header,
  guestStats: VBoxGuestStatistics,
});

/** In `u32StatCaps`: which of the fields are filled in, as masks. The page size has none. */
export const VBOX_GUEST_STAT = {
  VBOX_GUEST_STAT_CPU_LOAD_IDLE: 0x1,
  VBOX_GUEST_STAT_CPU_LOAD_KERNEL: 0x2,
  VBOX_GUEST_STAT_CPU_LOAD_USER: 0x4,
  VBOX_GUEST_STAT_THREADS: 0x8,
  VBOX_GUEST_STAT_PROCESSES: 0x10,
  VBOX_GUEST_STAT_HANDLES: 0x20,
  VBOX_GUEST_STAT_MEMORY_LOAD: 0x40,
  VBOX_GUEST_STAT_PHYS_MEM_TOTAL: 0x80,
  VBOX_GUEST_STAT_PHYS_MEM_AVAIL: 0x100,
  VBOX_GUEST_STAT_PHYS_MEM_BALLOON: 0x200,
  VBOX_GUEST_STAT_MEM_COMMIT_TOTAL: 0x400,
  VBOX_GUEST_STAT_MEM_KERNEL_TOTAL: 0x800,
  VBOX_GUEST_STAT_MEM_KERNEL_PAGED: 0x1000,
  VBOX_GUEST_STAT_MEM_KERNEL_NONPAGED: 0x2000,
  VBOX_GUEST_STAT_MEM_SYSTEM_CACHE: 0x4000,
  VBOX_GUEST_STAT_PAGE_FILE_SIZE: 0x8000,
} as const;
