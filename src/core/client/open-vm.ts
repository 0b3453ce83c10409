/** The node of a VM by the name under which it is listed. */
import { SystemError } from '../abi/errno.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { Backend } from '../backend/port.js';
import { isOneOf } from './explain.js';
import { ownName } from './vm-destroy.js';
import { requireVmm } from './vmm-control.js';
import { DESTROYED, isAlive, NO_NODE, openVm } from './vmm-nodes.js';

/**
 * Does something with an open VM, and closes it.
 * @throws SystemError ENOENT when there is no such VM, or it is destroyed meanwhile; EACCES, EPERM; ENXIO without vmm(4);
 * what `work` throws.
 */
export async function withVm<T>(
  backend: Backend,
  name: string,
  work: (node: DeviceNode) => Promise<T>,
  options: CallOptions = {},
): Promise<T> {
  const node = await openListed(backend, name, options);
  try {
    return await work(node);
  } catch (error) {
    // The same errors mean something else of a VM that is there.
    if (!isOneOf(error, DESTROYED) || (await isAlive(node))) throw error;
    throw new SystemError('ENOENT', { message: `VM '${name}' has been destroyed`, cause: error });
  } finally {
    await node.close();
  }
}

/** One in a jail below is listed with the jail's path before its name. */
async function openListed(
  backend: Backend,
  name: string,
  options: CallOptions,
): Promise<DeviceNode> {
  const machine = backend.machine('host');
  try {
    return await openVm(machine, name, options);
  } catch (error) {
    if (!isOneOf(error, NO_NODE)) throw error;
  }
  const own = await ownName(backend, name);
  if (own !== undefined) return openVm(machine, own, options);
  await requireVmm(machine);
  throw new SystemError('ENOENT', { message: `no VM '${name}'` });
}
