/** An end of a queue pair that a client holds: in whose kernel it is, and what its holder is to be told. */
import { SystemError } from '../abi/errno.js';
import { sameHandle } from '../abi/vmci.js';
import {
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
  vmci_event_data,
  vmci_event_payld_qp,
} from '../abi/vmci-event.js';
import { queuePairBytes, VMCI_PAGE_SIZE } from '../abi/vmci-queue.js';
import type { KernelApi, KernelQueuePair } from '../simulator/vmci/parts.js';
import { type Place, placeOf, type SharedFile } from './shared-files.js';

/** What a file has behind a pair's pages: there each end says that it sleeps. */
export const CONTROL_BYTES = VMCI_PAGE_SIZE;

/** Where a client finds a pair, as its answers have it. */
interface PairPlace {
  readonly path: string;
  readonly offset: number;
  /** Whether the pages are named the other way round by this end. */
  readonly swapped: boolean;
  /** Whether the page for sleepers follows. */
  readonly control: boolean;
}

type Peer = 'none' | 'attached' | 'detached';

/** Files that were made for pairs. */
const made = new WeakSet<SharedFile>();
/** Ends that clients hold, by the file and offset that both of a pair have. */
const ends = new WeakMap<SharedFile, Map<number, Set<QueueEnd>>>();

/** Says that a file was made for one pair. */
export function madeForPair(file: SharedFile): void {
  made.add(file);
}

export class QueueEnd {
  readonly kernel: KernelApi;
  /** Its context then; with another one it is no end any more. */
  readonly #cid: number;
  readonly #subscriptions: readonly number[];
  readonly #onDetach: (() => void)[] = [];
  #pair: KernelQueuePair;
  #place: Place | undefined;
  #peer: Peer = 'none';
  /** Nothing more is written here, and there. */
  #ended = false;
  #peerEnded = false;
  /** Something has happened that its holder was not told yet. */
  #news = false;
  #waiter: (() => void) | undefined;
  /** Why its kernel can't be used any more. */
  #failure: SystemError | undefined;
  #over = false;

  constructor(kernel: KernelApi, pair: KernelQueuePair) {
    this.kernel = kernel;
    this.#cid = kernel.cid;
    this.#pair = pair;
    const on = (event: number, peer: Peer) =>
      kernel.subscribe(event, (payload) => {
        if (sameHandle(this.#pair.handle, handleIn(payload))) this.peerIs(peer);
      });
    this.#subscriptions = [
      on(VMCI_EVENT_QP_PEER_ATTACH, 'attached'),
      on(VMCI_EVENT_QP_PEER_DETACH, 'detached'),
    ];
    this.#findPages();
  }

  get pair(): KernelQueuePair {
    return this.#pair;
  }

  get peer(): Peer {
    return this.#peer;
  }

  /** What its holder may know. */
  state(): object {
    return { peer: this.#peer, peerEnded: this.#peerEnded, place: this.#pairPlace() };
  }

  /** Calls back when it ends. */
  onDetach(action: () => void): void {
    this.#onDetach.push(action);
  }

  /** The pair is another one from now on, in which nobody has been yet. */
  replace(pair: KernelQueuePair): void {
    const before = this.#place;
    this.#together().delete(this);
    this.#place = undefined;
    this.#pair = pair;
    this.#findPages();
    before?.file.release();
  }

  peerIs(peer: Peer): void {
    if (this.#over || this.#failure !== undefined || this.#peer === 'detached') return;
    this.#peer = peer;
    this.#findPages();
    this.tell();
  }

  /** With another context its kernel has no pair of the old one any more. */
  checkContext(): void {
    if (this.kernel.cid !== this.#cid) this.peerIs('detached');
  }

  /** Its kernel is gone. */
  fail(error: SystemError): void {
    this.#failure ??= error;
    this.#waiter?.();
  }

  /** Lets its holder look at the queues. */
  tell(): void {
    this.#news = true;
    this.#waiter?.();
  }

  /** Tells the other end, if a client holds it. @param ended nothing more is written here. */
  wakePeer(ended: boolean): void {
    this.#ended ||= ended;
    for (const end of this.#together()) {
      if (end === this) continue;
      end.#peerEnded ||= this.#ended;
      end.tell();
    }
  }

  /**
   * Waits until there is something to be told.
   * @throws SystemError EINTR, EBUSY (another call waits), EBADF (detached), that of `fail`.
   */
  async news(signal: AbortSignal): Promise<object> {
    if (this.#waiter !== undefined) throw new SystemError('EBUSY');
    const interrupt = () => this.#waiter?.();
    signal.addEventListener('abort', interrupt);
    try {
      while (!this.#news && !signal.aborted && !this.#over && this.#failure === undefined) {
        await new Promise<void>((resolve) => {
          this.#waiter = resolve;
        });
      }
    } finally {
      this.#waiter = undefined;
      signal.removeEventListener('abort', interrupt);
    }
    if (this.#over) throw new SystemError('EBADF');
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#news) throw new SystemError('EINTR');
    this.#news = false;
    return this.state();
  }

  /** vmci_qpair_detach. The other end is told by its kernel. */
  detach(): number {
    if (this.#over) return 0;
    this.#over = true;
    for (const id of this.#subscriptions) this.kernel.unsubscribe(id);
    for (const action of this.#onDetach) action();
    const result = this.#pair.detach();
    this.#forgetPages();
    this.#waiter?.();
    return result;
  }

  /** The pages are there once the guest has brought them. */
  #findPages(): void {
    const { pages } = this.#pair;
    if (this.#place !== undefined || pages === undefined) return;
    this.#place = placeOf(pages);
    this.#place?.file.hold();
    for (const end of this.#together()) this.#peerEnded ||= end.#ended;
    this.#together().add(this);
  }

  #forgetPages(): void {
    this.#together().delete(this);
    this.#place?.file.release();
    this.#place = undefined;
  }

  /** Ends of the pair that clients hold; nobody where its pages are in no file. */
  #together(): Set<QueueEnd> {
    if (this.#place === undefined) return new Set();
    const { file, offset } = this.#place;
    const byOffset = ends.get(file) ?? new Map<number, Set<QueueEnd>>();
    ends.set(file, byOffset);
    const set = byOffset.get(offset) ?? new Set();
    byOffset.set(offset, set);
    return set;
  }

  #pairPlace(): PairPlace | undefined {
    if (this.#place === undefined) return undefined;
    const { file, offset } = this.#place;
    const { memory, pages } = this.#pair;
    return { path: file.path, offset, swapped: memory !== pages, control: made.has(file) };
  }
}

function handleIn(payload: Uint8Array) {
  return vmci_event_payld_qp.decode(payload.subarray(vmci_event_data.size)).handle;
}

/** Pages of a pair in a file with the page for sleepers behind it. */
export function pairFileBytes(sizes: { produceSize: number; consumeSize: number }): number {
  return queuePairBytes(sizes) + CONTROL_BYTES;
}
