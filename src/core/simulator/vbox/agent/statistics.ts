/** What a guest reports of itself: VMMDevReq_ReportGuestStats, one for each CPU. */
import { VBOX_GUEST_STAT, VMMDevReportGuestStats } from '../../../abi/vmmdev-memory.js';

/** What there is to know of a simulated guest; sizes are in bytes. */
export interface GuestFacts {
  readonly hostname: string;
  cpus(): number;
  memoryBytes(): number;
  freeBytes(): number;
}

/** CPUs that are reported; a host takes one request for each. */
const MAX_CPUS = 8;
const PAGE_BYTES = 4096;

const LOADS =
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_CPU_LOAD_IDLE |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_CPU_LOAD_KERNEL |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_CPU_LOAD_USER;
const MEMORY =
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_MEMORY_LOAD |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_PHYS_MEM_TOTAL |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_PHYS_MEM_AVAIL |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_PHYS_MEM_BALLOON |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_MEM_SYSTEM_CACHE |
  VBOX_GUEST_STAT.VBOX_GUEST_STAT_PAGE_FILE_SIZE;

/**
 * The requests of one report. No program runs in a simulated guest, so its CPUs are idle; it has no swap and no cache.
 * The memory comes with the first CPU. @param balloonChunks chunks of 1 MiB that the guest has given up.
 */
export function statisticsReports(facts: GuestFacts, balloonChunks: number): Uint8Array[] {
  const cpus = Math.min(MAX_CPUS, Math.max(1, facts.cpus()));
  return Array.from({ length: cpus }, (_, u32CpuId) =>
    VMMDevReportGuestStats.encode({
      guestStats: {
        ...VMMDevReportGuestStats.zero().guestStats,
        u32CpuId,
        u32StatCaps: u32CpuId === 0 ? LOADS | MEMORY : LOADS,
        u32CpuLoad_Idle: 100,
        ...(u32CpuId === 0 ? memory(facts, balloonChunks) : {}),
      },
    }),
  );
}

function memory(facts: GuestFacts, balloonChunks: number) {
  const total = facts.memoryBytes();
  const free = Math.min(total, Math.max(0, facts.freeBytes()));
  return {
    u32MemoryLoad: total > 0 ? Math.round(100 * (1 - free / total)) : 0,
    u32PageSize: PAGE_BYTES,
    u32PhysMemTotal: pages(total),
    u32PhysMemAvail: pages(free),
    u32PhysMemBalloon: balloonChunks,
  };
}

function pages(bytes: number): number {
  return Math.floor(bytes / PAGE_BYTES) >>> 0;
}
