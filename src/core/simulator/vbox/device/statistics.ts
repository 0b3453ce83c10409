/** What the guest reports of itself at an interval that the host sets. */
import { SystemError } from '../../../abi/errno.js';
import type { Decoded } from '../../../abi/layout.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDEV_EVENT } from '../../../abi/vmmdev.js';
import {
  VBOX_GUEST_STAT,
  type VBoxGuestStatistics,
  VMMDEV_MEMORY_BALLOON_CHUNK_SIZE,
} from '../../../abi/vmmdev-memory.js';
import type { Clock } from '../../clock.js';
import type { Events } from './events.js';

const { VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST } = VMMDEV_EVENT;

/** CPUs whose reports are kept, so that a guest can't make up more and more. */
const MOST_CPUS = 256;
/** Bytes. VirtualBox takes no other page size either, whatever the report says. */
const PAGE_SIZE = 4096;

/** The last report of one CPU. Loads are in percent, sizes in bytes; what the guest left out is null. */
export interface CpuStatistics {
  readonly cpu: number;
  /** Milliseconds since 1970. */
  readonly reportedAtMs: number;
  readonly cpuIdle: number | null;
  readonly cpuKernel: number | null;
  readonly cpuUser: number | null;
  readonly threads: number | null;
  readonly processes: number | null;
  readonly handles: number | null;
  readonly memoryLoad: number | null;
  readonly memoryTotal: number | null;
  readonly memoryAvailable: number | null;
  readonly memoryBalloon: number | null;
  readonly memoryCommitted: number | null;
  readonly kernelTotal: number | null;
  readonly kernelPaged: number | null;
  readonly kernelNonPaged: number | null;
  readonly systemCache: number | null;
  readonly pageFileSize: number | null;
}

type Report = Decoded<typeof VBoxGuestStatistics>;

export class Statistics {
  readonly #clock: Clock;
  readonly #events: Events;
  #interval: number;
  /** The last interval that the guest read with the event's acknowledge. */
  #read = 0;
  readonly #reports = new Map<number, CpuStatistics>();

  constructor(clock: Clock, events: Events, interval: number) {
    this.#clock = clock;
    this.#events = events;
    this.#interval = interval;
  }

  /** By the number of the CPU. */
  get reports(): CpuStatistics[] {
    return [...this.#reports.values()].sort((a, b) => a.cpu - b.cpu);
  }

  /** Seconds. @throws SystemError EINVAL for what 32 bits can't say. */
  changeInterval(seconds: number): void {
    if (seconds !== seconds >>> 0) {
      throw new SystemError('EINVAL', { message: 'an interval is a whole number of seconds' });
    }
    if (seconds === this.#read) return;
    this.#interval = seconds;
    this.#events.raise(VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST);
  }

  /** GetStatisticsChangeRequest. */
  request(eventAck: number): { u32StatInterval: number } {
    if (eventAck === VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST) this.#read = this.#interval;
    return { u32StatInterval: this.#interval };
  }

  /** ReportGuestStats. */
  report(report: Report): number {
    const { u32CpuId: cpu } = report;
    if (cpu < MOST_CPUS) this.#reports.set(cpu, decode(report, this.#clock.wallMs()));
    return VBOX_STATUS.VINF_SUCCESS;
  }

  reset(): void {
    this.#read = 0;
    this.#reports.clear();
  }
}

function decode(report: Report, reportedAtMs: number): CpuStatistics {
  const given = (bit: keyof typeof VBOX_GUEST_STAT, value: number, unit = 1): number | null =>
    (report.u32StatCaps & VBOX_GUEST_STAT[bit]) === 0 ? null : value * unit;
  const pages = (bit: keyof typeof VBOX_GUEST_STAT, value: number) => given(bit, value, PAGE_SIZE);
  return {
    cpu: report.u32CpuId,
    reportedAtMs,
    cpuIdle: given('VBOX_GUEST_STAT_CPU_LOAD_IDLE', report.u32CpuLoad_Idle),
    cpuKernel: given('VBOX_GUEST_STAT_CPU_LOAD_KERNEL', report.u32CpuLoad_Kernel),
    cpuUser: given('VBOX_GUEST_STAT_CPU_LOAD_USER', report.u32CpuLoad_User),
    threads: given('VBOX_GUEST_STAT_THREADS', report.u32Threads),
    processes: given('VBOX_GUEST_STAT_PROCESSES', report.u32Processes),
    handles: given('VBOX_GUEST_STAT_HANDLES', report.u32Handles),
    memoryLoad: given('VBOX_GUEST_STAT_MEMORY_LOAD', report.u32MemoryLoad),
    memoryTotal: pages('VBOX_GUEST_STAT_PHYS_MEM_TOTAL', report.u32PhysMemTotal),
    memoryAvailable: pages('VBOX_GUEST_STAT_PHYS_MEM_AVAIL', report.u32PhysMemAvail),
    memoryBalloon: given(
      'VBOX_GUEST_STAT_PHYS_MEM_BALLOON',
      report.u32PhysMemBalloon,
      VMMDEV_MEMORY_BALLOON_CHUNK_SIZE,
    ),
    memoryCommitted: pages('VBOX_GUEST_STAT_MEM_COMMIT_TOTAL', report.u32MemCommitTotal),
    kernelTotal: pages('VBOX_GUEST_STAT_MEM_KERNEL_TOTAL', report.u32MemKernelTotal),
    kernelPaged: pages('VBOX_GUEST_STAT_MEM_KERNEL_PAGED', report.u32MemKernelPaged),
    kernelNonPaged: pages('VBOX_GUEST_STAT_MEM_KERNEL_NONPAGED', report.u32MemKernelNonPaged),
    systemCache: pages('VBOX_GUEST_STAT_MEM_SYSTEM_CACHE', report.u32MemSystemCache),
    pageFileSize: pages('VBOX_GUEST_STAT_PAGE_FILE_SIZE', report.u32PageFileSize),
  };
}
