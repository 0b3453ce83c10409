/** What the host knows of a guest, in the form of the port. */
import type {
  BalloonRecord,
  GuestProperty,
  GuestStatistics,
  HeartbeatRecord,
} from '../backend/port/guest.js';
import { type Domain, listedName } from '../simulator/domain.js';
import type { Caller } from '../simulator/node.js';
import type { MemoryReport, RealBalloon } from '../simulator/real-guest.js';
import type { CpuStatistics } from '../simulator/vbox/device/statistics.js';
import { flagNames } from '../simulator/vbox/services/property-flags.js';
import type { GuestProperty as StoredProperty } from '../simulator/vbox/services/property-store.js';
import { memoryBytes, type Vm } from '../simulator/vmm/vm.js';

export const MIB = 2 ** 20;

export function balloonRecord({ vm, vbox, real }: Domain, caller: Caller): BalloonRecord {
  if (real.balloon !== undefined) return realBalloonRecord(vm, real.balloon, caller);
  const { targetChunks, actualChunks } = vbox.device.balloon;
  return {
    vm: listedName(vm, caller),
    memory: memoryBytes(vm),
    target: targetChunks * MIB,
    actual: actualChunks * MIB,
    unit: MIB,
    guestStats: guestStatistics(vbox.device.statistics),
  };
}

function realBalloonRecord(vm: Vm, balloon: RealBalloon, caller: Caller): BalloonRecord {
  const { target, actual, unit, statistics } = balloon;
  return {
    vm: listedName(vm, caller),
    memory: memoryBytes(vm),
    target,
    actual,
    unit,
    guestStats: statistics === null ? null : memoryStatistics(statistics, actual),
  };
}

/** What virtio's balloon tells of a guest is its memory alone. */
function memoryStatistics(report: MemoryReport, balloon: number): GuestStatistics {
  const { reportedAtMs, total, available, caches } = report;
  const used = total === null || available === null ? null : total - available;
  return {
    reportedAt: new Date(reportedAtMs).toISOString(),
    cpuUser: null,
    cpuKernel: null,
    cpuIdle: null,
    threads: null,
    processes: null,
    memoryLoad: used === null || !total ? null : Math.round((100 * used) / total),
    memoryTotal: total,
    memoryAvailable: available,
    memoryBalloon: balloon,
    memoryCommitted: null,
    kernelTotal: null,
    systemCache: caches,
    pageFileSize: null,
  };
}

export function heartbeatRecord({ vm, vbox }: Domain, caller: Caller): HeartbeatRecord {
  const { enabled, intervalMs, timeoutMs, lastBeatAtMs, ...rest } = vbox.device.heartbeat;
  const lastBeat = lastBeatAtMs === null ? null : new Date(lastBeatAtMs).toISOString();
  return { vm: listedName(vm, caller), enabled, intervalMs, timeoutMs, lastBeat, ...rest };
}

export function propertyRecord({ name, value, timestamp, flags }: StoredProperty): GuestProperty {
  return { name, value, timestamp: String(timestamp), flags: flagNames(flags) };
}

/** All CPUs in one: shares of time are averages, and the rest is what the first one said. */
function guestStatistics(reports: readonly CpuStatistics[]): GuestStatistics | null {
  const [first] = reports;
  if (first === undefined) return null;
  const { reportedAtMs, cpu, handles, kernelPaged, kernelNonPaged, ...shown } = first;
  return {
    reportedAt: new Date(reportedAtMs).toISOString(),
    ...shown,
    cpuUser: average(reports.map(({ cpuUser }) => cpuUser)),
    cpuKernel: average(reports.map(({ cpuKernel }) => cpuKernel)),
    cpuIdle: average(reports.map(({ cpuIdle }) => cpuIdle)),
  };
}

function average(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return Math.round(known.reduce((sum, value) => sum + value, 0) / known.length);
}
