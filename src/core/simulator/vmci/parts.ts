/** What the parts of VMCI's model are to each other. Result codes are those of the header: negative ones are errors. */
import type { VmciHandleValue } from '../../abi/vmci.js';
import type { VmciDatagramValue } from '../../abi/vmci-datagram.js';
import type { QueueEnds, QueueMemory } from '../../abi/vmci-queue.js';
import type { Caller } from '../node.js';

/** struct vmci_handle. */
export type Handle = VmciHandleValue;

/** struct vmci_datagram with its payload, at most VMCI_MAX_DG_SIZE in all. */
export type Datagram = VmciDatagramValue;

/** A context as the rest of the model sees it: a VM's, that of a program on /dev/vmci, or the host's own (2). */
export interface Context {
  readonly cid: number;
  /** VMCI_PRIVILEGE_FLAG_*. */
  readonly privileges: number;
  /** The version that it spoke when it was made, VMCI_VERSION_*. */
  readonly version: number;
  /** Whose it is. */
  readonly owner: Caller;
  /** Handles of the queue pairs that it is an end of. */
  readonly queuePairs: Set<string>;
}

/** What the broker of queue pairs needs of the contexts. */
export interface ContextTable {
  get(cid: number): Context | undefined;
  /** Sends QP_PEER_ATTACH or QP_PEER_DETACH to a context, or to the host's own subscribers. */
  queuePairEvent(to: number, event: number, handle: Handle, peer: number): void;
}

/** What the programmers of a kernel have (vmci_datagram_*, vmci_doorbell_*, vmci_event_*, vmci_qpair_*). */
export interface KernelApi {
  /** vmci_get_context_id: 2 for the host, a guest's own id, VMCI_INVALID_ID without a device. */
  readonly cid: number;
  /**
   * vmci_datagram_create_handle_priv. A resource of VMCI_INVALID_ID is chosen. The callback's negative result is the
   * sender's, where the delivery is not delayed.
   */
  createDatagramHandle(
    resource: number,
    flags: number,
    privileges: number,
    receive: (datagram: Datagram) => number,
  ): Handle | number;
  destroyDatagramHandle(handle: Handle): number;
  /** Bytes sent, header and payload, or an error. */
  sendDatagram(datagram: Datagram): number;
  /** vmci_doorbell_create. Undefined for a handle that is chosen. */
  createDoorbell(
    handle: Handle | undefined,
    flags: number,
    privileges: number,
    ring: () => void,
  ): Handle | number;
  destroyDoorbell(handle: Handle): number;
  /** vmci_doorbell_notify. */
  ringDoorbell(handle: Handle, privileges: number): number;
  /** vmci_event_subscribe: an id from 1. */
  subscribe(event: number, callback: (payload: Uint8Array) => void): number;
  unsubscribe(id: number): number;
  /** vmci_qpair_alloc. */
  allocQueuePair(request: QueuePairRequest): KernelQueuePair | number;
  /** Those that it sees: the host all, a guest its own. */
  queuePairs(): QueuePairRecord[];
}

export interface QueuePairRequest {
  /** Undefined for a handle that is chosen, of the caller's own context. */
  readonly handle: Handle | undefined;
  /** VMCI_INVALID_ID for any. */
  readonly peer: number;
  /** VMCI_QPFLAG_*. */
  readonly flags: number;
  readonly privileges: number;
  /** Bytes of the queue that the caller writes, and of that which it reads. */
  readonly produceSize: number;
  readonly consumeSize: number;
  /** Where the pages are to stand, zeros; new memory of this process when left out. A host's end has no pages. */
  readonly store?: QueueMemory | undefined;
  /** Called when a pair's pages are there again, and when its other end has left it. Events tell that it came. */
  readonly wakeup?: (() => void) | undefined;
}

/** One end of a queue pair, in a kernel. */
export interface KernelQueuePair {
  readonly handle: Handle;
  readonly produceSize: number;
  readonly consumeSize: number;
  /**
   * [produce header][produce pages][consume header][consume pages], as this end names them. Undefined while there is none:
   * the pages are the guest's, who may still have to come, has unmapped them, or has left.
   */
  readonly memory: QueueMemory | undefined;
  /** The same as whoever has given it names it: the guest, or the creator of a local pair. */
  readonly pages: QueueMemory | undefined;
  /** What this end writes, and what it reads. Undefined as `memory`; other objects once that was so. */
  readonly queues: QueueEnds | undefined;
  /** What the headers said when the guest unmapped its pages: only the indexes may be asked for. */
  readonly saved: QueueEnds | undefined;
  /** vmci_qpair_detach. */
  detach(): number;
}

/** A row of `vmci queue list`. */
export interface QueuePairRecord {
  readonly handle: Handle;
  /** VMCIQPB_*, 1 to 6; for a local pair 2, 4 or 6. */
  readonly state: number;
  /** Contexts; undefined when that end has left, or has not come. */
  readonly creator: number | undefined;
  readonly attacher: number | undefined;
  /** The context that may attach; VMCI_INVALID_ID for any. */
  readonly peer: number;
  readonly flags: number;
  /** As the guest names them, or the creator of a local pair. */
  readonly produceSize: number;
  readonly consumeSize: number;
  /** Undefined while there is none. What a guest has unmapped has its headers alone. */
  readonly pages: QueueMemory | undefined;
}
