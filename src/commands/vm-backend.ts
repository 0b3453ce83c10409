/** The backend of commands about VMs. */
import type { Backend } from '../core/backend/port.js';
import { refuseIllumos } from '../core/client/illumos.js';

/**
 * The command's backend, when VMs can be had of it.
 * @throws SystemError EOPNOTSUPP where the nodes of this machine are not those that we speak to.
 */
export async function vmBackend(command: { backend(): Promise<Backend> }): Promise<Backend> {
  const backend = await command.backend();
  // A simulated host manages its VMs itself, wherever it runs.
  if (!backend.management) refuseIllumos(process.platform);
  return backend;
}
