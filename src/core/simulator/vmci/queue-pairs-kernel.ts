/** What the queue pairs of the host's kernel and of guests' have in common. */
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import {
  openQueuePair,
  type QueueEnds,
  type QueueMemory,
  type QueueSizes,
} from '../../abi/vmci-queue.js';
import {
  VMCI_MAX_GUEST_QP_MEMORY,
  VMCI_QPFLAG_NONBLOCK,
  VMCI_QPFLAG_PINNED,
} from '../../abi/vmci-queue-pair.js';
import type { Handle, KernelQueuePair, QueuePairRequest } from './parts.js';
import type { HandleSpace } from './queue-pairs-entry.js';

/** What a kernel's own pairs need of it. */
export interface KernelParts {
  /** Its context; VMCI_INVALID_ID without one. */
  cid(): number;
  handles: HandleSpace;
  /** Tells the kernel's own subscribers. */
  event(event: number, handle: Handle, peer: number): void;
}

/** The end of a pair whose memory stays where it is. */
export class OwnEnd implements KernelQueuePair {
  readonly handle: Handle;
  readonly pages: QueueMemory;
  readonly memory: QueueMemory;
  readonly queues: QueueEnds;
  readonly saved = undefined;
  readonly #detach: () => number;

  constructor(
    handle: Handle,
    pages: QueueMemory,
    memory: QueueMemory,
    sizes: QueueSizes,
    detach: () => number,
  ) {
    this.handle = handle;
    this.pages = pages;
    this.memory = memory;
    this.queues = openQueuePair(memory, sizes);
    this.#detach = detach;
  }

  get produceSize(): number {
    return this.queues.produce.size;
  }

  get consumeSize(): number {
    return this.queues.consume.size;
  }

  detach(): number {
    return this.#detach();
  }
}

/** What vmci_qpair_alloc refuses by itself. @returns NO_RESOURCES (larger than 128 MiB), INVALID_ARGS. */
export function checkRequest({ flags, produceSize, consumeSize }: QueuePairRequest): number {
  const size = produceSize + consumeSize;
  if (size > VMCI_MAX_GUEST_QP_MEMORY) return R.VMCI_ERROR_NO_RESOURCES;
  const refused = VMCI_QPFLAG_NONBLOCK | VMCI_QPFLAG_PINNED;
  if (size === 0 || (flags & refused) !== 0) return R.VMCI_ERROR_INVALID_ARGS;
  return R.VMCI_SUCCESS;
}
