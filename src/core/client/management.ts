/** The management channel of commands that can do nothing without it. */
import { SystemError } from '../abi/errno.js';
import type { Backend, Management } from '../backend/port.js';

/**
 * @param what of VMs that only a hypervisor knows or sets: `balloons`.
 * @throws SystemError EOPNOTSUPP where the backend has no management channel.
 */
export function requireManagement({ management, uri }: Backend, what: string): Management {
  if (management) return management;
  throw new SystemError('EOPNOTSUPP', {
    message: `the backend '${uri}' has no ${what} of VMs`,
    hint: 'use the simulated host: --backend sim',
  });
}
