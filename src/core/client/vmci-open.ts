/** Which end of VMCI a caller has in a machine. */
import type { Backend, MachineName } from '../backend/port.js';
import type { VmciEndpoint } from './vmci-endpoint.js';
import { KernelEndpoint } from './vmci-kernel.js';
import { openNodeEndpoint } from './vmci-node.js';

export interface EndpointChoice {
  /** Speak as a program on /dev/vmci, also where one may be the kernel. */
  node?: boolean | undefined;
  /** The context that the program would like. */
  context?: number | undefined;
}

/**
 * The end that a caller has in a machine: the kernel's where the backend lets it be that, else a context on /dev/vmci.
 * @throws SystemError ENODEV, EACCES, EPERM, ENOENT (VM).
 */
export async function openEndpoint(
  backend: Backend,
  name: MachineName,
  { node = false, context }: EndpointChoice = {},
): Promise<VmciEndpoint> {
  const machine = backend.machine(name);
  if (node || context !== undefined || machine.vmci === undefined) {
    return openNodeEndpoint(machine, context);
  }
  return new KernelEndpoint(await machine.vmci());
}
