/** What a machine has of bhyve's nodes and variables, without making a VM. */

import type { DeviceNode } from '../backend/port/node.js';
import type { Machine } from '../backend/port.js';
import { isOneOf } from './explain.js';
import { answersAsIllumos, illumosError } from './illumos.js';
import { type Answer, type Fact, nodeProbe, type Probe } from './probe.js';

const VM_NODES = '/dev/vmm';

/** FreeBSD, sys/dev/vmm. Those that a kernel lacks are left out. */
const VARIABLES: readonly string[] = ['hw.vmm.maxcpu', 'hw.vmm.maxvmms', 'hw.vmm.ipinum'];
/** It has had this one from the start. */
const FIRST_VARIABLE = 'hw.vmm.maxcpu';

export const BHYVE_PROBES: readonly Probe[] = [
  nodeProbe('bhyve', '/dev/vmmctl', askControl),
  { system: 'bhyve', name: VM_NODES, ask: askVms },
  { system: 'bhyve', name: 'hw.vmm', ask: askVariables },
];

/** @throws SystemError EOPNOTSUPP when the node is that of illumos. */
async function askControl(node: DeviceNode): Promise<Answer> {
  if (await answersAsIllumos(node)) throw illumosError();
  return { detail: 'creates and destroys VMs' };
}

async function askVms(machine: Machine): Promise<Answer> {
  const vms = (await namesOfVms(machine)).length;
  return { detail: vms === 1 ? '1 VM' : `${vms} VMs`, facts: { vms } };
}

/** devfs has the directory only while there are VMs. */
async function namesOfVms(machine: Machine): Promise<string[]> {
  try {
    return await machine.readdir(VM_NODES);
  } catch (error) {
    if (!isOneOf(error, ['ENOENT'])) throw error;
    try {
      await machine.sysctl(FIRST_VARIABLE);
    } catch {
      throw error;
    }
    return [];
  }
}

/** @throws SystemError ENOENT on a kernel without bhyve. */
async function askVariables(machine: Machine): Promise<Answer> {
  const facts: Record<string, Fact> = { [FIRST_VARIABLE]: await machine.sysctl(FIRST_VARIABLE) };
  for (const name of VARIABLES) {
    try {
      facts[name] = await machine.sysctl(name);
    } catch (error) {
      if (!isOneOf(error, ['ENOENT', 'EPERM'])) throw error;
    }
  }
  const detail = Object.entries(facts).map(([name, value]) => `${name.slice(7)} ${value}`);
  return { detail: detail.join(', '), facts };
}
