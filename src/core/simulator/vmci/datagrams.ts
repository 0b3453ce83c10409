/** Datagram endpoints of a kernel. Source: Linux drivers/misc/vmw_vmci/vmci_datagram.c. */
import { VMCI_HOST_CONTEXT_ID, VMCI_INVALID_ID, VMCI_PRIVILEGE_ALL_FLAGS } from '../../abi/vmci.js';
import {
  VMCI_FLAG_ANYCID_DG_HND,
  VMCI_FLAG_DG_DELAYED_CB,
  VMCI_FLAG_WELLKNOWN_DG_HND,
  VMCI_MAX_DELAYED_DG_HOST_QUEUE_SIZE,
} from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { deniesInteraction } from './access.js';
import type { Datagram, Handle } from './parts.js';
import type { Resources } from './resources.js';
import type { Work } from './work.js';

export interface DatagramEndpoint {
  readonly handle: Handle;
  readonly privileges: number;
  readonly delayed: boolean;
  readonly receive: (datagram: Datagram) => number;
  /** It has not been destroyed. */
  alive: boolean;
}

export class DatagramEndpoints {
  readonly #resources: Resources;
  readonly #work: Work;
  /** Deliveries on the host that have been put off. */
  #delayed = 0;

  constructor(resources: Resources, work: Work) {
    this.#resources = resources;
    this.#work = work;
  }

  /**
   * vmci_datagram_create_handle_priv.
   * @param cid the kernel's own context.
   * @returns INVALID_ARGS, NO_RESOURCES (no context), or what the resources say.
   */
  create(
    cid: number,
    resource: number,
    options: Pick<DatagramEndpoint, 'privileges' | 'receive'> & { flags: number },
  ): Handle | number {
    const { flags, privileges, receive } = options;
    const unknown = (privileges & ~VMCI_PRIVILEGE_ALL_FLAGS) !== 0;
    if (unknown || (flags & VMCI_FLAG_WELLKNOWN_DG_HND) !== 0) {
      return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    }
    const anyContext = (flags & VMCI_FLAG_ANYCID_DG_HND) !== 0;
    if (cid === VMCI_INVALID_ID && !anyContext) return VMCI_RESULT.VMCI_ERROR_NO_RESOURCES;
    const context = anyContext ? VMCI_INVALID_ID : cid;
    const delayed = (flags & VMCI_FLAG_DG_DELAYED_CB) !== 0;
    const endpoint = { privileges, delayed, receive, alive: true };
    return this.#resources.add('datagram', { context, resource }, (handle) => {
      return { ...endpoint, handle };
    });
  }

  /** vmci_datagram_destroy_handle: NOT_FOUND. What was put off for it is lost. */
  destroy(handle: Handle): number {
    const endpoint = this.find(handle);
    if (endpoint === undefined) return VMCI_RESULT.VMCI_ERROR_NOT_FOUND;
    endpoint.alive = false;
    this.#resources.remove('datagram', endpoint.handle);
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  find(handle: Handle): DatagramEndpoint | undefined {
    return this.#resources.get('datagram', handle) as DatagramEndpoint | undefined;
  }

  /**
   * What dg_dispatch_as_host does for an endpoint of the host; to itself the host delivers later.
   * @returns INVALID_RESOURCE, NO_ACCESS, NO_MEM (too many are put off), or the callback's error.
   */
  deliverOnHost(datagram: Datagram, privileges: number): number {
    const endpoint = this.find(datagram.dst);
    if (endpoint === undefined) return VMCI_RESULT.VMCI_ERROR_INVALID_RESOURCE;
    if (deniesInteraction(privileges, endpoint.privileges)) {
      return VMCI_RESULT.VMCI_ERROR_NO_ACCESS;
    }
    if (!endpoint.delayed && datagram.src.context !== VMCI_HOST_CONTEXT_ID) {
      return endpoint.receive(datagram);
    }
    if (this.#delayed + 1 === VMCI_MAX_DELAYED_DG_HOST_QUEUE_SIZE) {
      return VMCI_RESULT.VMCI_ERROR_NO_MEM;
    }
    this.#delayed++;
    this.#later(endpoint, datagram, () => this.#delayed--);
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  /** vmci_datagram_invoke_guest_handler: NO_HANDLE, and the datagram is lost. */
  deliverInGuest(datagram: Datagram): number {
    const endpoint = this.find(datagram.dst);
    if (endpoint === undefined) return VMCI_RESULT.VMCI_ERROR_NO_HANDLE;
    if (endpoint.delayed) this.#later(endpoint, datagram, () => undefined);
    else endpoint.receive(datagram);
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  #later(endpoint: DatagramEndpoint, { dst, src, payload }: Datagram, begin: () => void): void {
    const copy = { dst, src, payload: payload.slice() };
    this.#work.add(() => {
      begin();
      if (endpoint.alive) endpoint.receive(copy);
    });
  }
}
