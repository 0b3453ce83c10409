/**
 * The hypercalls of VMCI as a table. What a hypervisor answers was never seen by us but for what drivers ask of it
 * (Linux drivers/misc/vmw_vmci); results beyond that are those of the host's own calls for the same.
 */
import { type Decoded, u32 } from '../../abi/layout.js';
import { handleText, VMCI_NO_PRIVILEGE_FLAGS } from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import * as abi from '../../abi/vmci-hypercalls.js';
import { VMCI_PAGE_SIZE } from '../../abi/vmci-queue.js';
import type { VmciContext } from './context.js';
import { type GuestPages, PPN_SIZE } from './pages.js';
import type { Handle } from './parts.js';
import type { QueuePairDevice } from './queue-pairs-guest.js';

/** What the calls need of the device to which they are made. */
export interface HypercallDevice {
  readonly pages: GuestPages;
  readonly pairs: QueuePairDevice;
  /** Where rings are written. */
  bitmap: Uint8Array | undefined;
  /** Which byte of it is which doorbell's, by the handle's text. */
  readonly indexes: Map<string, number>;
  /** Rings a doorbell in the name of a context. */
  notifyDoorbell(cid: number, handle: Handle, privileges: number): number;
}

type Call = (device: HypercallDevice, context: VmciContext, data: Uint8Array) => number;

interface Hypercall {
  readonly name: string;
  /** Undefined for those that no host has any more, or that are not this one's. */
  readonly call: Call | undefined;
}

const {
  VMCI_SUCCESS: SUCCESS,
  VMCI_ERROR_INVALID_ARGS: INVALID_ARGS,
  VMCI_ERROR_NO_MEM: NO_MEM,
  VMCI_ERROR_NOT_FOUND: NOT_FOUND,
} = VMCI_RESULT;

/** A row whose request is a struct; INVALID_ARGS when it is shorter. */
function row<T>(
  name: string,
  layout: { readonly size: number; decode(data: Uint8Array): T },
  call: (device: HypercallDevice, context: VmciContext, request: T, rest: Uint8Array) => number,
): Hypercall {
  return {
    name,
    call: (device, context, data) => {
      if (data.length < layout.size) return INVALID_ARGS;
      return call(device, context, layout.decode(data), data.subarray(layout.size));
    },
  };
}

function absent(name: string): Hypercall {
  return { name, call: undefined };
}

/** By the number of the resource. */
export const HYPERCALLS: ReadonlyMap<number, Hypercall> = new Map<number, Hypercall>([
  [abi.VMCI_RESOURCES_QUERY, row('RESOURCES_QUERY', abi.vmci_resource_query_hdr, query)],
  [abi.VMCI_GET_CONTEXT_ID, { name: 'GET_CONTEXT_ID', call: (_device, { cid }) => cid }],
  [abi.VMCI_SET_NOTIFY_BITMAP, row('SET_NOTIFY_BITMAP', abi.vmci_notify_bm_set_msg, setBitmap)],
  [abi.VMCI_DOORBELL_LINK, row('DOORBELL_LINK', abi.vmci_doorbell_link_msg, link)],
  [abi.VMCI_DOORBELL_UNLINK, row('DOORBELL_UNLINK', abi.vmci_doorbell_unlink_msg, unlink)],
  [abi.VMCI_DOORBELL_NOTIFY, row('DOORBELL_NOTIFY', abi.vmci_doorbell_notify_msg, notify)],
  [abi.VMCI_DATAGRAM_REQUEST_MAP, absent('DATAGRAM_REQUEST_MAP')],
  [abi.VMCI_DATAGRAM_REMOVE_MAP, absent('DATAGRAM_REMOVE_MAP')],
  [abi.VMCI_EVENT_SUBSCRIBE, absent('EVENT_SUBSCRIBE')],
  [abi.VMCI_EVENT_UNSUBSCRIBE, absent('EVENT_UNSUBSCRIBE')],
  [abi.VMCI_QUEUEPAIR_ALLOC, row('QUEUEPAIR_ALLOC', abi.vmci_qp_alloc_msg, allocQueuePair)],
  [abi.VMCI_QUEUEPAIR_DETACH, row('QUEUEPAIR_DETACH', abi.vmci_qp_detach_msg, detachQueuePair)],
  [abi.VMCI_HGFS_TRANSPORT, absent('HGFS_TRANSPORT')],
  [abi.VMCI_UNITY_PBRPC_REGISTER, absent('UNITY_PBRPC_REGISTER')],
  [abi.VMCI_RPC_PRIVILEGED, absent('RPC_PRIVILEGED')],
  [abi.VMCI_RPC_UNPRIVILEGED, absent('RPC_UNPRIVILEGED')],
]);

/** A bit for each resource of the query that is there. */
function query(
  _device: HypercallDevice,
  _context: VmciContext,
  { num_resources }: Decoded<typeof abi.vmci_resource_query_hdr>,
  rest: Uint8Array,
): number {
  const bytes = num_resources * u32.size;
  if (num_resources > abi.VMCI_RESOURCE_QUERY_MAX_NUM || rest.length < bytes) return INVALID_ARGS;
  const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
  let found = 0;
  for (let i = 0; i < num_resources; i++) {
    if (HYPERCALLS.get(u32.read(view, i * u32.size))?.call !== undefined) found |= 1 << i;
  }
  return found;
}

function setBitmap(
  device: HypercallDevice,
  _context: VmciContext,
  { bitmap_ppn64 }: Decoded<typeof abi.vmci_notify_bm_set_msg>,
): number {
  const page = device.pages.resolve([Number(bitmap_ppn64)]);
  if (page === undefined) return INVALID_ARGS;
  device.bitmap = page.view(0, VMCI_PAGE_SIZE);
  return SUCCESS;
}

function link(
  device: HypercallDevice,
  context: VmciContext,
  { handle, notify_idx }: Decoded<typeof abi.vmci_doorbell_link_msg>,
): number {
  if (notify_idx >= BigInt(VMCI_PAGE_SIZE)) return INVALID_ARGS;
  const result = context.createDoorbell(handle);
  if (result === SUCCESS) device.indexes.set(handleText(handle), Number(notify_idx));
  return result;
}

function unlink(
  device: HypercallDevice,
  context: VmciContext,
  { handle }: Decoded<typeof abi.vmci_doorbell_unlink_msg>,
): number {
  device.indexes.delete(handleText(handle));
  return context.destroyDoorbell(handle);
}

function notify(
  device: HypercallDevice,
  { cid }: VmciContext,
  { handle }: Decoded<typeof abi.vmci_doorbell_notify_msg>,
): number {
  return device.notifyDoorbell(cid, handle, VMCI_NO_PRIVILEGE_FLAGS);
}

function allocQueuePair(
  device: HypercallDevice,
  _context: VmciContext,
  request: Decoded<typeof abi.vmci_qp_alloc_msg>,
  rest: Uint8Array,
): number {
  const { handle, peer, flags, produce_size, consume_size, num_ppns } = request;
  if (num_ppns * BigInt(PPN_SIZE) !== BigInt(rest.length)) return INVALID_ARGS;
  const store = device.pages.resolve(pageNumbers(rest));
  if (store === undefined) return NO_MEM;
  const sizes = { produceSize: Number(produce_size), consumeSize: Number(consume_size) };
  const privileges = VMCI_NO_PRIVILEGE_FLAGS;
  return device.pairs.allocQueuePair(handle, { peer, flags, privileges, ...sizes }, store);
}

function detachQueuePair(
  device: HypercallDevice,
  context: VmciContext,
  { handle }: Decoded<typeof abi.vmci_qp_detach_msg>,
): number {
  if (!context.queuePairs.has(handleText(handle))) return NOT_FOUND;
  return device.pairs.detachQueuePair(handle);
}

function pageNumbers(data: Uint8Array): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const pages: number[] = [];
  for (let at = 0; at < data.length; at += PPN_SIZE) {
    pages.push(Number(view.getBigUint64(at, true)));
  }
  return pages;
}
