/** What a guest and its host tell each other. */

/** A guest's own report on itself; sizes are in bytes, shares in percent. Null is what it left out. */
export interface GuestStatistics {
  /** ISO 8601, UTC. */
  reportedAt: string;
  cpuUser: number | null;
  cpuKernel: number | null;
  cpuIdle: number | null;
  threads: number | null;
  processes: number | null;
  memoryLoad: number | null;
  memoryTotal: number | null;
  memoryAvailable: number | null;
  memoryBalloon: number | null;
  memoryCommitted: number | null;
  kernelTotal: number | null;
  systemCache: number | null;
  pageFileSize: number | null;
}

/** The balloon of a VM; sizes in bytes. What the one who looks can't know is null. */
export interface BalloonRecord {
  /** Name of the VM; null for a guest that looks at its own. */
  vm: string | null;
  memory: number | null;
  /** What the host wants the guest to give up. */
  target: number | null;
  /** What it has given up. */
  actual: number | null;
  /** The step of its size. */
  unit: number;
  guestStats: GuestStatistics | null;
}

/** `late` is a beat that is overdue, and `flatlined` one that the host has given up to wait for. */
export type HeartbeatState = 'off' | 'beating' | 'late' | 'flatlined';

export interface HeartbeatRecord {
  vm: string;
  /** The host wants beats, and the guest has agreed. */
  enabled: boolean;
  intervalMs: number;
  timeoutMs: number;
  /** ISO 8601, UTC. */
  lastBeat: string | null;
  beats: number;
  /** How often the guest was silent for the whole time-out. */
  misses: number;
  state: HeartbeatState;
}

export interface HeartbeatChange {
  intervalMs?: number | undefined;
  timeoutMs?: number | undefined;
  enabled?: boolean | undefined;
}

/** A guest property. */
export interface GuestProperty {
  name: string;
  value: string;
  /** When it was set, nanoseconds since 1970, decimal; no two changes of a VM have the same. */
  timestamp: string;
  /** `TRANSIENT`, `RDONLYGUEST`, `RDONLYHOST`, `READONLY`, `TRANSRESET`. */
  flags: string[];
}

export interface GuestPropertyChange extends GuestProperty {
  deleted: boolean;
}
