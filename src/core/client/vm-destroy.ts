/** The end of VMs, by name. What the kernel's EINVAL means is found out and said. */
import { SystemError } from '../abi/errno.js';
import type { CallOptions } from '../backend/port/node.js';
import type { Backend } from '../backend/port.js';
import { codeOf } from './explain.js';
import { kvmOf } from './kvm-choice.js';
import { destroyKvmVms } from './kvm-vm.js';
import { vmNames } from './vm.js';
import { openControl, type VmControl } from './vmm-control.js';

/** Destroys VMs, each by its name; `report` is told of each that could not be. */
export async function destroyVms(
  backend: Backend,
  names: readonly string[],
  report: (name: string, error: unknown) => void,
  options: CallOptions = {},
): Promise<string[]> {
  const kvm = await kvmOf(backend);
  if (kvm) return destroyKvmVms(kvm, names, report);
  const control = await openControl(backend.machine('host'), options);
  const destroyed: string[] = [];
  try {
    for (const name of names) {
      try {
        await destroyListed(backend, control, name, options);
        destroyed.push(name);
      } catch (error) {
        report(name, await wordDestroyError(backend, name, error));
      }
    }
  } finally {
    await control.close();
  }
  return destroyed;
}

/** Destroys by the name under which a VM is listed: in one of a jail below the jail's path stands before it. */
async function destroyListed(
  backend: Backend,
  control: VmControl,
  name: string,
  options: CallOptions,
): Promise<void> {
  try {
    await control.destroy(name, options);
  } catch (error) {
    const own = codeOf(error) === 'EINVAL' ? await ownName(backend, name) : undefined;
    if (own === undefined) throw error;
    await control.destroy(own, options);
  }
}

/** The name by which the nodes know a VM that is listed with a jail before its name. */
export async function ownName(backend: Backend, listed: string): Promise<string | undefined> {
  for (let at = listed.indexOf('/'); at >= 0; at = listed.indexOf('/', at + 1)) {
    const name = listed.slice(at + 1);
    const vm = await backend.management?.vm(name).catch(() => undefined);
    if (vm?.name === listed) return name;
  }
  return undefined;
}

/** The kernel says EINVAL for a name that it does not find and for a VM that is on its way out. */
async function wordDestroyError(backend: Backend, name: string, error: unknown): Promise<unknown> {
  if (codeOf(error) !== 'EINVAL') return error;
  const known = await isListed(backend, name);
  const message = known ? `VM '${name}' is being destroyed already` : `no VM '${name}'`;
  return new SystemError('ENOENT', { message, cause: error });
}

async function isListed(backend: Backend, name: string): Promise<boolean> {
  const { management } = backend;
  if (management) return (await management.vm(name).catch(() => undefined)) !== undefined;
  return (await vmNames(backend).catch((): string[] => [])).includes(name);
}
