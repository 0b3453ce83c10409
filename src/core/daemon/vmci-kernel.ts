/** VMCI as a machine's kernel has it, for a client that may be that kernel. */
import { SystemError } from '../abi/errno.js';
import { type Caller, hasCapability } from '../simulator/node.js';
import type { Handle, KernelApi } from '../simulator/vmci/parts.js';
import { integer, machineName, type Parameters } from './parameters.js';
import type { Session } from './session.js';

/**
 * The kernel of the machine that a request names.
 * @throws SystemError ENOENT (VM), EOPNOTSUPP (a real kernel runs there), EPERM, ENODEV (it has no VMCI).
 */
export function kernelOf(session: Session, parameters: Parameters): KernelApi {
  const { world } = session.shared.keeper;
  const machine = world.machine(machineName(parameters), session.caller);
  if (!mayBeKernel(session.caller)) {
    throw new SystemError('EPERM', { message: "to act as a machine's kernel takes CAP_SYS_ADMIN" });
  }
  if (machine.vmci === undefined) {
    throw new SystemError('ENODEV', { message: 'the machine has no VMCI' });
  }
  return machine.vmci;
}

function mayBeKernel(caller: Caller): boolean {
  return caller.jail === '' && hasCapability(caller, 'CAP_SYS_ADMIN');
}

/** A handle, as the requests have it. @throws SystemError EINVAL. */
export function handleOf(parameters: Parameters, name: string): Handle {
  const value = parameters[name];
  if (typeof value !== 'object' || value === null) {
    throw new SystemError('EINVAL', { message: `the parameter '${name}' makes no sense` });
  }
  const fields = value as Parameters;
  return { context: integer(fields, 'context'), resource: integer(fields, 'resource') };
}
