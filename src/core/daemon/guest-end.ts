/** When a simulated guest is no more: its VM is destroyed, switched off or reset, or a real kernel has taken its place. */
import type { SystemError } from '../abi/errno.js';
import { GuestLife } from './guest-gone.js';
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
  const guest = new GuestLife(keeper.world, keeper.world.domain(name, session.caller));
  return keeper.onChange(() => {
    const { end } = guest;
    if (end !== undefined) ended(end);
  });
}
