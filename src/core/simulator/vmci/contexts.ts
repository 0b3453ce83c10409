/** All contexts of a kernel, and what each is told of the others. Source: drivers/misc/vmw_vmci/vmci_context.c. */
import {
  VMCI_CONTEXT_RESOURCE_ID,
  VMCI_EVENT_HANDLER,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_LEAST_PRIVILEGE_FLAGS,
  VMCI_MAX_CONTEXTS,
  VMCI_RESERVED_CID_LIMIT,
} from '../../abi/vmci.js';
import { VMCI_EVENT_CTX_REMOVED } from '../../abi/vmci-event.js';
import { deniesInteraction } from './access.js';
import { type ContextOptions, VmciContext } from './context.js';
import { contextEvent, queuePairEvent } from './events.js';
import type { ContextTable, Datagram, Handle } from './parts.js';

export interface ContextsOptions {
  /** Sends a datagram as the hypervisor does. */
  send(datagram: Datagram): void;
  /** A context has gone: what else it has ends. */
  gone(context: VmciContext): void;
}

export class Contexts implements ContextTable {
  readonly #options: ContextsOptions;
  readonly #contexts = new Map<number, VmciContext>();

  constructor(options: ContextsOptions) {
    this.#options = options;
  }

  get(cid: number): VmciContext | undefined {
    return this.#contexts.get(cid);
  }

  /** vmci_ctx_create: a context that is taken is replaced by a higher one. Not for VMCI_INVALID_ID. */
  create(options: ContextOptions): VmciContext {
    const context = new VmciContext({ ...options, cid: this.#free(options.cid) });
    this.#contexts.set(context.cid, context);
    return context;
  }

  /** vmci_ctx_destroy. Who watches it learns it before its queue pairs end. */
  destroy(context: VmciContext): void {
    if (this.#contexts.get(context.cid) !== context) return;
    this.#contexts.delete(context.cid);
    context.onArrival = undefined;
    context.clearNotify();
    for (const to of this.#watchersOf(context)) {
      this.contextEvent(to, VMCI_EVENT_CTX_REMOVED, context.cid);
    }
    this.#options.gone(context);
  }

  /** vmci_context_get_priv_flags: the least for a context that there is not. */
  privilegesOf(cid: number): number {
    return this.#contexts.get(cid)?.privileges ?? VMCI_LEAST_PRIVILEGE_FLAGS;
  }

  /** Sends an event about a context to another one. */
  contextEvent(to: number, event: number, about: number): void {
    this.#event(to, contextEvent(event, about));
  }

  queuePairEvent(to: number, event: number, handle: Handle, peer: number): void {
    this.#event(to, queuePairEvent(event, handle, peer));
  }

  #event(to: number, payload: Uint8Array): void {
    this.#options.send({
      dst: { context: to, resource: VMCI_EVENT_HANDLER },
      src: { context: VMCI_HYPERVISOR_CONTEXT_ID, resource: VMCI_CONTEXT_RESOURCE_ID },
      payload,
    });
  }

  #watchersOf({ cid, privileges }: VmciContext): number[] {
    const watchers: number[] = [];
    for (const each of this.#contexts.values()) {
      if (deniesInteraction(privileges, each.privileges)) continue;
      if (each.watched.includes(cid)) watchers.push(each.cid);
    }
    return watchers.slice(0, VMCI_MAX_CONTEXTS);
  }

  #free(wanted: number): number {
    let cid = wanted;
    while (this.#contexts.has(cid)) {
      cid = Math.max(cid, VMCI_RESERVED_CID_LIMIT - 1) + 1;
      if (cid === VMCI_INVALID_ID) cid = VMCI_RESERVED_CID_LIMIT;
    }
    return cid;
  }
}
