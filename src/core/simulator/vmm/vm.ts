/** A VM as vmm(4) knows it: pure data, changed by the ioctls of its node. */
import { vm_suspend_how } from '../../abi/vmm-machine.js';
import type { Caller } from '../node.js';

export type VmState = 'created' | 'running' | 'suspended' | 'destroying';

/** `ephemeral` is destroyed at the last close of the descriptor that it was created on. */
export type VmLifetime = 'persistent' | 'ephemeral';

/** struct vm_cpu_topology. */
export interface Topology {
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
  /** hw.vmm.maxcpu when the VM was created. */
  readonly maxcpus: number;
}

/** A memory segment: system memory has no name, a device's has one and is a node. */
export interface Memseg {
  readonly segid: number;
  /** Bytes. */
  readonly len: bigint;
  readonly name: string;
  /** Of its node below /dev; empty for system memory. */
  readonly path: string;
}

/** struct vm_memmap: where part of a segment stands in the guest's memory. */
export interface Memmap {
  readonly gpa: bigint;
  readonly segid: number;
  /** Bytes. */
  readonly segoff: bigint;
  /** Bytes. */
  readonly len: bigint;
  readonly prot: number;
  readonly flags: number;
}

export interface Vm {
  readonly name: string;
  /** Of its node below /dev. */
  readonly path: string;
  readonly creator: Caller;
  /** Wall-clock time, milliseconds. */
  readonly createdAtMs: number;
  readonly lifetime: VmLifetime;
  state: VmState;
  /** One of vm_suspend_how: why it is suspended, or NONE. */
  suspendReason: number;
  topology: Topology;
  /** By segment number. */
  readonly memsegs: Map<number, Memseg>;
  /** In no order. */
  readonly memmaps: Memmap[];
  /** Numbers of virtual CPUs. */
  readonly activeCpus: Set<number>;
  /** Those that have seen that the VM is suspended. */
  readonly suspendedCpus: Set<number>;
}

export interface VmEvent {
  readonly type: 'created' | 'destroyed' | 'changed';
  readonly vm: Vm;
}

/** What of a persistent VM outlives the simulated host, fit for JSON. */
export interface SavedVm {
  name: string;
  creator: Omit<Caller, 'capabilities'> & { capabilities: 'all' | readonly string[] };
  createdAtMs: number;
  topology: Topology;
  /** `len` in bytes, decimal: it may be above 2^53. */
  memsegs: { segid: number; len: string; name: string }[];
  /** As above; absent in what older versions saved. */
  memmaps?: {
    gpa: string;
    segid: number;
    segoff: string;
    len: string;
    prot: number;
    flags: number;
  }[];
}

/**
 * Bytes of a VM's system memory: what is mapped of it, or while nothing is the size of its segments.
 * A segment may be larger than what its guest sees of it, for the hole below 4 GiB. Exact below 2^53.
 */
export function memoryBytes(vm: Vm): number {
  const mapped = sum(vm.memmaps.filter(({ segid }) => isSystemMemory(vm, segid)));
  const segments = [...vm.memsegs.values()].filter(({ segid }) => isSystemMemory(vm, segid));
  return Number(mapped > 0n ? mapped : sum(segments));
}

/** System memory has no name. */
export function isSystemMemory(vm: Vm, segid: number): boolean {
  return vm.memsegs.get(segid)?.name === '';
}

function sum(parts: readonly { len: bigint }[]): bigint {
  return parts.reduce((total, { len }) => total + len, 0n);
}

/** Virtual CPUs of a VM, as its topology says. */
export function cpuCount(vm: Vm): number {
  const { sockets, cores, threads } = vm.topology;
  return sockets * cores * threads;
}

/**
 * What VM_REINIT leaves: vCPUs gone and the reason with them, devices' memory no longer mapped;
 * system memory and topology stay. Source: vm_mem_cleanup() in sys/dev/vmm/vmm_mem.c.
 */
export function resetVm(vm: Vm): void {
  const kept = vm.memmaps.filter(({ segid }) => isSystemMemory(vm, segid));
  vm.memmaps.splice(0, vm.memmaps.length, ...kept);
  vm.state = 'created';
  vm.suspendReason = vm_suspend_how.VM_SUSPEND_NONE;
  vm.activeCpus.clear();
  vm.suspendedCpus.clear();
}

/** What `Vmm.restore` takes. */
export function saveVm(vm: Vm): SavedVm {
  const { capabilities } = vm.creator;
  return {
    name: vm.name,
    creator: {
      ...vm.creator,
      capabilities: capabilities === 'all' ? 'all' : [...capabilities],
    },
    createdAtMs: vm.createdAtMs,
    topology: vm.topology,
    memsegs: [...vm.memsegs.values()].map(({ segid, len, name }) => {
      return { segid, len: String(len), name };
    }),
    memmaps: vm.memmaps.map(({ gpa, segoff, len, ...rest }) => {
      return { ...rest, gpa: String(gpa), segoff: String(segoff), len: String(len) };
    }),
  };
}
