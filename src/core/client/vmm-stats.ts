/** The counters that a kernel keeps of each vCPU of bhyve, with their descriptions. */
import type { Decoded } from '../abi/layout.js';
import {
  MAX_VM_STATS,
  VM_ACTIVE_CPUS,
  VMM_IOCTLS,
  vm_stat_desc,
  vm_stats,
  vm_stats_13,
} from '../abi/vmm.js';
import { decodeName } from '../abi/vmmctl.js';
import type { KvmHosts } from '../backend/port/kvm.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import { codeOf } from './explain.js';
import { readCpuSet } from './vcpu.js';

/** What `stats --json` prints of a vCPU. */
export interface VcpuStats {
  vm: string;
  /** Null for what is counted of all together. */
  vcpu: number | null;
  /** When they were read, by the host's clock; ISO 8601, UTC. */
  time: string;
  /** By description, in the kernel's order. */
  counters: Record<string, bigint>;
}

/** More than any kernel has: one that always has another one does not keep us here. */
const MOST_COUNTERS = 4096;

/** Part of the counters, as one call gives it. */
interface Part {
  values: bigint[];
  tv: Decoded<typeof vm_stats>['tv'];
}

/**
 * Of one vCPU, or of all that are active; of vCPU 0 while none is.
 * @throws SystemError EINVAL for a vCPU that the VM can't have; ENOTTY when the node is no VM's.
 */
export async function readVmStats(
  node: DeviceNode,
  vm: string,
  vcpu: number | undefined,
  options: CallOptions = {},
): Promise<VcpuStats[]> {
  const active = vcpu === undefined ? await readCpuSet(node, VM_ACTIVE_CPUS, options) : [vcpu];
  const stats: VcpuStats[] = [];
  for (const each of active.length > 0 ? active : [0]) {
    stats.push(await readStats(node, vm, each, options));
  }
  return stats;
}

/** What the process that holds a VM of KVM has counted. @throws SystemError ENOENT. */
export async function kvmStats(kvm: KvmHosts, vm: string, nowMs: number): Promise<VcpuStats> {
  const entries = Object.entries((await kvm.inspect(vm)).counters);
  const counters = Object.fromEntries(entries.map(([name, value]) => [name, BigInt(value)]));
  return { vm, vcpu: null, time: new Date(nowMs).toISOString(), counters };
}

async function readStats(
  node: DeviceNode,
  vm: string,
  vcpu: number,
  options: CallOptions = {},
): Promise<VcpuStats> {
  const { values, tv } = await readAll(node, vcpu, options);
  const names = await readNames(node, values.length, options);
  const counters = Object.fromEntries(
    values.map((value, i) => [names[i] ?? `counter ${i}`, value]),
  );
  const ms = Number(tv.tv_sec) * 1000 + Math.floor(Number(tv.tv_usec) / 1000);
  return { vm, vcpu, time: new Date(ms).toISOString(), counters };
}

async function readAll(node: DeviceNode, vcpu: number, options: CallOptions): Promise<Part> {
  const first = await readPart(node, vcpu, 0, options).catch((error) => {
    if (codeOf(error) !== 'ENOTTY') throw error;
    return readFirst13(node, vcpu, options);
  });
  const values = [...first.values];
  let part = first;
  while (part.values.length === MAX_VM_STATS && values.length < MOST_COUNTERS) {
    part = await readNext(node, vcpu, values.length, options);
    values.push(...part.values);
  }
  return { values, tv: first.tv };
}

/** The form of FreeBSD 13 has the first ones only. */
async function readNext(
  node: DeviceNode,
  vcpu: number,
  index: number,
  options: CallOptions,
): Promise<Part> {
  try {
    return await readPart(node, vcpu, index, options);
  } catch (error) {
    if (codeOf(error) !== 'ENOTTY') throw error;
    return { values: [], tv: { tv_sec: 0n, tv_usec: 0n } };
  }
}

async function readPart(
  node: DeviceNode,
  cpuid: number,
  index: number,
  options: CallOptions,
): Promise<Part> {
  const argument = vm_stats.encode({ cpuid, index });
  const { data } = await node.ioctl(VMM_IOCTLS.VM_STATS.number, argument, options);
  return partOf(vm_stats.decode(data));
}

async function readFirst13(node: DeviceNode, cpuid: number, options: CallOptions): Promise<Part> {
  const argument = vm_stats_13.encode({ cpuid });
  const { data } = await node.ioctl(VMM_IOCTLS.VM_STATS_13.number, argument, options);
  return partOf(vm_stats_13.decode(data));
}

function partOf({ num_entries, statbuf, tv }: Decoded<typeof vm_stats_13>): Part {
  return { values: statbuf.slice(0, Math.max(0, num_entries)), tv };
}

async function readNames(node: DeviceNode, count: number, options: CallOptions): Promise<string[]> {
  const names: string[] = [];
  for (let index = 0; index < count; index++) {
    const argument = vm_stat_desc.encode({ index });
    try {
      const { data } = await node.ioctl(VMM_IOCTLS.VM_STAT_DESC.number, argument, options);
      names.push(decodeName(vm_stat_desc.decode(data).desc));
    } catch (error) {
      if (codeOf(error) !== 'EINVAL') throw error;
      break;
    }
  }
  return names;
}
