/** Waiting for what becomes of a VM. */
import { SystemError } from '../abi/errno.js';
import type { Keeper } from './keeper.js';

/**
 * What `look` gives once that is not undefined: now, or after a change of a VM.
 * @throws SystemError EINTR when the signal aborts; what `look` throws.
 */
export function untilChange<V>(
  keeper: Pick<Keeper, 'onChange'>,
  signal: AbortSignal,
  look: () => V | undefined,
): Promise<V> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      stop();
      signal.removeEventListener('abort', interrupted);
      settle();
    };
    const interrupted = () => end(() => reject(new SystemError('EINTR')));
    const review = () => {
      try {
        const found = look();
        if (found !== undefined) end(() => resolve(found));
      } catch (error) {
        end(() => reject(error));
      }
    };
    const stop = keeper.onChange(review);
    signal.addEventListener('abort', interrupted);
    if (signal.aborted) interrupted();
    else review();
  });
}
