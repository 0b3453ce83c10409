/** What a VM does and why, as its host tells it. */
import { suspendReason } from '../abi/vmm-names.js';
import type { CpuSets, VmRecord } from '../backend/port/vm.js';
import type { Domain } from '../simulator/domain.js';
import type { Vm } from '../simulator/vmm/vm.js';

/** The reason of a VM all of whose active vCPUs are paused: vmm(4) has no word for it. */
const PAUSED = 'paused';

/** A real kernel that has the VM's devices runs whatever its simulated vCPUs do. */
export function stateOf({ vm, real }: Domain): Pick<VmRecord, 'state' | 'reason'> {
  if (real.isThere) return { state: 'running', reason: null };
  const reason = suspendReason(vm.suspendReason);
  if (reason !== null || vm.state === 'destroying') return { state: vm.state, reason };
  return isPaused(vm) ? { state: 'suspended', reason: PAUSED } : { state: vm.state, reason: null };
}

function isPaused({ activeCpus, debugCpus }: Vm): boolean {
  return activeCpus.size > 0 && [...activeCpus].every((vcpu) => debugCpus.has(vcpu));
}

export function cpuSetsOf({ activeCpus, suspendedCpus, debugCpus }: Vm): CpuSets {
  const list = (cpus: ReadonlySet<number>) => [...cpus].sort((a, b) => a - b);
  return { active: list(activeCpus), suspended: list(suspendedCpus), debug: list(debugCpus) };
}
