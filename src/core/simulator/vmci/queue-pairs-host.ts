/** Queue pairs of the host's own kernel. Source: Linux drivers/misc/vmw_vmci/vmci_queue_pair.c. */
import { VMCI_HOST_CONTEXT_ID, VMCI_INVALID_ID } from '../../abi/vmci.js';
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import { swapped } from '../../abi/vmci-memory.js';
import {
  openQueuePair,
  type QueueEnds,
  type QueueMemory,
  type QueueSizes,
} from '../../abi/vmci-queue.js';
import { VMCI_QPFLAG_LOCAL } from '../../abi/vmci-queue-pair.js';
import type {
  Context,
  Handle,
  KernelQueuePair,
  QueuePairRecord,
  QueuePairRequest,
} from './parts.js';
import type { QueuePairs } from './queue-pairs.js';
import type { PairEntry } from './queue-pairs-entry.js';
import { checkRequest, type KernelParts } from './queue-pairs-kernel.js';
import { LocalQueuePairs } from './queue-pairs-local.js';

/** The host's own ends of pairs. */
export class HostQueuePairs {
  readonly #context: () => Context;
  readonly #broker: QueuePairs;
  readonly #local: LocalQueuePairs;

  /** @param context the host's own. */
  constructor(broker: QueuePairs, context: () => Context, parts: KernelParts) {
    this.#broker = broker;
    this.#context = context;
    this.#local = new LocalQueuePairs(parts);
  }

  records(): QueuePairRecord[] {
    return [...this.#broker.records(), ...this.#local.records()];
  }

  /** vmci_qpair_alloc. Local pairs, which Linux has in guests alone, are joined here too. */
  alloc(request: QueuePairRequest): KernelQueuePair | number {
    const refused = checkRequest(request);
    if (refused < 0) return refused;
    const handle = request.handle ?? { context: VMCI_HOST_CONTEXT_ID, resource: VMCI_INVALID_ID };
    if ((request.flags & VMCI_QPFLAG_LOCAL) !== 0) return this.#local.alloc(handle, request);
    if (this.#local.has(handle)) return R.VMCI_ERROR_QUEUEPAIR_MISMATCH;
    const { peer, flags, privileges, produceSize, consumeSize, wakeup } = request;
    const sizes = { produceSize, consumeSize };
    const wish = { handle, peer, flags, privileges, ...sizes, wakeup };
    const entry = this.#broker.alloc(this.#context(), wish);
    if (typeof entry === 'number') return entry;
    return new HostEnd(entry, sizes, () => this.#broker.detach(this.#context(), entry.handle));
  }
}

/** The host's end of a pair in a guest's pages, which come and go. */
class HostEnd implements KernelQueuePair {
  readonly handle: Handle;
  readonly produceSize: number;
  readonly consumeSize: number;
  readonly #entry: PairEntry;
  readonly #detach: () => number;
  #opened:
    | { readonly pages: QueueMemory; readonly mine: QueueMemory; readonly ends: QueueEnds }
    | undefined;
  #detached = false;

  constructor(entry: PairEntry, sizes: QueueSizes, detach: () => number) {
    this.handle = entry.handle;
    this.produceSize = sizes.produceSize;
    this.consumeSize = sizes.consumeSize;
    this.#entry = entry;
    this.#detach = detach;
  }

  get pages(): QueueMemory | undefined {
    return this.#detached ? undefined : this.#entry.memory;
  }

  get memory(): QueueMemory | undefined {
    return this.#open(this.#entry.memory)?.mine;
  }

  get queues(): QueueEnds | undefined {
    return this.#open(this.#entry.memory)?.ends;
  }

  get saved(): QueueEnds | undefined {
    return this.#open(this.#entry.saved)?.ends;
  }

  detach(): number {
    if (this.#detached) return R.VMCI_ERROR_NOT_FOUND;
    this.#detached = true;
    return this.#detach();
  }

  #open(pages: QueueMemory | undefined) {
    if (pages === undefined || this.#detached) return undefined;
    if (this.#opened?.pages !== pages) {
      const mine = swapped(pages, this.#entry);
      this.#opened = { pages, mine, ends: openQueuePair(mine, this) };
    }
    return this.#opened;
  }
}
