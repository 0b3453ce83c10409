/** Virtual machines, as their host tells of them. */
import type { VsockTransport } from './vsock.js';

export type VmState = 'created' | 'running' | 'suspended' | 'destroying';
export type VmLifetime = 'persistent' | 'ephemeral';

/** What `list --json` prints of a VM. What a backend can't know is null. */
export interface VmRecord {
  name: string;
  state: VmState | null;
  /** Why it is suspended: `poweroff`, `reset`, ..., `paused`; null when it is not, or nobody tells. */
  reason: string | null;
  cpus: number | null;
  /** Bytes. */
  memory: number | null;
  cid: number | null;
  lifetime: VmLifetime | null;
  /** ISO 8601, UTC. */
  createdAt: string | null;
  labels: Record<string, string>;
}

/** Where part of a memory segment stands in a guest's memory. */
export interface MemoryMapping {
  /** Guest physical address. */
  address: number;
  /** Bytes. */
  size: number;
  /** Number of the segment. */
  segment: number;
  /** Of a device's memory, such as `bootrom`; null for system memory. */
  device: string | null;
  /** Where in the segment it begins, bytes. */
  offset: number;
  /** What the guest may do there: `rwx`, with `-` for what it may not. */
  access: string;
}

/** How the vCPUs of a VM are arranged; `maxcpus` is the most that it could have. */
export interface VmTopology {
  sockets: number;
  cores: number;
  threads: number;
  maxcpus: number;
}

/** Numbers of vCPUs. */
export interface CpuSets {
  /** Those that may run. */
  active: number[];
  /** Those that have seen that the VM is suspended. */
  suspended: number[];
  /** Those that are paused. */
  debug: number[];
}

/** What `inspect` adds to it. */
export interface VmDetails extends VmRecord {
  /** Null where the hypervisor has none. */
  topology: VmTopology | null;
  /** Null where the hypervisor has none, or does not tell. */
  cpuSets: CpuSets | null;
  /** What carries its vsock. */
  vsockTransport: VsockTransport | null;
  /** In the order of addresses. */
  memoryMap: MemoryMapping[];
  devices: { path: string; description: string }[];
  /** Sockets and nodes for programs that know nothing of vmmctl; its hybrid vsock socket comes first. */
  exports: { kind: string; path: string }[];
  /** Kinds of the faults that it has been given. */
  faults: string[];
  counters: Record<string, number>;
  /** What KVM can do, by the header's names; of its VMs alone. */
  capabilities?: Record<string, number>;
}

/** Something that a simulated guest or its devices do wrong when told to. */
export interface Fault {
  /** `heartbeat-stop`, ...: FAULTS of the simulator has them all. */
  kind: string;
  /** Of a kind that takes one: milliseconds, or a share from 0 to 1. */
  value?: number | undefined;
  /** Milliseconds; it stays until it is cleared when left out. */
  forMs?: number | undefined;
}

/**
 * How a VM is offered to programs that know nothing of vmmctl: its hybrid vsock socket, which is always there; a socket at
 * which a real kernel's hypervisor finds a virtio device; its guest's device nodes on this machine.
 */
export type ExportKind = 'hybrid-vsock' | 'vhost-user-vsock' | 'vhost-user-balloon' | 'cuse';

/** Those that are virtio devices for a kernel. */
export type DeviceExportKind = Extract<ExportKind, `vhost-user-${string}`>;

export interface ExportRecord {
  kind: ExportKind;
  /** Sockets and nodes by which it is used. */
  paths: string[];
}

export interface HostVersion {
  product: string;
  version: string;
  revision: string;
  features: string[];
}
