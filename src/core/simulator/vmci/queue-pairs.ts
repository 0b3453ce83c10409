/**
 * The host's broker of queue pairs: one entry for each pair between a guest (or a program on /dev/vmci, which counts as
 * one) and the host's kernel. Each rule stands in the order in which it is asked. Sizes are kept as the guest names
 * them, whose pages the pair stands in. Source: Linux drivers/misc/vmw_vmci/vmci_queue_pair.c.
 */
import {
  VMCI_HOST_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
  VMCI_PRIVILEGE_FLAG_TRUSTED,
  VMCI_VERSION_HOSTQP,
} from '../../abi/vmci.js';
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import { VMCI_EVENT_QP_PEER_ATTACH, VMCI_EVENT_QP_PEER_DETACH } from '../../abi/vmci-event.js';
import { JoinedMemory } from '../../abi/vmci-memory.js';
import { queueBytes, queuePairBytes } from '../../abi/vmci-queue.js';
import {
  VMCI_MAX_GUEST_QP_COUNT_4K_PAGES,
  VMCI_MAX_GUEST_QP_MEMORY,
  VMCI_QP_ALL_FLAGS,
  VMCI_QP_ASYMM,
  VMCI_QP_ASYMM_PEER,
  VMCI_QPFLAG_ATTACH_ONLY,
  VMCI_QPFLAG_LOCAL,
  VMCIQPB_ATTACHED_MEM,
  VMCIQPB_ATTACHED_NO_MEM,
  VMCIQPB_CREATED_MEM,
  VMCIQPB_CREATED_NO_MEM,
} from '../../abi/vmci-queue-pair.js';
import type { Context, ContextTable, Handle, QueuePairRecord } from './parts.js';
import {
  type BrokerRequest,
  guestSizes,
  type HandleSpace,
  isEnd,
  isVm,
  type PageStore,
  type PairEntry,
  pairKey,
  stateOf,
} from './queue-pairs-entry.js';
import { SavedHeaders } from './queue-pairs-states.js';

export class QueuePairs {
  readonly #contexts: ContextTable;
  readonly #handles: HandleSpace;
  readonly #entries = new Map<string, PairEntry>();

  constructor(contexts: ContextTable, handles: HandleSpace) {
    this.#contexts = contexts;
    this.#handles = handles;
  }

  find(handle: Handle): PairEntry | undefined {
    return this.#entries.get(pairKey(handle));
  }

  /** All pairs, or those of which a context is an end. */
  records(cid?: number): QueuePairRecord[] {
    const all = [...this.#entries.values()];
    const seen = cid === undefined ? all : all.filter((entry) => isEnd(entry, cid));
    return seen.map(recordOf);
  }

  /**
   * vmci_qp_broker_alloc: makes a pair, or attaches to the one that has the handle.
   * @returns its entry, or one of NO_RESOURCES (larger than 128 MiB, or too many of one context), INVALID_ARGS,
   *   ALREADY_EXISTS, and those of `#create` and `#attach`.
   */
  alloc(context: Context, request: BrokerRequest): PairEntry | number {
    const { handle, flags, produceSize, consumeSize, store } = request;
    if (produceSize + consumeSize > VMCI_MAX_GUEST_QP_MEMORY) return R.VMCI_ERROR_NO_RESOURCES;
    const unusable =
      handle.context === VMCI_INVALID_ID ||
      (flags & ~VMCI_QP_ALL_FLAGS) !== 0 ||
      (flags & VMCI_QPFLAG_LOCAL) !== 0 ||
      produceSize + consumeSize === 0 ||
      context.cid === VMCI_INVALID_ID;
    if (unusable) return R.VMCI_ERROR_INVALID_ARGS;
    // A header's page for each queue: there are no fewer, and the sizes say how many there are.
    if (store !== undefined && store.pages < 2) return R.VMCI_ERROR_INVALID_ARGS;
    const key = pairKey(handle);
    if (context.queuePairs.has(key)) return R.VMCI_ERROR_ALREADY_EXISTS;
    // Linux makes a pair here that its context does not know and can't detach.
    if (context.queuePairs.size >= VMCI_MAX_GUEST_QP_COUNT_4K_PAGES) {
      return R.VMCI_ERROR_NO_RESOURCES;
    }
    const entry = this.#entries.get(key);
    return entry === undefined
      ? this.#create(context, request)
      : this.#attach(entry, context, request);
  }

  #create(context: Context, request: BrokerRequest): PairEntry | number {
    const { handle, peer, flags } = request;
    const { cid } = context;
    if ((flags & VMCI_QPFLAG_ATTACH_ONLY) !== 0) return R.VMCI_ERROR_NOT_FOUND;
    if (handle.context !== cid && handle.context !== peer) return R.VMCI_ERROR_NO_ACCESS;
    if (isVm(cid) && isVm(peer)) return R.VMCI_ERROR_DST_UNREACHABLE;
    const sizes = guestSizes(cid, request);
    const memory = request.store?.pin(queuePairBytes(sizes));
    if (request.store !== undefined && memory === undefined) return R.VMCI_ERROR_NO_MEM;
    const taken = this.#handles.add(handle);
    if (typeof taken === 'number') return taken;
    const entry: PairEntry = {
      handle: taken,
      peer,
      flags,
      ...sizes,
      requiresTrust: (context.privileges & VMCI_PRIVILEGE_FLAG_RESTRICTED) !== 0,
      createdByTrusted: (request.privileges & VMCI_PRIVILEGE_FLAG_TRUSTED) !== 0,
      state: memory === undefined ? VMCIQPB_CREATED_NO_MEM : VMCIQPB_CREATED_MEM,
      creator: cid,
      attacher: undefined,
      memory,
      saved: undefined,
      wakeup: request.wakeup,
    };
    this.#entries.set(pairKey(taken), entry);
    context.queuePairs.add(pairKey(taken));
    return entry;
  }

  #attach(entry: PairEntry, context: Context, request: BrokerRequest): PairEntry | number {
    const refused = this.#refuseAttach(entry, context, request);
    if (refused < 0) return refused;
    const state =
      context.cid === VMCI_HOST_CONTEXT_ID ? attachHost(entry) : attachGuest(entry, request);
    if (state < 0) return state;
    entry.state = state;
    entry.attacher = context.cid;
    entry.wakeup ??= request.wakeup;
    context.queuePairs.add(pairKey(entry.handle));
    if (state === VMCIQPB_ATTACHED_MEM) this.#tellAttached(entry, context.cid);
    return entry;
  }

  /** What is asked of whoever attaches, in this order. */
  #refuseAttach(entry: PairEntry, context: Context, request: BrokerRequest): number {
    const { creator } = entry;
    const { cid } = context;
    if (entry.state !== VMCIQPB_CREATED_NO_MEM && entry.state !== VMCIQPB_CREATED_MEM) {
      return R.VMCI_ERROR_UNAVAILABLE;
    }
    if (creator === undefined || isEnd(entry, cid)) return R.VMCI_ERROR_ALREADY_EXISTS;
    if (isVm(cid) && isVm(creator)) return R.VMCI_ERROR_DST_UNREACHABLE;
    const restricted = (context.privileges & VMCI_PRIVILEGE_FLAG_RESTRICTED) !== 0;
    if (restricted && !entry.createdByTrusted) return R.VMCI_ERROR_NO_ACCESS;
    const trusted = (request.privileges & VMCI_PRIVILEGE_FLAG_TRUSTED) !== 0;
    if (entry.requiresTrust && !trusted) return R.VMCI_ERROR_NO_ACCESS;
    if (entry.peer !== VMCI_INVALID_ID && entry.peer !== cid) return R.VMCI_ERROR_NO_ACCESS;
    const guest = creator === VMCI_HOST_CONTEXT_ID ? context : this.#contexts.get(creator);
    if (guest === undefined || guest.version < VMCI_VERSION_HOSTQP) {
      return R.VMCI_ERROR_INVALID_RESOURCE;
    }
    const flagsFit = (entry.flags & ~VMCI_QP_ASYMM) === (request.flags & ~VMCI_QP_ASYMM_PEER);
    const { produceSize, consumeSize } = guestSizes(cid, request);
    const sizesFit = entry.produceSize === produceSize && entry.consumeSize === consumeSize;
    return flagsFit && sizesFit ? R.VMCI_SUCCESS : R.VMCI_ERROR_QUEUEPAIR_MISMATCH;
  }

  /**
   * vmci_qp_broker_detach. Who is left is told; the pair lives until both have detached.
   * @returns NOT_FOUND, QUEUEPAIR_NOTATTACHED.
   */
  detach(context: Context, handle: Handle): number {
    const entry = this.#mine(context, handle);
    if (typeof entry === 'number') return entry;
    const { cid } = context;
    const guestLeaves = cid !== VMCI_HOST_CONTEXT_ID;
    const left = cid === entry.creator ? entry.attacher : entry.creator;
    if (cid === entry.creator) entry.creator = undefined;
    else entry.attacher = undefined;
    const { guestLeft, hostLeft } = stateOf(entry);
    entry.state = guestLeaves ? guestLeft : hostLeft;
    context.queuePairs.delete(pairKey(handle));
    const { wakeup } = entry;
    if (guestLeaves) entry.memory = undefined;
    else entry.wakeup = undefined;
    if (guestLeaves) wakeup?.();
    if (left === undefined) this.#remove(entry);
    else this.#contexts.queuePairEvent(left, VMCI_EVENT_QP_PEER_DETACH, entry.handle, cid);
    return R.VMCI_SUCCESS;
  }

  /**
   * vmci_qp_broker_map: the guest's pages are there again. Where they are already, and of the host's end, nothing happens.
   * @returns NOT_FOUND, QUEUEPAIR_NOTATTACHED, NO_MEM.
   */
  map(context: Context, handle: Handle, store: PageStore): number {
    const entry = this.#mine(context, handle);
    if (typeof entry === 'number') return entry;
    if (context.cid === VMCI_HOST_CONTEXT_ID || stateOf(entry).hasMemory) return R.VMCI_SUCCESS;
    const memory = store.pin(queuePairBytes(entry));
    if (memory === undefined) return R.VMCI_ERROR_NO_MEM;
    entry.memory = memory;
    entry.saved = undefined;
    entry.state = stateOf(entry).mapped;
    entry.wakeup?.();
    return R.VMCI_SUCCESS;
  }

  /** vmci_qp_broker_unmap: the guest takes its pages away for a while. @returns NOT_FOUND, QUEUEPAIR_NOTATTACHED. */
  unmap(context: Context, handle: Handle): number {
    const entry = this.#mine(context, handle);
    if (typeof entry === 'number') return entry;
    const { memory } = entry;
    if (context.cid === VMCI_HOST_CONTEXT_ID || memory === undefined) return R.VMCI_SUCCESS;
    entry.saved = new SavedHeaders(memory, entry);
    entry.memory = undefined;
    entry.state = stateOf(entry).unmapped;
    return R.VMCI_SUCCESS;
  }

  /**
   * vmci_qp_broker_set_page_store, of contexts of versions 9 and 10, which have a mapping for each queue.
   * @param stores undefined for an address of 0.
   * @returns INVALID_ARGS, NOT_FOUND, QUEUEPAIR_NOTOWNER, UNAVAILABLE, NO_MEM.
   */
  setPageStore(
    context: Context,
    handle: Handle,
    stores: { readonly produce: PageStore | undefined; readonly consume: PageStore | undefined },
  ): number {
    const { produce, consume } = stores;
    if (produce === undefined || consume === undefined) return R.VMCI_ERROR_INVALID_ARGS;
    const entry = context.queuePairs.has(pairKey(handle)) ? this.find(handle) : undefined;
    if (entry === undefined) return R.VMCI_ERROR_NOT_FOUND;
    const { cid } = context;
    const attached = entry.creator === VMCI_HOST_CONTEXT_ID && entry.attacher === cid;
    if (entry.creator !== cid && !attached) return R.VMCI_ERROR_QUEUEPAIR_NOTOWNER;
    if (entry.state !== VMCIQPB_CREATED_NO_MEM && entry.state !== VMCIQPB_ATTACHED_NO_MEM) {
      return R.VMCI_ERROR_UNAVAILABLE;
    }
    const first = produce.pin(queueBytes(entry.produceSize));
    const second = consume.pin(queueBytes(entry.consumeSize));
    if (first === undefined || second === undefined) return R.VMCI_ERROR_NO_MEM;
    entry.memory = new JoinedMemory(first, second);
    entry.state = stateOf(entry).mapped;
    if (entry.state === VMCIQPB_ATTACHED_MEM) this.#tellAttached(entry, cid);
    return R.VMCI_SUCCESS;
  }

  /** A context is gone, and leaves its pairs. */
  contextGone(context: Context): void {
    for (const key of [...context.queuePairs]) {
      const entry = this.#entries.get(key);
      if (entry !== undefined) this.detach(context, entry.handle);
    }
    context.queuePairs.clear();
  }

  #tellAttached({ handle, creator }: PairEntry, by: number): void {
    if (creator === undefined) return;
    this.#contexts.queuePairEvent(creator, VMCI_EVENT_QP_PEER_ATTACH, handle, by);
  }

  #mine(context: Context, handle: Handle): PairEntry | number {
    const entry = context.queuePairs.has(pairKey(handle)) ? this.find(handle) : undefined;
    if (entry === undefined) return R.VMCI_ERROR_NOT_FOUND;
    return isEnd(entry, context.cid) ? entry : R.VMCI_ERROR_QUEUEPAIR_NOTATTACHED;
  }

  #remove(entry: PairEntry): void {
    entry.memory = undefined;
    entry.saved = undefined;
    this.#entries.delete(pairKey(entry.handle));
    this.#handles.remove(entry.handle);
  }
}

function recordOf(entry: PairEntry): QueuePairRecord {
  const { handle, state, creator, attacher, peer, flags, produceSize, consumeSize } = entry;
  const pages = entry.memory ?? entry.saved;
  return { handle, state, creator, attacher, peer, flags, produceSize, consumeSize, pages };
}

/** The state that a guest's attaching leads to; it brings the memory. */
function attachGuest(entry: PairEntry, { store }: BrokerRequest): number {
  if (entry.state !== VMCIQPB_CREATED_NO_MEM) return R.VMCI_ERROR_INVALID_ARGS;
  // Contexts of old versions bring it afterwards.
  if (store === undefined) return VMCIQPB_ATTACHED_NO_MEM;
  entry.memory = store.pin(queuePairBytes(entry));
  return entry.memory === undefined ? R.VMCI_ERROR_NO_MEM : VMCIQPB_ATTACHED_MEM;
}

/** The state that the host's attaching leads to; the memory has to be there. */
function attachHost({ state }: PairEntry): number {
  return state === VMCIQPB_CREATED_NO_MEM ? R.VMCI_ERROR_UNAVAILABLE : VMCIQPB_ATTACHED_MEM;
}
