/** A context: what waits for it, what may ring it, whom it watches. Source: drivers/misc/vmw_vmci/vmci_context.c. */
import {
  isInvalidHandle,
  VMCI_MAX_CONTEXTS,
  VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
} from '../../abi/vmci.js';
import { datagramSize } from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import type { Caller } from '../node.js';
import { isVm } from './access.js';
import { DatagramQueue } from './datagram-queue.js';
import { HandleArray } from './handle-array.js';
import type { Context, Datagram, Handle } from './parts.js';

export interface ContextOptions {
  readonly cid: number;
  readonly privileges: number;
  readonly version: number;
  readonly owner: Caller;
  readonly newestFirst: boolean;
}

/** Where 1 stands while something waits, and 0 otherwise. */
export type NotifyFlag = (value: 0 | 1) => void;

export class VmciContext implements Context {
  readonly cid: number;
  readonly privileges: number;
  readonly version: number;
  readonly owner: Caller;
  readonly queuePairs = new Set<string>();
  /** Contexts whose end it is told, in the order in which it asked. */
  readonly watched: number[] = [];
  /** Something has come for it. */
  onArrival: (() => void) | undefined;
  readonly #datagrams: DatagramQueue;
  readonly #doorbells = new HandleArray(VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES);
  readonly #rung = new HandleArray(VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES);
  #notify: NotifyFlag | undefined;

  constructor(options: ContextOptions) {
    this.cid = options.cid;
    this.privileges = options.privileges;
    this.version = options.version;
    this.owner = options.owner;
    this.#datagrams = new DatagramQueue(options.newestFirst);
  }

  /** Whether a datagram or a ring waits. */
  get pending(): boolean {
    return this.#datagrams.length > 0 || this.#rung.size > 0;
  }

  get doorbells(): readonly Handle[] {
    return this.#doorbells.handles;
  }

  /** Doorbells that were rung and not fetched, the first one first. */
  get rung(): readonly Handle[] {
    return this.#rung.handles;
  }

  /** vmci_ctx_enqueue_datagram: bytes, INVALID_ARGS, NO_RESOURCES. */
  enqueue(datagram: Datagram): number {
    const result = this.#datagrams.put(datagram);
    if (result >= VMCI_RESULT.VMCI_SUCCESS) this.#arrived();
    return result;
  }

  /**
   * vmci_ctx_dequeue_datagram: with the datagram come 0 when it was the last, else bytes of the next one. Without one
   * NO_MORE_DATAGRAMS, or NO_MEM for a room of too few bytes.
   */
  dequeue(room: number): { result: number; datagram?: Datagram } {
    const next = this.#datagrams.peek();
    if (next === undefined) {
      this.#fetched();
      return { result: VMCI_RESULT.VMCI_ERROR_NO_MORE_DATAGRAMS };
    }
    if (room < datagramSize(next)) return { result: VMCI_RESULT.VMCI_ERROR_NO_MEM };
    this.#datagrams.take();
    const following = this.#datagrams.peek();
    if (following !== undefined) return { result: datagramSize(following), datagram: next };
    this.#fetched();
    return { result: VMCI_RESULT.VMCI_SUCCESS, datagram: next };
  }

  /** vmci_ctx_dbell_create: INVALID_ARGS, DUPLICATE_ENTRY, NO_MEM. Anything may be in the handle. */
  createDoorbell(handle: Handle): number {
    if (isInvalidHandle(handle)) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    if (this.#doorbells.has(handle)) return VMCI_RESULT.VMCI_ERROR_DUPLICATE_ENTRY;
    return this.#doorbells.append(handle);
  }

  /** vmci_ctx_dbell_destroy, also of a ring that waits: INVALID_ARGS, NOT_FOUND. */
  destroyDoorbell(handle: Handle): number {
    if (isInvalidHandle(handle)) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    this.#rung.remove(handle);
    if (this.#doorbells.remove(handle)) return VMCI_RESULT.VMCI_SUCCESS;
    return VMCI_RESULT.VMCI_ERROR_NOT_FOUND;
  }

  /** A ring; one that waits already counts for both. NOT_FOUND. */
  ring(handle: Handle): number {
    if (!this.#doorbells.has(handle)) return VMCI_RESULT.VMCI_ERROR_NOT_FOUND;
    if (this.#rung.has(handle)) return VMCI_RESULT.VMCI_SUCCESS;
    const result = this.#rung.append(handle);
    if (result === VMCI_RESULT.VMCI_SUCCESS) this.#arrived();
    return result;
  }

  /** The rings have been handed over. */
  clearRung(): void {
    this.#rung.clear();
    this.#fetched();
  }

  /** vmci_ctx_add_notification: DST_UNREACHABLE, NO_ACCESS, ALREADY_EXISTS, NO_MEM. Whether there is one is not asked. */
  watch(remote: number): number {
    if (isVm(this.cid) && isVm(remote)) return VMCI_RESULT.VMCI_ERROR_DST_UNREACHABLE;
    if ((this.privileges & VMCI_PRIVILEGE_FLAG_RESTRICTED) !== 0) {
      return VMCI_RESULT.VMCI_ERROR_NO_ACCESS;
    }
    if (this.watched.length >= VMCI_MAX_CONTEXTS) return VMCI_RESULT.VMCI_ERROR_NO_MEM;
    if (this.watched.includes(remote)) return VMCI_RESULT.VMCI_ERROR_ALREADY_EXISTS;
    this.watched.push(remote);
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  /** vmci_ctx_remove_notification: NOT_FOUND. */
  unwatch(remote: number): number {
    const place = this.watched.indexOf(remote);
    if (place < 0) return VMCI_RESULT.VMCI_ERROR_NOT_FOUND;
    this.watched.splice(place, 1);
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  get hasNotify(): boolean {
    return this.#notify !== undefined;
  }

  /** It says at once that a datagram waits, though not that a ring does. */
  setNotify(flag: NotifyFlag): void {
    this.#notify = flag;
    if (this.#datagrams.length > 0) flag(1);
  }

  clearNotify(): void {
    this.#notify = undefined;
  }

  #arrived(): void {
    this.#notify?.(1);
    this.onArrival?.();
  }

  #fetched(): void {
    if (!this.pending) this.#notify?.(0);
  }
}
