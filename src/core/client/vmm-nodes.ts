/**
 * What the nodes below /dev/vmm tell of VMs: their names by the tree of devfs, the rest by ioctls that only
 * read. What no node tells is null. Of a VM's state they tell that it is suspended or paused, as far as its vCPUs have
 * seen it, and no reasons.
 */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { VMM_IOCTLS, vm_cpu_topology } from '../abi/vmm.js';
import { encodeName, VM_MAX_NAMELEN } from '../abi/vmmctl.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { CpuSets, VmDetails, VmRecord, VmTopology } from '../backend/port/vm.js';
import type { Machine } from '../backend/port.js';
import { codeOf, isOneOf } from './explain.js';
import { PAUSED, readCpuSets } from './vcpu.js';
import { requireVmm } from './vmm-control.js';
import { type Memory, readMemory } from './vmm-memory.js';

const VM_NODES = '/dev/vmm';
/** Nodes of segments of devices' memory. */
const SEGMENT_NODES = '/dev/vmm.io';

/** What opening says where no VM has the name: nothing is there, or something that only leads to names. */
export const NO_NODE: readonly ErrorCode[] = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ENXIO', 'ENODEV'];
const NOT_PERMITTED: readonly ErrorCode[] = ['EACCES', 'EPERM'];
/** What an ioctl says on the node of a VM that is destroyed: while the node is being removed, and then. */
export const DESTROYED: readonly ErrorCode[] = ['ENXIO', 'ENOTTY'];

const CPU_SETS_REFUSED: readonly ErrorCode[] = ['ENOTTY', 'EFAULT', 'ERANGE'];

export function openVm(
  machine: Machine,
  name: string,
  options: CallOptions = {},
): Promise<DeviceNode> {
  return machine.open(`${VM_NODES}/${name}`, { ...options, access: 'rw' });
}

/** Whether the VM of an open node is still there, whatever has its name by now. */
export async function isAlive(node: DeviceNode): Promise<boolean> {
  try {
    await readTopology(node);
    return true;
  } catch (error) {
    if (isOneOf(error, DESTROYED)) return false;
    throw error;
  }
}

/**
 * Names of all VMs, in no order.
 * @throws SystemError ENXIO where a machine has no vmm(4).
 */
export async function vmNodeNames(machine: Machine): Promise<string[]> {
  const names = await namesBelow(machine, '');
  if (names !== undefined) return names === 'node' ? [] : names;
  // devfs has the directory only while there are VMs.
  await requireVmm(machine);
  return [];
}

/** A name may have slashes, so VMs are in directories too. Undefined for what is gone. */
async function namesBelow(machine: Machine, name: string): Promise<string[] | 'node' | undefined> {
  const entries = await entriesOf(machine, name === '' ? VM_NODES : `${VM_NODES}/${name}`);
  if (!Array.isArray(entries)) return entries;
  const names: string[] = [];
  for (const entry of entries) {
    const path = name === '' ? entry : `${name}/${entry}`;
    // No VM has a longer one: whoever links a directory into itself does not keep us here.
    if (encodeName(path).length > VM_MAX_NAMELEN) continue;
    const below = await namesBelow(machine, path);
    if (below === 'node') names.push(path);
    else if (below !== undefined) names.push(...below);
  }
  return names;
}

async function entriesOf(machine: Machine, path: string): Promise<string[] | 'node' | undefined> {
  try {
    return await machine.readdir(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOTDIR') return 'node';
    if (code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A VM as a list shows it; undefined when it is gone. One whose node may not be opened has its name alone. */
export async function readVm(
  machine: Machine,
  name: string,
  options: CallOptions = {},
): Promise<VmRecord | undefined> {
  try {
    return (await ask(machine, name, options)).vm;
  } catch (error) {
    if (isOneOf(error, NOT_PERMITTED)) return unknownVm(name);
    if (isOneOf(error, NO_NODE)) return undefined;
    // The ioctls are unknown to a node that is gone by now, and to one that is no VM's.
    if (codeOf(error) === 'ENOTTY')
      return (await isThere(machine, name)) ? unknownVm(name) : undefined;
    throw error;
  }
}

/** @throws SystemError ENOENT when there is no such VM; EACCES and EPERM; ENXIO without vmm(4). */
export async function inspectVmNode(
  machine: Machine,
  name: string,
  options: CallOptions = {},
): Promise<VmDetails> {
  try {
    const { vm, memory, topology, cpuSets } = await ask(machine, name, options);
    const devices = [...memory.devices].map(([segid, device]) => {
      const path = `${SEGMENT_NODES}/${name}.${device}`;
      return { path, description: `memory of a device, segment ${segid}` };
    });
    const own = { path: `${VM_NODES}/${name}`, description: 'the VM' };
    const { map } = memory;
    return {
      ...vm,
      topology,
      cpuSets,
      vsockTransport: null,
      memoryMap: map,
      devices: [own, ...devices],
      exports: [],
      faults: [],
      counters: {},
    };
  } catch (error) {
    const unknown = codeOf(error) === 'ENOTTY' && !(await isThere(machine, name));
    if (!unknown && !isOneOf(error, NO_NODE)) throw error;
    await requireVmm(machine);
    throw new SystemError('ENOENT', { message: `no VM '${name}'` });
  }
}

/** A VM of which only the name is known. */
export function unknownVm(name: string): VmRecord {
  return {
    name,
    state: null,
    reason: null,
    cpus: null,
    memory: null,
    cid: null,
    lifetime: null,
    createdAt: null,
    labels: {},
  };
}

interface Asked {
  vm: VmRecord;
  memory: Memory;
  topology: VmTopology;
  cpuSets: CpuSets | null;
}

async function ask(machine: Machine, name: string, options: CallOptions): Promise<Asked> {
  const node = await openVm(machine, name, options);
  try {
    const topology = await readTopology(node, options);
    const cpus = topology.sockets * topology.cores * topology.threads;
    const memory = await readMemory(node, options);
    const cpuSets = await readCpuSets(node, options).catch(unlessRefused);
    const vm = { ...unknownVm(name), ...stateOf(cpuSets), cpus, memory: memory.size };
    return { vm, memory, topology, cpuSets };
  } finally {
    await node.close();
  }
}

async function readTopology(node: DeviceNode, options: CallOptions = {}): Promise<VmTopology> {
  const argument = vm_cpu_topology.encode({});
  const { data } = await node.ioctl(VMM_IOCTLS.VM_GET_TOPOLOGY.number, argument, options);
  return vm_cpu_topology.decode(data);
}

/** A node that tells the rest, and not which vCPUs are active, is not kept from that. */
function unlessRefused(error: unknown): null {
  if (isOneOf(error, CPU_SETS_REFUSED)) return null;
  throw error;
}

/** What is seen of it by the vCPUs alone. */
function stateOf(sets: CpuSets | null): Pick<VmRecord, 'state' | 'reason'> {
  if (sets === null || sets.active.length === 0) return { state: null, reason: null };
  if (sets.suspended.length > 0) return { state: 'suspended', reason: null };
  const isPaused = sets.active.every((vcpu) => sets.debug.includes(vcpu));
  return isPaused ? { state: 'suspended', reason: PAUSED } : { state: null, reason: null };
}

async function isThere(machine: Machine, name: string): Promise<boolean> {
  return (await entriesOf(machine, `${VM_NODES}/${name}`)) === 'node';
}
