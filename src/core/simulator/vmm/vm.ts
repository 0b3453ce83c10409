/** A VM as vmm(4) knows it: what the ioctls of its node change. */
import { SystemError } from '../../abi/errno.js';
import { vm_suspend_how } from '../../abi/vmm-machine.js';
import type { Clock } from '../clock.js';
import type { Caller } from '../node.js';
import { sameCpus } from './cpuset.js';
import { KernelDevices } from './kernel-devices.js';
import { VmLocks } from './locks.js';
import type { Program } from './program.js';
import { Rtc } from './rtc.js';
import { Vcpu } from './vcpu.js';

/**
 * `running` from the first VM_RUN until whoever called it closes the node; `suspended` for a reason, or while all active
 * vCPUs are kept from running by VM_SUSPEND_CPU.
 */
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
  /** How often VM_REINIT has made it as new. */
  resets: number;
  topology: Topology;
  /** By segment number. */
  readonly memsegs: Map<number, Memseg>;
  /** In no order. */
  readonly memmaps: Memmap[];
  /** Numbers of virtual CPUs. */
  readonly activeCpus: Set<number>;
  /** Those that have seen that the VM is suspended. */
  readonly suspendedCpus: Set<number>;
  /** Those that VM_SUSPEND_CPU keeps from running. */
  readonly debugCpus: Set<number>;
  /** Those that sleep with interrupts off. */
  readonly haltedCpus: Set<number>;
  /** Those that an ioctl has named, by number. */
  readonly vcpus: Map<number, Vcpu>;
  /** What vCPUs execute, by their number. It stays over VM_REINIT. */
  readonly programs: Map<number, Program>;
  /** The open files that have run a vCPU. */
  readonly runners: Set<object>;
  /** A real kernel is its guest, which runs whatever the vCPUs here do. */
  hasRealGuest: boolean;
  readonly locks: VmLocks;
  readonly rtc: Rtc;
  devices: KernelDevices;
}

/** A VM in which nothing has happened. @param requestIdle makes one of its vCPUs leave the kernel, where it can. */
export function newVm(
  identity: Pick<Vm, 'name' | 'path' | 'creator' | 'createdAtMs' | 'lifetime' | 'topology'>,
  clock: Clock,
  requestIdle: (vm: Vm, vcpu: Vcpu) => void,
): Vm {
  const vm: Vm = {
    ...identity,
    state: 'created',
    suspendReason: vm_suspend_how.VM_SUSPEND_NONE,
    resets: 0,
    memsegs: new Map(),
    memmaps: [],
    activeCpus: new Set(),
    suspendedCpus: new Set(),
    debugCpus: new Set(),
    haltedCpus: new Set(),
    vcpus: new Map(),
    programs: new Map(),
    runners: new Set(),
    hasRealGuest: false,
    locks: new VmLocks((vcpu) => requestIdle(vm, vcpu)),
    rtc: new Rtc(clock),
    devices: new KernelDevices(),
  };
  return vm;
}

/** @throws SystemError EINVAL for the number of a vCPU that the VM can't have. */
export function checkVcpu(vm: Vm, vcpuid: number): void {
  if (vcpuid >= 0 && vcpuid < vm.topology.maxcpus) return;
  throw new SystemError('EINVAL', { message: `no vCPU has the number ${vcpuid}` });
}

/** @throws SystemError EOPNOTSUPP while a real kernel is the guest, whose processors are not ours. */
export function refuseRealGuest(vm: Vm, why: string): void {
  if (!vm.hasRealGuest) return;
  throw new SystemError('EOPNOTSUPP', {
    message: `a real kernel runs in '${vm.name}', ${why}`,
    hint: `'vmmctl poweroff ${vm.name}' ends what 'vmmctl boot' has booted`,
  });
}

/** A vCPU, which is made when it is first named. @throws SystemError EINVAL as `checkVcpu`. */
export function vcpuOf(vm: Vm, vcpuid: number): Vcpu {
  checkVcpu(vm, vcpuid);
  let vcpu = vm.vcpus.get(vcpuid);
  if (vcpu === undefined) {
    vcpu = new Vcpu(vcpuid, vm.programs.get(vcpuid));
    vm.vcpus.set(vcpuid, vcpu);
  }
  return vcpu;
}

/** Brings `state` in line with the rest. @returns whether it is another one now. */
export function reviewState(vm: Vm): boolean {
  const before = vm.state;
  if (before !== 'destroying') vm.state = currentState(vm);
  return vm.state !== before;
}

function currentState(vm: Vm): VmState {
  const { activeCpus, debugCpus, suspendReason } = vm;
  const kept = activeCpus.size > 0 && sameCpus(activeCpus, debugCpus);
  if (suspendReason !== vm_suspend_how.VM_SUSPEND_NONE || kept) return 'suspended';
  return vm.runners.size > 0 ? 'running' : 'created';
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
 * system memory,
 * topology and programs stay. Source: vm_mem_cleanup() in sys/dev/vmm/vmm_mem.c.
 */
export function resetVm(vm: Vm): void {
  const kept = vm.memmaps.filter(({ segid }) => isSystemMemory(vm, segid));
  vm.memmaps.splice(0, vm.memmaps.length, ...kept);
  vm.suspendReason = vm_suspend_how.VM_SUSPEND_NONE;
  vm.resets++;
  const cpus = [vm.activeCpus, vm.suspendedCpus, vm.debugCpus, vm.haltedCpus];
  for (const each of cpus) each.clear();
  vm.vcpus.clear();
  vm.runners.clear();
  vm.devices = new KernelDevices();
  reviewState(vm);
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
