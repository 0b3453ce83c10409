/** Waits as poll(2) does until an open node of the simulated host is readable. */
import { SystemError } from '../abi/errno.js';
import { POLLERR, POLLHUP, POLLIN } from '../abi/poll.js';
import type { OpenNode } from '../simulator/node.js';

const READABLE = POLLIN | POLLERR | POLLHUP;

/** @throws SystemError EOPNOTSUPP for a node that has no poll, EINTR, or what the signal was aborted with. */
export function untilReadable(node: OpenNode, signal: AbortSignal): Promise<void> {
  if (node.pollMask === undefined || node.onPollChange === undefined) {
    throw new SystemError('EOPNOTSUPP', { syscall: 'poll' });
  }
  return new Promise((resolve, reject) => {
    const look = () => {
      const readable = ((node.pollMask?.() ?? 0) & READABLE) !== 0;
      if (!readable && !signal.aborted) return;
      node.onPollChange?.(undefined);
      signal.removeEventListener('abort', look);
      if (readable) resolve();
      else reject(reasonOf(signal));
    };
    node.onPollChange?.(look);
    signal.addEventListener('abort', look);
    look();
  });
}

function reasonOf({ reason }: AbortSignal): SystemError {
  return reason instanceof SystemError ? reason : new SystemError('EINTR', { syscall: 'poll' });
}
