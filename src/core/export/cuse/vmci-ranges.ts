/**
 * Which memory of its caller an ioctl of /dev/vmci has. The numbers tell nothing, so there is a table. What outlives a
 * call, page stores and the notify byte, can't be had by CUSE: the driver finds no memory there, and says so.
 */
import { i32, u32 } from '../../abi/layout.js';
import { VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES, vmci_handle } from '../../abi/vmci.js';
import { VMCI_DG_HEADERSIZE, VMCI_MAX_DG_SIZE } from '../../abi/vmci-datagram.js';
import {
  IOCTL_VMCI_CTX_ADD_NOTIFICATION,
  IOCTL_VMCI_CTX_GET_CPT_STATE,
  IOCTL_VMCI_CTX_REMOVE_NOTIFICATION,
  IOCTL_VMCI_CTX_SET_CPT_STATE,
  IOCTL_VMCI_DATAGRAM_RECEIVE,
  IOCTL_VMCI_DATAGRAM_SEND,
  IOCTL_VMCI_GET_CONTEXT_ID,
  IOCTL_VMCI_INIT_CONTEXT,
  IOCTL_VMCI_NOTIFICATIONS_RECEIVE,
  IOCTL_VMCI_NOTIFY_RESOURCE,
  IOCTL_VMCI_QUEUEPAIR_ALLOC,
  IOCTL_VMCI_QUEUEPAIR_DETACH,
  IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE,
  IOCTL_VMCI_QUEUEPAIR_SETVA,
  IOCTL_VMCI_SET_NOTIFY,
  IOCTL_VMCI_VERSION2,
  vmci_ctx_chkpt_buf_info,
  vmci_ctx_info,
  vmci_ctx_notify_recv_info,
  vmci_datagram_snd_rcv_info,
  vmci_dbell_notify_resource_info,
  vmci_init_blk,
  vmci_qp_alloc_info,
  vmci_qp_dtch_info,
  vmci_qp_page_file_info,
  vmci_qp_set_va_info,
  vmci_set_notify_info,
} from '../../abi/vmci-ioctls.js';
import type { UserRange } from './message.js';
import type { RangesOf } from './ranges.js';

interface Row {
  /** Bytes of the argument. */
  readonly size: number;
  /** Whether the argument is read, and whether it is written. */
  readonly direction: 'in' | 'out' | 'inout';
  /** Buffers that the argument points to. */
  readonly buffers?: (argument: Uint8Array) => readonly UserRange[];
  /** Whether the buffers are written, and not only read. */
  readonly fills?: boolean;
}

/** The most that a call of doorbells has to say, bytes: their handles; of their checkpoint twice as much. */
const MAX_HANDLES = VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES * vmci_handle.size;
const MAX_CHECKPOINT = 2 * MAX_HANDLES;

const plain = ({ size }: { size: number }): Row => ({ size, direction: 'inout' });

const ROWS = new Map<number, Row>([
  [IOCTL_VMCI_VERSION2, { size: i32.size, direction: 'in' }],
  [IOCTL_VMCI_INIT_CONTEXT, plain(vmci_init_blk)],
  [IOCTL_VMCI_GET_CONTEXT_ID, { size: u32.size, direction: 'out' }],
  [IOCTL_VMCI_DATAGRAM_SEND, { ...plain(vmci_datagram_snd_rcv_info), buffers: sent }],
  [
    IOCTL_VMCI_DATAGRAM_RECEIVE,
    { ...plain(vmci_datagram_snd_rcv_info), buffers: received, fills: true },
  ],
  [IOCTL_VMCI_NOTIFY_RESOURCE, plain(vmci_dbell_notify_resource_info)],
  [
    IOCTL_VMCI_NOTIFICATIONS_RECEIVE,
    { ...plain(vmci_ctx_notify_recv_info), buffers: rings, fills: true },
  ],
  // The form of 11.0; older ones are longer, and their end is not there.
  [IOCTL_VMCI_QUEUEPAIR_ALLOC, plain(vmci_qp_alloc_info)],
  [IOCTL_VMCI_QUEUEPAIR_SETVA, plain(vmci_qp_set_va_info)],
  [IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE, plain(vmci_qp_page_file_info)],
  [IOCTL_VMCI_QUEUEPAIR_DETACH, plain(vmci_qp_dtch_info)],
  [IOCTL_VMCI_CTX_ADD_NOTIFICATION, plain(vmci_ctx_info)],
  [IOCTL_VMCI_CTX_REMOVE_NOTIFICATION, plain(vmci_ctx_info)],
  [
    IOCTL_VMCI_CTX_GET_CPT_STATE,
    { ...plain(vmci_ctx_chkpt_buf_info), buffers: checkpoint, fills: true },
  ],
  [IOCTL_VMCI_CTX_SET_CPT_STATE, { ...plain(vmci_ctx_chkpt_buf_info), buffers: checkpoint }],
  [IOCTL_VMCI_SET_NOTIFY, plain(vmci_set_notify_info)],
]);

/** The driver refuses other lengths without a look at the datagram. */
function sent(argument: Uint8Array): UserRange[] {
  const { addr, len } = vmci_datagram_snd_rcv_info.decode(argument);
  return len < VMCI_DG_HEADERSIZE || len > VMCI_MAX_DG_SIZE ? [] : range(addr, len);
}

/** No datagram is longer than the longest, however much room there is for it. */
function received(argument: Uint8Array): UserRange[] {
  const { addr, len } = vmci_datagram_snd_rcv_info.decode(argument);
  return range(addr, Math.min(len, VMCI_MAX_DG_SIZE));
}

/** Rings of queue pairs there are none. */
function rings(argument: Uint8Array): UserRange[] {
  const info = vmci_ctx_notify_recv_info.decode(argument);
  return range(info.db_handle_buf_uva, least(info.db_handle_buf_size, MAX_HANDLES));
}

function checkpoint(argument: Uint8Array): UserRange[] {
  const { cpt_buf, buf_size } = vmci_ctx_chkpt_buf_info.decode(argument);
  return range(cpt_buf, Math.min(buf_size, MAX_CHECKPOINT));
}

function range(base: bigint, length: number): UserRange[] {
  return base === 0n || length === 0 ? [] : [{ base, length }];
}

function least(size: bigint, limit: number): number {
  return size > BigInt(limit) ? limit : Number(size);
}

/** Those of /dev/vmci. */
export const vmciRanges: RangesOf = (request, base, copied) => {
  const row = ROWS.get(request);
  if (row === undefined) return { into: [], out: [] };
  const argument = { base, length: row.size };
  const into = row.direction === 'out' ? [] : [argument];
  const out = row.direction === 'in' ? [] : [argument];
  if (row.buffers === undefined || copied.length < row.size) return { into, out };
  const buffers = row.buffers(copied.subarray(0, row.size));
  return { into: [...into, ...buffers], out: row.fills ? [...out, ...buffers] : out };
};
