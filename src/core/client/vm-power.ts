/** Pausing, resetting and switching off VMs of bhyve, by name. */
import { SystemError } from '../abi/errno.js';
import {
  VM_ACTIVE_CPUS,
  VM_DEBUG_CPUS,
  VM_SUSPENDED_CPUS,
  VMM_IOCTLS,
  vm_activate_cpu,
  vm_suspend,
} from '../abi/vmm.js';
import { vm_suspend_how } from '../abi/vmm-machine.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { Backend } from '../backend/port.js';
import { codeOf } from './explain.js';
import { withVm } from './open-vm.js';
import { newestAbi } from './run-abi.js';
import { readCpuSet } from './vcpu.js';

/** All vCPUs, where a call takes that for a number. */
const ALL_VCPUS = -1;

/** Something done to a VM. @throws SystemError as each says. */
export type PowerAction = (backend: Backend, name: string, options?: CallOptions) => Promise<void>;

/**
 * Pauses a vCPU, or all that are active: they run no more of their guest until they are resumed.
 * @throws SystemError EINVAL when there is none to pause; ENOENT, EACCES, EPERM, ENXIO.
 */
export function pauseVm(vcpu: number | undefined): PowerAction {
  return (backend, name, options = {}) =>
    withVm(backend, name, (node) => pause(node, name, vcpu, options), options);
}

async function pause(
  node: DeviceNode,
  name: string,
  vcpu: number | undefined,
  options: CallOptions,
): Promise<void> {
  const active = await readCpuSet(node, VM_ACTIVE_CPUS, options);
  // The kernel has nothing against it, and the VM would run all the same as soon as it is started.
  if (vcpu === undefined ? active.length === 0 : !active.includes(vcpu)) {
    const what = vcpu === undefined ? `no vCPU of '${name}'` : `vCPU ${vcpu} of '${name}'`;
    throw new SystemError('EINVAL', {
      message: `${what} is ${vcpu === undefined ? '' : 'not '}active, so there is nothing to pause`,
      hint: `a vCPU is active once 'vmmctl run ${name}' has run it; a guest of 'vmmctl boot' can't be paused`,
    });
  }
  await call(node, VMM_IOCTLS.VM_SUSPEND_CPU.number, vcpu, options);
}

/**
 * Lets paused vCPUs run again, or one of them.
 * @throws SystemError EINVAL when none is paused; ENOENT, EACCES, EPERM, ENXIO.
 */
export function resumeVm(vcpu: number | undefined): PowerAction {
  return (backend, name, options = {}) =>
    withVm(backend, name, (node) => resume(node, name, vcpu, options), options);
}

async function resume(
  node: DeviceNode,
  name: string,
  vcpu: number | undefined,
  options: CallOptions,
): Promise<void> {
  const paused = await readCpuSet(node, VM_DEBUG_CPUS, options);
  if (vcpu === undefined ? paused.length === 0 : !paused.includes(vcpu)) {
    const what =
      vcpu === undefined ? `no vCPU of '${name}' is` : `vCPU ${vcpu} of '${name}' is not`;
    throw new SystemError('EINVAL', {
      message: `${what} paused`,
      hint: `a VM that was switched off begins anew with 'vmmctl reset ${name}'`,
    });
  }
  await call(node, VMM_IOCTLS.VM_RESUME_CPU.number, vcpu, options);
}

async function call(
  node: DeviceNode,
  request: number,
  vcpu: number | undefined,
  options: CallOptions,
): Promise<void> {
  await node.ioctl(request, vm_activate_cpu.encode({ vcpuid: vcpu ?? ALL_VCPUS }), options);
}

/**
 * Switches a VM off: whoever runs it is told.
 * @throws SystemError EALREADY when it is suspended for that or another reason; ENOENT, EACCES, EPERM, ENXIO.
 */
export const powerOffVm: PowerAction = (backend, name, options = {}) =>
  withVm(
    backend,
    name,
    async (node) => {
      if (await suspend(node, vm_suspend_how.VM_SUSPEND_POWEROFF, options)) return;
      throw new SystemError('EALREADY', {
        message: `VM '${name}' is suspended already`,
        hint: `'vmmctl inspect ${name}' says why, 'vmmctl reset ${name}' lets it begin anew`,
      });
    },
    options,
  );

/**
 * Resets a VM: whoever runs it is told, and it is as new then, with its memory and devices' segments. One that is suspended
 * already may be reset too.
 * @throws SystemError EBUSY when a vCPU does not stop; ENOENT, EACCES, EPERM, ENXIO.
 */
export const resetVm: PowerAction = (backend, name, options = {}) =>
  withVm(backend, name, (node) => resetNode(node, name, options), options);

export async function resetNode(
  node: DeviceNode,
  name: string,
  options: CallOptions = {},
): Promise<void> {
  await suspend(node, vm_suspend_how.VM_SUSPEND_RESET, options);
  await stopAll(node, options);
  try {
    await node.ioctl(VMM_IOCTLS.VM_REINIT.number, undefined, options);
  } catch (error) {
    if (codeOf(error) !== 'EBUSY') throw error;
    throw new SystemError('EBUSY', {
      message: `a vCPU of '${name}' was started while the VM was reset`,
    });
  }
}

/** Whether the VM is suspended for that reason now, and was not before. */
async function suspend(node: DeviceNode, how: number, options: CallOptions): Promise<boolean> {
  try {
    await node.ioctl(VMM_IOCTLS.VM_SUSPEND.number, vm_suspend.encode({ how }), options);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EALREADY') throw error;
    return false;
  }
}

/**
 * A VM can be made as new when all its active vCPUs have seen that it is suspended. One that nobody runs sees it when it is
 * run, which executes nothing of its guest.
 */
async function stopAll(node: DeviceNode, options: CallOptions): Promise<void> {
  const active = await readCpuSet(node, VM_ACTIVE_CPUS, options);
  const suspended = new Set(await readCpuSet(node, VM_SUSPENDED_CPUS, options));
  const left = active.filter((vcpu) => !suspended.has(vcpu));
  // Each waits for the others, so they have to be under way at once.
  await Promise.all(left.map((vcpu) => stop(node, vcpu, options)));
}

/** EINVAL is a vCPU that has seen it meanwhile, since somebody else runs it. */
async function stop(node: DeviceNode, vcpu: number, options: CallOptions): Promise<void> {
  const run = newestAbi().run(node, vcpu, { ...options, cpusetSize: 0 });
  await run.catch((error) => {
    if (codeOf(error) !== 'EINVAL') throw error;
  });
}
