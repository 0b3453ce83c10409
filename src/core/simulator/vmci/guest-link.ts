/** The device as its guest's driver uses it: hypercalls and datagrams as bytes. Source: Linux drivers/misc/vmw_vmci/vmci_guest.c. */
import { u32 } from '../../abi/layout.js';
import {
  handleText,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_HANDLE,
  VMCI_INVALID_ID,
} from '../../abi/vmci.js';
import { encodeDatagram, VMCI_DG_HEADERSIZE } from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import * as abi from '../../abi/vmci-hypercalls.js';
import { BufferMemory } from '../../abi/vmci-memory.js';
import { type QueueMemory, VMCI_PAGE_SIZE } from '../../abi/vmci-queue.js';
import type { DoorbellDevice } from './doorbells.js';
import { type GuestPages, PPN_SIZE } from './pages.js';
import type { Datagram, Handle, QueuePairRecord, QueuePairRequest } from './parts.js';
import type { QueuePairDevice } from './queue-pairs-guest.js';

/** The device, as far as a driver reaches it. */
export interface DevicePorts {
  readonly plugged: boolean;
  /** The guest's memory. */
  readonly pages: GuestPages;
  /** Takes a datagram, header and payload. */
  call(data: Uint8Array): number;
  /** The guest's pairs as the host knows them, for those who look from outside: no hypercall tells. */
  queuePairs(): QueuePairRecord[];
}

export class GuestLink implements DoorbellDevice, QueuePairDevice {
  readonly #device: DevicePorts;
  /** The first page of each queue pair, by the handle's text. */
  readonly #lent = new Map<string, number>();

  constructor(device: DevicePorts) {
    this.#device = device;
  }

  get plugged(): boolean {
    return this.#device.plugged;
  }

  /** vmci_get_vm_context_id, asked anew each time; VMCI_INVALID_ID while it is not plugged. */
  get cid(): number {
    const result = this.#hypercall(abi.VMCI_GET_CONTEXT_ID, new Uint8Array(0));
    return result < VMCI_RESULT.VMCI_SUCCESS ? VMCI_INVALID_ID : result;
  }

  /** The driver finds the device: it has to know the calls that the driver needs, and takes the bitmap's page. */
  probe(bitmap: Uint8Array): boolean {
    const ids = new Uint8Array(u32.size);
    u32.write(new DataView(ids.buffer), 0, abi.VMCI_GET_CONTEXT_ID);
    const query = { num_resources: 1 };
    const head = abi.vmci_resource_query_hdr.encode(query).subarray(VMCI_DG_HEADERSIZE);
    if (this.#hypercall(abi.VMCI_RESOURCES_QUERY, joined(head, ids)) !== 1) return false;
    const page = this.#device.pages.lend(new BufferMemory(bitmap));
    const set = { bitmap_ppn64: BigInt(page) };
    const message = abi.vmci_notify_bm_set_msg.encode(set).subarray(VMCI_DG_HEADERSIZE);
    return this.#hypercall(abi.VMCI_SET_NOTIFY_BITMAP, message) === VMCI_RESULT.VMCI_SUCCESS;
  }

  send(datagram: Datagram): number {
    return this.#device.call(encodeDatagram(datagram));
  }

  link(handle: Handle, index: number): number {
    const message = abi.vmci_doorbell_link_msg.encode({ handle, notify_idx: BigInt(index) });
    return this.#hypercall(abi.VMCI_DOORBELL_LINK, message.subarray(VMCI_DG_HEADERSIZE));
  }

  unlink(handle: Handle): number {
    const message = abi.vmci_doorbell_unlink_msg.encode({ handle });
    return this.#hypercall(abi.VMCI_DOORBELL_UNLINK, message.subarray(VMCI_DG_HEADERSIZE));
  }

  notify(handle: Handle): number {
    const message = abi.vmci_doorbell_notify_msg.encode({ handle });
    return this.#hypercall(abi.VMCI_DOORBELL_NOTIFY, message.subarray(VMCI_DG_HEADERSIZE));
  }

  allocQueuePair(
    handle: Handle,
    request: Omit<QueuePairRequest, 'handle'>,
    store: QueueMemory,
  ): number {
    const { peer, flags, produceSize, consumeSize } = request;
    const pages = store.length / VMCI_PAGE_SIZE;
    const first = this.#device.pages.lend(store);
    const head = abi.vmci_qp_alloc_msg.encode({
      handle,
      peer,
      flags,
      produce_size: BigInt(produceSize),
      consume_size: BigInt(consumeSize),
      num_ppns: BigInt(pages),
    });
    const message = joined(head.subarray(VMCI_DG_HEADERSIZE), pageList(first, pages));
    const result = this.#hypercall(abi.VMCI_QUEUEPAIR_ALLOC, message);
    if (result < VMCI_RESULT.VMCI_SUCCESS) this.#device.pages.giveBack(first);
    else this.#lent.set(handleText(handle), first);
    return result;
  }

  detachQueuePair(handle: Handle): number {
    const message = abi.vmci_qp_detach_msg.encode({ handle });
    const call = message.subarray(VMCI_DG_HEADERSIZE);
    const result = this.#hypercall(abi.VMCI_QUEUEPAIR_DETACH, call);
    const first = this.#lent.get(handleText(handle));
    if (result < VMCI_RESULT.VMCI_SUCCESS || first === undefined) return result;
    this.#device.pages.giveBack(first);
    this.#lent.delete(handleText(handle));
    return result;
  }

  /** @param payload what follows the header. */
  #hypercall(resource: number, payload: Uint8Array): number {
    const dst = { context: VMCI_HYPERVISOR_CONTEXT_ID, resource };
    return this.#device.call(encodeDatagram({ dst, src: VMCI_INVALID_HANDLE, payload }));
  }
}

/** Numbers of successive pages. */
function pageList(first: number, count: number): Uint8Array {
  const data = new Uint8Array(count * PPN_SIZE);
  const view = new DataView(data.buffer);
  for (let i = 0; i < count; i++) view.setUint32(i * PPN_SIZE, first + i, true);
  return data;
}

function joined(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const data = new Uint8Array(head.length + rest.length);
  data.set(head);
  data.set(rest, head.length);
  return data;
}
