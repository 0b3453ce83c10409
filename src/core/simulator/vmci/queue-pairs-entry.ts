/** What a pair is to the host's broker, and what is asked of it. */
import { VMCI_HOST_CONTEXT_ID, VMCI_INVALID_ID } from '../../abi/vmci.js';
import type { QueueMemory, QueueSizes } from '../../abi/vmci-queue.js';
import type { Handle } from './parts.js';
import { type PairState, STATES } from './queue-pairs-states.js';

/** The pages that a guest gives to a pair. */
export interface PageStore {
  /** How many there are said to be. */
  readonly pages: number;
  /** Takes as many bytes of them as the pair has; undefined where it can't. */
  pin(bytes: number): QueueMemory | undefined;
}

export interface BrokerRequest {
  /** With a resource of VMCI_INVALID_ID one is chosen, which the entry tells. */
  readonly handle: Handle;
  /** VMCI_INVALID_ID for any. */
  readonly peer: number;
  readonly flags: number;
  /** VMCI_PRIVILEGE_FLAG_* of this end. */
  readonly privileges: number;
  /** Bytes, as the caller names them. */
  readonly produceSize: number;
  readonly consumeSize: number;
  readonly store?: PageStore | undefined;
  /** Of the host's end: called when pages are there again, and when the guest has left. */
  readonly wakeup?: (() => void) | undefined;
}

/** Where handles of pairs are taken, type QPAIR_HOST of the resources. */
export interface HandleSpace {
  /** A resource of VMCI_INVALID_ID is chosen. A negative result when it is taken, or none is free. */
  add(handle: Handle): Handle | number;
  remove(handle: Handle): void;
}

/** A pair. */
export interface PairEntry {
  readonly handle: Handle;
  readonly peer: number;
  readonly flags: number;
  /** As the guest names them. */
  readonly produceSize: number;
  readonly consumeSize: number;
  /** Whoever attaches has to be trusted, since its creator is restricted. */
  readonly requiresTrust: boolean;
  readonly createdByTrusted: boolean;
  /** VMCIQPB_*. */
  state: number;
  creator: number | undefined;
  attacher: number | undefined;
  /** The guest's pages, in the states that have memory. */
  memory: QueueMemory | undefined;
  /** Its headers as they were when the guest unmapped them. */
  saved: QueueMemory | undefined;
  wakeup: (() => void) | undefined;
}

/** Contexts above the host's. */
export function isVm(cid: number): boolean {
  return cid !== VMCI_INVALID_ID && cid > VMCI_HOST_CONTEXT_ID;
}

/** A handle as a key of maps and sets. */
export function pairKey({ context, resource }: Handle): string {
  return `${context}:${resource}`;
}

/** Whether a context is one of its ends. */
export function isEnd({ creator, attacher }: PairEntry, cid: number): boolean {
  return creator === cid || attacher === cid;
}

/** Where its state leads. */
export function stateOf({ state }: PairEntry): PairState {
  const found = STATES[state];
  if (found === undefined) throw new Error(`a queue pair in state ${state}`);
  return found;
}

/** The host names the queues the other way round. */
export function guestSizes(cid: number, { produceSize, consumeSize }: QueueSizes): QueueSizes {
  return cid === VMCI_HOST_CONTEXT_ID
    ? { produceSize: consumeSize, consumeSize: produceSize }
    : { produceSize, consumeSize };
}
