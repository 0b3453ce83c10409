/** Ioctls on simulated nodes, from whichever side of the daemon they come. */
import { SystemError } from '../abi/errno.js';
import {
  type IoctlReply,
  type OpenNode,
  PendingIoctl,
  type UserMemory,
} from '../simulator/node.js';
import type { GuestLife } from './guest-gone.js';
import type { Keeper } from './keeper.js';
import type { Log } from './log.js';

/** What open nodes need of the keeper. */
export interface NodeKeeper extends Pick<Keeper, 'digest' | 'durable' | 'settled'> {
  readonly log: Pick<Log, 'write'>;
}

export interface NodeEntry {
  readonly node: OpenNode;
  /** The VM in whose guest it is. */
  readonly vm: string | undefined;
  /** VMs that were created on this handle. */
  readonly making: Set<string>;
  /** In which it was opened. */
  readonly guest?: GuestLife | undefined;
  /** Ends the wait of whoever waits until it is readable. */
  polling: AbortController | undefined;
}

export interface IoctlCall {
  readonly request: number;
  readonly argument: Uint8Array | number;
  readonly memory: UserMemory;
  /** Aborting it is what a signal is to a system call. */
  readonly signal: AbortSignal;
}

/** Resolves when the call has ended, and what it changed is on disk. @throws SystemError as the node says. */
export async function performIoctl(
  keeper: NodeKeeper,
  { node, making }: NodeEntry,
  { request, argument, memory, signal }: IoctlCall,
): Promise<IoctlReply> {
  const begun = node.ioctl(request, argument, memory);
  keeper.digest(making);
  const reply = begun instanceof PendingIoctl ? await finished(begun, signal) : begun;
  await keeper.durable();
  return reply;
}

function finished(pending: PendingIoctl, signal: AbortSignal): Promise<IoctlReply> {
  return new Promise((resolve, reject) => {
    const interrupt = () => pending.interrupt();
    signal.addEventListener('abort', interrupt);
    pending.onFinish((outcome) => {
      signal.removeEventListener('abort', interrupt);
      if (outcome instanceof SystemError) reject(outcome);
      else resolve(outcome);
    });
    if (signal.aborted) interrupt();
  });
}
