/**
 * Hypercalls of VMCI: datagrams to the resources of context 0, all from the anonymous source. Mirrors Linux
 * include/linux/vmw_vmci_defs.h.
 */
import { array, struct, u32, u64 } from './layout.js';
import { vmci_handle } from './vmci.js';
import { vmci_datagram } from './vmci-datagram.js';

export const VMCI_RESOURCES_QUERY = 0;
export const VMCI_GET_CONTEXT_ID = 1;
export const VMCI_SET_NOTIFY_BITMAP = 2;
export const VMCI_DOORBELL_LINK = 3;
export const VMCI_DOORBELL_UNLINK = 4;
export const VMCI_DOORBELL_NOTIFY = 5;
/** Obsolete, as is the next. */
export const VMCI_DATAGRAM_REQUEST_MAP = 6;
export const VMCI_DATAGRAM_REMOVE_MAP = 7;
export const VMCI_EVENT_SUBSCRIBE = 8;
export const VMCI_EVENT_UNSUBSCRIBE = 9;
export const VMCI_QUEUEPAIR_ALLOC = 10;
export const VMCI_QUEUEPAIR_DETACH = 11;
export const VMCI_HGFS_TRANSPORT = 13;
export const VMCI_UNITY_PBRPC_REGISTER = 14;
export const VMCI_RPC_PRIVILEGED = 15;
export const VMCI_RPC_UNPRIVILEGED = 16;
export const VMCI_RESOURCE_MAX = 17;

/** Resources that one query can ask for. */
export const VMCI_RESOURCE_QUERY_MAX_NUM = 31;
/** Bytes of the longest query. */
export const VMCI_RESOURCE_QUERY_MAX_SIZE = 156;

const hdr = vmci_datagram;

/** The numbers of resources follow, u32 each. The result has a bit for each that is there, in the query's order. */
export const vmci_resource_query_hdr = struct('vmci_resource_query_hdr', {
  hdr,
  num_resources: u32,
  _padding: u32,
});
/** The same after the header. */
export const vmci_resource_query_msg = struct('vmci_resource_query_msg', {
  num_resources: u32,
  _padding: u32,
  resources: array(u32, 1),
});
/** Where the page of the bitmap is; its 32-bit form has zeros in the upper half. */
export const vmci_notify_bm_set_msg = struct('vmci_notify_bm_set_msg', { hdr, bitmap_ppn64: u64 });
/** Which byte of the bitmap says that a doorbell was rung. */
export const vmci_doorbell_link_msg = struct('vmci_doorbell_link_msg', {
  hdr,
  handle: vmci_handle,
  notify_idx: u64,
});
export const vmci_doorbell_unlink_msg = struct('vmci_doorbell_unlink_msg', {
  hdr,
  handle: vmci_handle,
});
export const vmci_doorbell_notify_msg = struct('vmci_doorbell_notify_msg', {
  hdr,
  handle: vmci_handle,
});
/** Page numbers follow: those of the produce queue with its header, then the consume queue's. */
export const vmci_qp_alloc_msg = struct('vmci_qp_alloc_msg', {
  hdr,
  handle: vmci_handle,
  peer: u32,
  flags: u32,
  produce_size: u64,
  consume_size: u64,
  num_ppns: u64,
});
export const vmci_qp_detach_msg = struct('vmci_qp_detach_msg', { hdr, handle: vmci_handle });
