/** When a simulated guest is no more: its VM is destroyed, or a real kernel has taken its place. */
import { SystemError } from '../abi/errno.js';
import type { Session } from './session.js';

/**
 * Calls back with the error of what still waits in it, until the returned function is called.
 * @throws SystemError ENOENT.
 */
export function onGuestEnd(
  session: Session,
  name: string,
  ended: (error: SystemError) => void,
): () => void {
  const { keeper } = session.shared;
  const domain = keeper.world.domain(name, session.caller);
  return keeper.onChange(() => {
    const isThere = keeper.world.peek(domain.vm.name) === domain && !domain.real.isThere;
    if (!isThere) ended(new SystemError('ENODEV', { message: `the guest '${name}' is gone` }));
  });
}
