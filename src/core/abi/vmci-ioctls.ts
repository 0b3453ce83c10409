/**
 * The node /dev/vmci: its ioctls, which have neither direction nor size, and their arguments. Mirrors Linux
 * include/linux/vmw_vmci_defs.h and drivers/misc/vmw_vmci/vmci_host.c. `result` is a code of vmci-errors.ts.
 */
import { i32, pointer, struct, u16, u32, u64 } from './layout.js';
import { _IO } from './linux-ioctl.js';
import { vmci_handle } from './vmci.js';

const VMCI_IOCTL_TYPE = 7;

/** The result is the version that this open node speaks. Takes nothing. */
export const IOCTL_VMCI_VERSION = _IO(VMCI_IOCTL_TYPE, 0x9f);
/** Takes a vmci_init_blk, and gives the context that it got. Once for each open node. */
export const IOCTL_VMCI_INIT_CONTEXT = _IO(VMCI_IOCTL_TYPE, 0xa0);
/** Takes a vmci_qp_set_va_info. */
export const IOCTL_VMCI_QUEUEPAIR_SETVA = _IO(VMCI_IOCTL_TYPE, 0xa4);
/** Takes a vmci_dbell_notify_resource_info. */
export const IOCTL_VMCI_NOTIFY_RESOURCE = _IO(VMCI_IOCTL_TYPE, 0xa5);
/** Takes a vmci_ctx_notify_recv_info. */
export const IOCTL_VMCI_NOTIFICATIONS_RECEIVE = _IO(VMCI_IOCTL_TYPE, 0xa6);
/** Takes the caller's version as an s32; the result is the version that both speak. Only for this open node. */
export const IOCTL_VMCI_VERSION2 = _IO(VMCI_IOCTL_TYPE, 0xa7);
/** Takes a vmci_qp_alloc_info; before version 11.0 a vmci_qp_alloc_info_vmvm. */
export const IOCTL_VMCI_QUEUEPAIR_ALLOC = _IO(VMCI_IOCTL_TYPE, 0xa8);
/** Takes a vmci_qp_page_file_info. From version 9.0 until before 11.0. */
export const IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE = _IO(VMCI_IOCTL_TYPE, 0xa9);
/** Takes a vmci_qp_dtch_info. */
export const IOCTL_VMCI_QUEUEPAIR_DETACH = _IO(VMCI_IOCTL_TYPE, 0xaa);
/** This and the next take a vmci_datagram_snd_rcv_info. */
export const IOCTL_VMCI_DATAGRAM_SEND = _IO(VMCI_IOCTL_TYPE, 0xab);
export const IOCTL_VMCI_DATAGRAM_RECEIVE = _IO(VMCI_IOCTL_TYPE, 0xac);
/** This and the next take a vmci_ctx_info. */
export const IOCTL_VMCI_CTX_ADD_NOTIFICATION = _IO(VMCI_IOCTL_TYPE, 0xaf);
export const IOCTL_VMCI_CTX_REMOVE_NOTIFICATION = _IO(VMCI_IOCTL_TYPE, 0xb0);
/** This and the next take a vmci_ctx_chkpt_buf_info. */
export const IOCTL_VMCI_CTX_GET_CPT_STATE = _IO(VMCI_IOCTL_TYPE, 0xb1);
export const IOCTL_VMCI_CTX_SET_CPT_STATE = _IO(VMCI_IOCTL_TYPE, 0xb2);
/** Gives a u32, the host's own context. */
export const IOCTL_VMCI_GET_CONTEXT_ID = _IO(VMCI_IOCTL_TYPE, 0xb3);
/** Takes a vmci_set_notify_info. */
export const IOCTL_VMCI_SET_NOTIFY = _IO(VMCI_IOCTL_TYPE, 0xcb);

export const vmci_init_blk = struct('vmci_init_blk', { cid: u32, flags: u32 });

/** `addr` is that of a datagram, header and payload, `len` its bytes; for receiving, those of the room for it. */
export const vmci_datagram_snd_rcv_info = struct('vmci_datagram_snd_rcv_info', {
  addr: pointer,
  len: u32,
  result: i32,
});

/** `ppn_va` is where the pages of both queues stand, whole pages in one piece. */
export const vmci_qp_alloc_info = struct('vmci_qp_alloc_info', {
  handle: vmci_handle,
  peer: u32,
  flags: u32,
  produce_size: u64,
  consume_size: u64,
  ppn_va: pointer,
  num_ppns: u64,
  result: i32,
  version: u32,
});

/** The same before version 11.0: the pages are told later. */
export const vmci_qp_alloc_info_vmvm = struct('vmci_qp_alloc_info_vmvm', {
  handle: vmci_handle,
  peer: u32,
  flags: u32,
  produce_size: u64,
  consume_size: u64,
  produce_page_file: u64,
  consume_page_file: u64,
  produce_page_file_size: u64,
  consume_page_file_size: u64,
  result: i32,
  _pad: u32,
});

/** A `va` of 0 takes the pages away. */
export const vmci_qp_set_va_info = struct('vmci_qp_set_va_info', {
  handle: vmci_handle,
  va: pointer,
  num_ppns: u64,
  version: u32,
  result: i32,
});

export const vmci_qp_page_file_info = struct('vmci_qp_page_file_info', {
  handle: vmci_handle,
  produce_page_file: u64,
  consume_page_file: u64,
  produce_page_file_size: u64,
  consume_page_file_size: u64,
  result: i32,
  version: u32,
  produce_va: pointer,
  consume_va: pointer,
});

export const vmci_qp_dtch_info = struct('vmci_qp_dtch_info', {
  handle: vmci_handle,
  result: i32,
  _pad: u32,
});

export const vmci_ctx_info = struct('vmci_ctx_info', { remote_cid: u32, result: i32 });

/** `buf_size` says how many bytes are needed where they are too few. */
export const vmci_ctx_chkpt_buf_info = struct('vmci_ctx_chkpt_buf_info', {
  cpt_buf: pointer,
  cpt_type: u32,
  buf_size: u32,
  result: i32,
  _pad: u32,
});

/** Sizes are in bytes: of the room, then of the handles that were rung. */
export const vmci_ctx_notify_recv_info = struct('vmci_ctx_notify_recv_info', {
  db_handle_buf_uva: pointer,
  db_handle_buf_size: u64,
  qp_handle_buf_uva: pointer,
  qp_handle_buf_size: u64,
  result: i32,
  _pad: u32,
});

/** Where the byte stands that is 1 while something waits; 0 for none. */
export const vmci_set_notify_info = struct('vmci_set_notify_info', {
  notify_uva: pointer,
  result: i32,
  _pad: u32,
});

export const vmci_dbell_notify_resource_info = struct('vmci_dbell_notify_resource_info', {
  handle: vmci_handle,
  resource: u16,
  action: u16,
  result: i32,
});

export const VMCI_NOTIFY_RESOURCE_QUEUE_PAIR = 0;
export const VMCI_NOTIFY_RESOURCE_DOOR_BELL = 1;
export const VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY = 0;
export const VMCI_NOTIFY_RESOURCE_ACTION_CREATE = 1;
export const VMCI_NOTIFY_RESOURCE_ACTION_DESTROY = 2;

/** Kinds of state that can be fetched: contexts that are watched, an empty one, doorbells. */
export const VMCI_NOTIFICATION_CPT_STATE = 1;
export const VMCI_WELLKNOWN_CPT_STATE = 2;
export const VMCI_DOORBELL_CPT_STATE = 6;

/** A doorbell in that state. */
export const dbell_cpt_state = struct('dbell_cpt_state', { handle: vmci_handle, bitmap_idx: u64 });
