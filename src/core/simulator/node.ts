/**
 * What a simulated device node is to the machine that holds it. Nothing here waits: an ioctl that
 * would block answers `blocked`, and is asked again when the model says that something changed.
 */

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

/** One open file description of a node. The last close of it is `close`. */
export interface OpenNode {
  /** @throws SystemError ENOTTY for a request that the node does not know. */
  ioctl(request: number, argument: Uint8Array | number): IoctlReply;
  close(): void;
}

/** A node in a machine's device tree. */
export interface NodeDriver {
  /** One line for people. */
  readonly description: string;
  open(caller: Caller, access: Access): OpenNode;
}

/** Whether a caller holds a capability. */
export function hasCapability(caller: Caller, name: string): boolean {
  return caller.capabilities === 'all' || caller.capabilities.has(name);
}
