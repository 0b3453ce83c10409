/** Pairs of which both ends are in one kernel. Source: Linux drivers/misc/vmw_vmci/vmci_queue_pair.c. */
import { VMCI_INVALID_ID } from '../../abi/vmci.js';
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import { VMCI_EVENT_QP_PEER_ATTACH, VMCI_EVENT_QP_PEER_DETACH } from '../../abi/vmci-event.js';
import { BufferMemory, swapped } from '../../abi/vmci-memory.js';
import {
  markQueuePair,
  type QueueMemory,
  type QueueSizes,
  queuePairBytes,
} from '../../abi/vmci-queue.js';
import {
  VMCI_QPFLAG_ATTACH_ONLY,
  VMCIQPB_ATTACHED_MEM,
  VMCIQPB_CREATED_MEM,
  VMCIQPB_SHUTDOWN_MEM,
} from '../../abi/vmci-queue-pair.js';
import type { Handle, KernelQueuePair, QueuePairRecord, QueuePairRequest } from './parts.js';
import { pairKey } from './queue-pairs-entry.js';
import { type KernelParts, OwnEnd } from './queue-pairs-kernel.js';

interface LocalPair {
  readonly handle: Handle;
  readonly flags: number;
  /** Of the creator. */
  readonly sizes: QueueSizes;
  readonly memory: QueueMemory;
  state: number;
  /** Whether that end is there. */
  creator: boolean;
  attacher: boolean;
}

/** Pairs of which both ends are in one kernel. The other kernel does not know of them. */
export class LocalQueuePairs {
  readonly #parts: KernelParts;
  readonly #pairs = new Map<string, LocalPair>();

  constructor(parts: KernelParts) {
    this.#parts = parts;
  }

  has(handle: Handle): boolean {
    return this.#pairs.has(pairKey(handle));
  }

  /**
   * The first makes the pair, the second attaches, with sizes crossed.
   * @returns NO_ACCESS (a handle or peer of another context), NOT_FOUND, QUEUEPAIR_MISMATCH, UNAVAILABLE (both ends are
   *   taken, or one has left).
   */
  alloc(handle: Handle, request: QueuePairRequest): KernelQueuePair | number {
    const pair = this.#pairs.get(pairKey(handle));
    return pair === undefined ? this.#create(handle, request) : this.#attach(pair, request);
  }

  records(): QueuePairRecord[] {
    return [...this.#pairs.values()].map(recordOf);
  }

  #create(wanted: Handle, request: QueuePairRequest): KernelQueuePair | number {
    const { peer, flags, produceSize, consumeSize } = request;
    const cid = this.#parts.cid();
    const own = wanted.context === cid && (peer === VMCI_INVALID_ID || peer === cid);
    if (!own) return R.VMCI_ERROR_NO_ACCESS;
    if ((flags & VMCI_QPFLAG_ATTACH_ONLY) !== 0) return R.VMCI_ERROR_NOT_FOUND;
    const handle = this.#parts.handles.add(wanted);
    if (typeof handle === 'number') return handle;
    const sizes = { produceSize, consumeSize };
    const memory = request.store ?? new BufferMemory(queuePairBytes(sizes));
    markQueuePair(memory, sizes, handle);
    const pair: LocalPair = {
      handle,
      flags,
      sizes,
      memory,
      state: VMCIQPB_CREATED_MEM,
      creator: true,
      attacher: false,
    };
    this.#pairs.set(pairKey(handle), pair);
    return new OwnEnd(handle, memory, memory, sizes, this.#leaver(pair, 'creator'));
  }

  #attach(pair: LocalPair, request: QueuePairRequest): KernelQueuePair | number {
    if (pair.state !== VMCIQPB_CREATED_MEM) return R.VMCI_ERROR_UNAVAILABLE;
    const { produceSize, consumeSize, flags } = request;
    const crossed =
      pair.sizes.produceSize === consumeSize && pair.sizes.consumeSize === produceSize;
    if (!crossed || pair.flags !== (flags & ~VMCI_QPFLAG_ATTACH_ONLY)) {
      return R.VMCI_ERROR_QUEUEPAIR_MISMATCH;
    }
    pair.attacher = true;
    pair.state = VMCIQPB_ATTACHED_MEM;
    const { handle, memory, sizes } = pair;
    this.#parts.event(VMCI_EVENT_QP_PEER_ATTACH, handle, this.#parts.cid());
    const mine = { produceSize, consumeSize };
    return new OwnEnd(handle, memory, swapped(memory, sizes), mine, this.#leaver(pair, 'attacher'));
  }

  #leaver(pair: LocalPair, end: 'creator' | 'attacher'): () => number {
    return () => {
      if (!pair[end]) return R.VMCI_ERROR_NOT_FOUND;
      pair[end] = false;
      pair.state = VMCIQPB_SHUTDOWN_MEM;
      if (pair.creator || pair.attacher) {
        this.#parts.event(VMCI_EVENT_QP_PEER_DETACH, pair.handle, this.#parts.cid());
      } else {
        this.#pairs.delete(pairKey(pair.handle));
        this.#parts.handles.remove(pair.handle);
      }
      return R.VMCI_SUCCESS;
    };
  }
}

function recordOf(pair: LocalPair): QueuePairRecord {
  const { handle, state, flags, sizes, memory } = pair;
  const present = (there: boolean) => (there ? handle.context : undefined);
  const [creator, attacher] = [present(pair.creator), present(pair.attacher)];
  const peer = handle.context;
  return { handle, state, peer, flags, ...sizes, creator, attacher, pages: memory };
}
