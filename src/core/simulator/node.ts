/**
 * What a simulated device node is to the machine that holds it. Nothing here waits: an ioctl that would block gives a
 * PendingIoctl, which the model finishes.
 */
import { SystemError } from '../abi/errno.js';
import type { QueueMemory } from '../abi/vmci-queue.js';

/** As whom a node or socket is opened. */
export interface Caller {
  /** Real and effective user id. */
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Capabilities by name (`CAP_NET_BIND_SERVICE`), or all of them. */
  readonly capabilities: 'all' | ReadonlySet<string>;
  /** Path of jails from the host's point of view: `` is the host, `a` a jail, `a/b` a jail in it. */
  readonly jail: string;
}

/** The default caller, in the host and in every guest. */
export const ROOT: Caller = { uid: 0, gid: 0, groups: [0], capabilities: 'all', jail: '' };

export type Access = 'r' | 'w' | 'rw';

/** An ioctl's outcome. Errors are thrown as SystemError. */
export interface IoctlReply {
  readonly result: number;
  /** The argument as the call leaves it; absent when nothing is copied out. */
  readonly data?: Uint8Array;
}

/** How an ioctl that waited ended: its reply, or the error that it fails with. */
export type IoctlOutcome = IoctlReply | SystemError;

/** An ioctl that waits. */
export class PendingIoctl {
  readonly #onInterrupt: () => void;
  #outcome: IoctlOutcome | undefined;
  #listener: ((outcome: IoctlOutcome) => void) | undefined;

  /** @param onInterrupt what a signal does; unless the call is then finished at once, it goes on waiting. */
  constructor(onInterrupt: () => void) {
    this.#onInterrupt = onInterrupt;
  }

  get finished(): boolean {
    return this.#outcome !== undefined;
  }

  /** Ends the call. Later ends do nothing. */
  finish(outcome: IoctlOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#listener?.(outcome);
  }

  /** The caller got a signal. */
  interrupt(): void {
    if (this.#outcome === undefined) this.#onInterrupt();
  }

  /** Calls back once, at once when the call has ended already. One listener at a time. */
  onFinish(listener: (outcome: IoctlOutcome) => void): void {
    if (this.#outcome === undefined) this.#listener = listener;
    else listener(this.#outcome);
  }
}

/** The memory of the process that calls an ioctl, as far as the argument has addresses of it. */
export interface UserMemory {
  /** A copy. @throws SystemError EFAULT. */
  read(address: bigint, length: number): Uint8Array;
  /** @throws SystemError EFAULT; nothing is written then. */
  write(address: bigint, data: Uint8Array): void;
  /**
   * Pages that stay where they are after the call, until the last view of them is gone: as pinning is. Undefined for memory
   * that can't stay. `address` and `length` are multiples of the page size.
   */
  pin?(address: bigint, length: number): QueueMemory | undefined;
}

/** Of a caller whose arguments have no addresses in them. */
export const NO_USER_MEMORY: UserMemory = {
  read: (_address, length) => (length === 0 ? new Uint8Array(0) : fault()),
  write: (_address, data) => {
    if (data.length > 0) fault();
  },
};

function fault(): never {
  throw new SystemError('EFAULT', { syscall: 'ioctl' });
}

/** One open file description of a node. The last close of it is `close`. */
export interface OpenNode {
  /** @throws SystemError ENOTTY for a request that the node does not know. */
  ioctl(
    request: number,
    argument: Uint8Array | number,
    memory?: UserMemory,
  ): IoctlReply | PendingIoctl;
  /** What poll(2) says now, POLLIN and so on; a node without it is always ready. */
  pollMask?(): number;
  /** Whom to tell that the mask may be another one now; undefined is nobody. */
  onPollChange?(listener: (() => void) | undefined): void;
  /** Calls that still wait are interrupted before. */
  close(): void;
}

/** One whose ioctls never wait. */
export interface PromptNode extends OpenNode {
  ioctl(request: number, argument: Uint8Array | number, memory?: UserMemory): IoctlReply;
}

/** A node in a machine's device tree. */
export interface NodeDriver<N extends OpenNode = OpenNode> {
  /** One line for people. */
  readonly description: string;
  open(caller: Caller, access: Access): N;
}

/** Whether a caller holds a capability. */
export function hasCapability(caller: Caller, name: string): boolean {
  return caller.capabilities === 'all' || caller.capabilities.has(name);
}
