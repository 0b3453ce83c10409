/** Device nodes, as the one who has them open sees them. */
import type { QueueMemory } from '../../abi/vmci-queue.js';

export interface CallOptions {
  /** Aborting is what a signal is to a system call: the call ends with EINTR. */
  signal?: AbortSignal | undefined;
}

/** Memory outside of the collected heap, which stays where it is until it is released. */
export interface MappedMemory extends QueueMemory {
  /** What an ioctl's argument has for it. */
  readonly address: bigint;
  release(): Promise<void>;
}

export interface NodeStatus {
  /** The bits of its access, 0o660. */
  mode: number;
  uid: number;
  gid: number;
  /** It is a device and not a file of another kind. */
  isDevice: boolean;
}

export interface OpenOptions extends CallOptions {
  /** Default `rw`. */
  access?: 'r' | 'w' | 'rw';
}

export interface IoctlOptions extends CallOptions {
  /**
   * The call may wait for something to happen. Only such a call can be ended while it is under way: the system
   * makes it where it keeps nobody else from going on.
   */
  blocks?: boolean | undefined;
  /** Ends a call that waits, as its signal would; milliseconds. */
  timeoutMs?: number | undefined;
  /** Memory whose addresses the argument has. */
  pointers?: readonly Pointer[] | undefined;
}

/** An address of 64 bits in an argument. */
export interface Pointer {
  /** Where in the argument it stands, bytes; what is there is replaced by the address. */
  at: number;
  /** What it points to. The call reads it and may change it; not to be used before the call has ended. */
  to: Uint8Array;
}

export interface IoctlResult {
  /** What the call returned. */
  result: number;
  /** The argument as the call left it; empty when the argument is not a buffer. */
  data: Uint8Array;
}

export interface DeviceNode {
  readonly path: string;
  /** `argument` is the struct's bytes, or a plain integer for ioctls that take one. ENOTTY when unknown. */
  ioctl(
    request: number,
    argument?: Uint8Array | number,
    options?: IoctlOptions,
  ): Promise<IoctlResult>;
  /**
   * Resolves when the node is readable, as poll(2) says it. One call at a time. EINTR, EBUSY; EOPNOTSUPP, EPERM for a node
   * that can't be polled.
   */
  poll?(options?: CallOptions): Promise<void>;
  close(): Promise<void>;
}
