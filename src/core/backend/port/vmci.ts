/** VMCI, as a kernel has it. */
import type { QueueEnds } from '../../abi/vmci-queue.js';
import type { CallOptions } from './node.js';

export interface VmciHandle {
  /** u32. */
  context: number;
  /** u32. */
  resource: number;
}

export interface VmciDatagram {
  dst: VmciHandle;
  src: VmciHandle;
  payload: Uint8Array;
}

/**
 * The programming interface that a kernel has to VMCI. A result is a code of the header, VMCI_*: negative is an error.
 * What was made ends with the backend.
 */
export interface VmciKernel {
  /** The machine's context: 2 for the host. */
  readonly contextId: number;
  /** A resource of VMCI_INVALID_ID is chosen. `result` is negative, or `handle` is there. */
  createDatagramHandle(resource: number): Promise<{ result: number; handle?: VmciHandle }>;
  /** The next datagram for a handle that was created; in the order in which they came. EINTR. */
  receiveDatagram(handle: VmciHandle, options?: CallOptions): Promise<VmciDatagram>;
  /** Bytes sent, header and payload. */
  sendDatagram(datagram: VmciDatagram): Promise<number>;
  /** A handle that is left out is chosen. */
  createDoorbell(handle?: VmciHandle): Promise<{ result: number; handle?: VmciHandle }>;
  /** Resolves when it has been rung since the last call; rings that come together count as one. EINTR. */
  waitDoorbell(handle: VmciHandle, options?: CallOptions): Promise<void>;
  ringDoorbell(handle: VmciHandle): Promise<number>;
  /**
   * Events of the header, VMCI_EVENT_*, from when it resolves; each as its message, which begins with its number. Ends
   * with the signal.
   */
  events(options: { signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;
  /** An end of a queue pair, in memory that both ends map. `result` is negative, or `pair` is there. */
  allocQueuePair(request: {
    handle?: VmciHandle | undefined;
    /** VMCI_INVALID_ID for any. */
    peer: number;
    /** VMCI_QPFLAG_*. */
    flags: number;
    produceSize: number;
    consumeSize: number;
  }): Promise<{ result: number; pair?: VmciQueuePair }>;
  /** The host's: all. A guest's: those that it is an end of, and those to which it may attach. */
  queuePairs(): Promise<VmciQueuePairRecord[]>;
}

export interface VmciQueuePair {
  readonly handle: VmciHandle;
  readonly produceSize: number;
  readonly consumeSize: number;
  /** What this end writes, and what it reads. Undefined before there is memory: the host's end has none without its guest. */
  readonly queues: QueueEnds | undefined;
  /** To be called after each writing and reading: tells the other end to look at the queues, if it waits. */
  wake(): void;
  /** Tells it that nothing more will be written. */
  end(): void;
  /**
   * Resolves when the other end has waked this one since the last call, has come, has gone, or ended; or at once when
   * `unless`, which is asked after this end has said that it waits, gives true. EINTR; ECONNRESET when the host is gone.
   */
  woken(unless: () => boolean, options?: CallOptions): Promise<void>;
  /** What is known of the other end. What one that has gone had written can still be read. */
  readonly peer: 'none' | 'attached' | 'detached';
  /** Resolves when the other end has gone, or the host. Never rejects. */
  readonly left: Promise<void>;
  /** The other end has said that it writes no more. */
  readonly peerEnded: boolean;
  detach(): Promise<void>;
}

export interface VmciQueuePairRecord {
  handle: VmciHandle;
  /** VMCIQPB_*. */
  state: number;
  /** Contexts of its ends; null when that end has left, or has not come. */
  creator: number | null;
  attacher: number | null;
  /** The context that may attach; null for any. */
  peer: number | null;
  flags: number;
  /** Bytes, as the guest names them, or the creator of a local pair. */
  produceSize: number;
  consumeSize: number;
  /** Indexes and bytes of both queues; null while there is no memory to be read, or what is there makes no sense. */
  produce: VmciQueueState | null;
  consume: VmciQueueState | null;
}

export interface VmciQueueState {
  tail: number;
  head: number;
  /** Bytes that can be written. */
  free: number;
  /** Bytes that can be read. */
  ready: number;
}
