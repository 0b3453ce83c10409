/** A VM as vmm(4) knows it: pure data, changed by the ioctls of its node. */
import { VM_SYSMEM } from '../../abi/vmm.js';
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
}

/** Bytes of a VM's system memory; exact below 2^53. */
export function memoryBytes(vm: Vm): number {
  const segment = vm.memsegs.get(VM_SYSMEM);
  return segment === undefined || segment.name !== '' ? 0 : Number(segment.len);
}

/** Virtual CPUs of a VM, as its topology says. */
export function cpuCount(vm: Vm): number {
  const { sockets, cores, threads } = vm.topology;
  return sockets * cores * threads;
}

/** What VM_REINIT leaves: vCPUs gone and the reason with them; memory and topology stay. */
export function resetVm(vm: Vm): void {
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
  };
}
