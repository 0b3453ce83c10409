/** Queue pairs of a guest: in its kernel, and in its device. Source: Linux drivers/misc/vmw_vmci/vmci_queue_pair.c. */
import { VMCI_INVALID_ID, VMCI_NO_PRIVILEGE_FLAGS } from '../../abi/vmci.js';
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import { BufferMemory } from '../../abi/vmci-memory.js';
import {
  markQueuePair,
  type QueueMemory,
  queuePairBytes,
  VMCI_PAGE_SIZE,
} from '../../abi/vmci-queue.js';
import { VMCI_MAX_GUEST_QP_MEMORY, VMCI_QPFLAG_LOCAL } from '../../abi/vmci-queue-pair.js';
import type {
  Context,
  Handle,
  KernelQueuePair,
  QueuePairRecord,
  QueuePairRequest,
} from './parts.js';
import type { QueuePairs } from './queue-pairs.js';
import { pairKey } from './queue-pairs-entry.js';
import { checkRequest, type KernelParts, OwnEnd } from './queue-pairs-kernel.js';
import { LocalQueuePairs } from './queue-pairs-local.js';

/** What a guest's device does for it. */
export interface QueuePairDevice {
  /** VMCI_QUEUEPAIR_ALLOC. The pages are zeros, and the device puts headers there. */
  allocQueuePair(
    handle: Handle,
    request: Omit<QueuePairRequest, 'handle'>,
    store: QueueMemory,
  ): number;
  /** VMCI_QUEUEPAIR_DETACH. */
  detachQueuePair(handle: Handle): number;
}

/** A guest's pairs: its own local ones, and those that its device carries. */
export class GuestQueuePairs {
  readonly #parts: KernelParts;
  readonly #device: QueuePairDevice;
  readonly #local: LocalQueuePairs;
  readonly #pairs = new Map<string, Handle>();

  constructor(parts: KernelParts, device: QueuePairDevice) {
    this.#parts = parts;
    this.#device = device;
    this.#local = new LocalQueuePairs(parts);
  }

  localRecords(): QueuePairRecord[] {
    return this.#local.records();
  }

  /**
   * vmci_qpair_alloc. @returns those of `checkRequest` and of local pairs; NO_ACCESS (with privileges), ALREADY_EXISTS, NO_MEM
   *   (the handle is taken by something else), or what the device says.
   */
  alloc(request: QueuePairRequest): KernelQueuePair | number {
    const refused = checkRequest(request);
    if (refused < 0) return refused;
    if (request.privileges !== VMCI_NO_PRIVILEGE_FLAGS) return R.VMCI_ERROR_NO_ACCESS;
    const cid = this.#parts.cid();
    if (cid === VMCI_INVALID_ID) return R.VMCI_ERROR_NO_RESOURCES;
    const handle = request.handle ?? { context: cid, resource: VMCI_INVALID_ID };
    if (this.#pairs.has(pairKey(handle))) return R.VMCI_ERROR_ALREADY_EXISTS;
    const local = (request.flags & VMCI_QPFLAG_LOCAL) !== 0;
    if (local || this.#local.has(handle)) {
      return local ? this.#local.alloc(handle, request) : R.VMCI_ERROR_QUEUEPAIR_MISMATCH;
    }
    return this.#allocByDevice(handle, request);
  }

  #allocByDevice(wanted: Handle, request: QueuePairRequest): KernelQueuePair | number {
    const { produceSize, consumeSize } = request;
    const sizes = { produceSize, consumeSize };
    const handle = this.#parts.handles.add(wanted);
    if (typeof handle === 'number') return R.VMCI_ERROR_NO_MEM;
    const store = request.store ?? new BufferMemory(queuePairBytes(sizes));
    const result = this.#device.allocQueuePair(handle, request, store);
    if (result < 0) {
      this.#parts.handles.remove(handle);
      return result;
    }
    this.#pairs.set(pairKey(handle), handle);
    return new OwnEnd(handle, store, store, sizes, () => this.#detach(handle));
  }

  #detach(handle: Handle): number {
    if (!this.#pairs.has(pairKey(handle))) return R.VMCI_ERROR_NOT_FOUND;
    const result = this.#device.detachQueuePair(handle);
    // The other end may still use the memory, so what the device did not let go of stays.
    if (result < 0) return result;
    this.#pairs.delete(pairKey(handle));
    this.#parts.handles.remove(handle);
    return result;
  }
}

/**
 * What a VM's device does for its guest's driver. @returns the broker's, and NO_RESOURCES when all pairs of the guest would
 * take more than 128 MiB.
 */
export class BrokerDevice implements QueuePairDevice {
  readonly #broker: QueuePairs;
  readonly #context: () => Context | undefined;

  /** @param context the guest's; undefined without one. */
  constructor(broker: QueuePairs, context: () => Context | undefined) {
    this.#broker = broker;
    this.#context = context;
  }

  allocQueuePair(
    handle: Handle,
    request: Omit<QueuePairRequest, 'handle'>,
    store: QueueMemory,
  ): number {
    const context = this.#context();
    if (context === undefined) return R.VMCI_ERROR_NO_RESOURCES;
    const { peer, flags, privileges, produceSize, consumeSize } = request;
    const sizes = { produceSize, consumeSize };
    const taken = this.#broker
      .records(context.cid)
      .reduce((sum, pair) => sum + pair.produceSize + pair.consumeSize, 0);
    if (taken + produceSize + consumeSize > VMCI_MAX_GUEST_QP_MEMORY) {
      return R.VMCI_ERROR_NO_RESOURCES;
    }
    markQueuePair(store, sizes, handle);
    const pages = queuePairBytes(sizes) / VMCI_PAGE_SIZE;
    const wish = { handle, peer, flags, privileges, ...sizes, store: { pages, pin: () => store } };
    const entry = this.#broker.alloc(context, wish);
    return typeof entry === 'number' ? entry : R.VMCI_SUCCESS;
  }

  detachQueuePair(handle: Handle): number {
    const context = this.#context();
    return context === undefined ? R.VMCI_ERROR_NOT_FOUND : this.#broker.detach(context, handle);
  }
}
