/** Datagrams that wait in a context, bounded by their bytes. Source: drivers/misc/vmw_vmci/vmci_context.c. */
import { VMCI_CONTEXT_RESOURCE_ID, VMCI_HYPERVISOR_CONTEXT_ID } from '../../abi/vmci.js';
import {
  datagramSize,
  VMCI_MAX_DATAGRAM_AND_EVENT_QUEUE_SIZE,
  VMCI_MAX_DATAGRAM_QUEUE_SIZE,
  VMCI_MAX_DG_SIZE,
} from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import type { Datagram } from './parts.js';

export class DatagramQueue {
  readonly #newestFirst: boolean;
  readonly #datagrams: Datagram[] = [];
  #bytes = 0;

  constructor(newestFirst: boolean) {
    this.#newestFirst = newestFirst;
  }

  get length(): number {
    return this.#datagrams.length;
  }

  /** A copy of it. Bytes of the datagram; INVALID_ARGS when it is too long, NO_RESOURCES when the queue is full. */
  put(datagram: Datagram): number {
    const size = datagramSize(datagram);
    if (size > VMCI_MAX_DG_SIZE) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    const limit = isEvent(datagram)
      ? VMCI_MAX_DATAGRAM_AND_EVENT_QUEUE_SIZE
      : VMCI_MAX_DATAGRAM_QUEUE_SIZE;
    if (this.#bytes + size >= limit) return VMCI_RESULT.VMCI_ERROR_NO_RESOURCES;
    const { dst, src, payload } = datagram;
    this.#datagrams.push({ dst: { ...dst }, src: { ...src }, payload: payload.slice() });
    this.#bytes += size;
    return size;
  }

  /** The one that is next, which stays. */
  peek(): Datagram | undefined {
    return this.#newestFirst ? this.#datagrams.at(-1) : this.#datagrams[0];
  }

  take(): Datagram | undefined {
    const datagram = this.#newestFirst ? this.#datagrams.pop() : this.#datagrams.shift();
    if (datagram !== undefined) this.#bytes -= datagramSize(datagram);
    return datagram;
  }
}

/** Events come from 0:0. */
function isEvent({ src }: Datagram): boolean {
  return src.context === VMCI_HYPERVISOR_CONTEXT_ID && src.resource === VMCI_CONTEXT_RESOURCE_ID;
}
