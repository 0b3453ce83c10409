/** The vCPUs of bhyve's VMs: which there are, and what makes one run until it exits. */
import { setTimeout as delay } from 'node:timers/promises';
import { SystemError } from '../abi/errno.js';
import {
  VM_ACTIVE_CPUS,
  VM_DEBUG_CPUS,
  VM_SUSPENDED_CPUS,
  VMM_IOCTLS,
  vm_activate_cpu,
  vm_cpuset,
} from '../abi/vmm.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { CpuSets } from '../backend/port/vm.js';
import { cpusOf } from './exit-decode.js';
import type { Exit, ExitRecord } from './exits.js';
import { codeOf } from './explain.js';
import { KERNEL_CPUSET_SIZE, type RunAbi, type RunOptions } from './run-abi.js';

/** Between two looks at whether a vCPU is still paused. */
const PAUSE_MS = 20;

/** Bytes of the set of CPUs of a kernel that has no more than 256. */
const SMALL_CPUSET_SIZE = 32;

/** The reason of a VM that is suspended since its active vCPUs are. */
export const PAUSED = 'paused';

/** @throws SystemError as the node says. */
export async function readCpuSets(node: DeviceNode, options: CallOptions = {}): Promise<CpuSets> {
  return {
    active: await readCpuSet(node, VM_ACTIVE_CPUS, options),
    suspended: await readCpuSet(node, VM_SUSPENDED_CPUS, options),
    debug: await readCpuSet(node, VM_DEBUG_CPUS, options),
  };
}

/** @param which one of VM_ACTIVE_CPUS, VM_SUSPENDED_CPUS, VM_DEBUG_CPUS. */
export async function readCpuSet(
  node: DeviceNode,
  which: number,
  options: CallOptions = {},
): Promise<number[]> {
  try {
    return await readCpuBytes(node, which, KERNEL_CPUSET_SIZE, options);
  } catch (error) {
    if (codeOf(error) !== 'ERANGE') throw error;
    return readCpuBytes(node, which, SMALL_CPUSET_SIZE, options);
  }
}

async function readCpuBytes(
  node: DeviceNode,
  which: number,
  size: number,
  options: CallOptions,
): Promise<number[]> {
  const cpus = new Uint8Array(size);
  const pointers = [{ at: vm_cpuset.offset('cpus'), to: cpus }];
  const argument = vm_cpuset.encode({ which, cpusetsize: cpus.length });
  await node.ioctl(VMM_IOCTLS.VM_GET_CPUS.number, argument, { ...options, pointers });
  return cpusOf(cpus);
}

/** Lets a vCPU run. One that may already stays as it is. @throws SystemError EINVAL for a number that is none. */
export async function activateVcpu(
  node: DeviceNode,
  vcpuid: number,
  options: CallOptions = {},
): Promise<void> {
  try {
    const argument = vm_activate_cpu.encode({ vcpuid });
    await node.ioctl(VMM_IOCTLS.VM_ACTIVATE_CPU.number, argument, options);
  } catch (error) {
    if (codeOf(error) === 'EBUSY') return;
    if (codeOf(error) !== 'EINVAL') throw error;
    throw new SystemError('EINVAL', { message: `the VM has no vCPU ${vcpuid}` });
  }
}

/**
 * Runs an active vCPU; each yield is an exit. It goes on when the next one is asked for, and without end. One that is paused
 * gives DEBUG once, and goes on when it is resumed.
 */
export async function* exitsOf(
  node: DeviceNode,
  vcpu: number,
  { abi, ...options }: RunOptions & { abi: RunAbi },
): AsyncGenerator<Exit> {
  for (;;) {
    const exit = await explainRun(abi.run(node, vcpu, options), vcpu, abi);
    // A signal is an exit that says nothing, and the call ends well.
    if (options.signal?.aborted) throw new SystemError('EINTR', { syscall: 'ioctl' });
    yield exit;
    if (exit.record.exit === 'DEBUG') await untilResumed(node, vcpu, options);
  }
}

/** The kernel would give DEBUG again and again. */
async function untilResumed(node: DeviceNode, vcpu: number, options: CallOptions): Promise<void> {
  while ((await readCpuSet(node, VM_DEBUG_CPUS, options)).includes(vcpu)) {
    await delay(PAUSE_MS, undefined, { signal: options.signal });
  }
}

async function explainRun(call: Promise<Exit>, vcpu: number, { name }: RunAbi): Promise<Exit> {
  try {
    return await call;
  } catch (error) {
    if (codeOf(error) === 'EINVAL') {
      throw new SystemError('EINVAL', {
        message: `vCPU ${vcpu} can't run: the VM is suspended`,
        hint: "'vmmctl inspect' says why; 'vmmctl reset' lets it begin anew",
      });
    }
    if (codeOf(error) !== 'ENOTTY') throw error;
    const form = name === 'any' ? '' : ` in the form '${name}'`;
    throw new SystemError('ENOTTY', {
      message: `the host does not know VM_RUN${form}`,
      hint:
        name === 'any'
          ? undefined
          : 'without --abi and --compare it is the form that the host knows',
    });
  }
}

/** RFLAGS.IF: interrupts can wake the vCPU. */
const PSL_I = 0x200n;

/** Exits after which nothing comes, unless somebody outside does something; those behind SUSPENDED are KVM's. */
const LAST_EXITS: ReadonlySet<string> = new Set([
  'SUSPENDED',
  'SHUTDOWN',
  'SYSTEM_EVENT',
  'FAIL_ENTRY',
  'INTERNAL_ERROR',
]);

/**
 * Whether an exit is the last one. One by HLT is when no interrupt wakes the vCPU: bhyve tells, and KVM's have no interrupts
 * here. bhyve(8) goes on there, so with `pastHlt` those of bhyve are not.
 */
export function isLast({ exit, rflags }: ExitRecord, pastHlt: boolean): boolean {
  if (exit !== 'HLT') return LAST_EXITS.has(exit);
  return typeof rflags === 'bigint' ? !pastHlt && (rflags & PSL_I) === 0n : true;
}

/** What bhyve(8) ends with when a VM is suspended, by why it is. Source: bhyve(8), vmexit.c. */
export const BHYVE_STATUS: Readonly<Record<string, number>> = {
  RESET: 0,
  POWEROFF: 1,
  HALT: 2,
  TRIPLEFAULT: 3,
  DESTROY: 4,
};
