/** Events of VMCI, datagrams from 0:0 to a context's resource 0. Mirrors Linux include/linux/vmw_vmci_defs.h. */
import { bytes, struct, u32 } from './layout.js';
import { vmci_handle } from './vmci.js';
import { vmci_datagram } from './vmci-datagram.js';

/** A guest's own context has another number. */
export const VMCI_EVENT_CTX_ID_UPDATE = 0;
/** A context is gone. */
export const VMCI_EVENT_CTX_REMOVED = 1;
export const VMCI_EVENT_QP_RESUMED = 2;
export const VMCI_EVENT_QP_PEER_ATTACH = 3;
export const VMCI_EVENT_QP_PEER_DETACH = 4;
/** These two are no matter of guests: nobody can subscribe to them. */
export const VMCI_EVENT_MEM_ACCESS_ON = 5;
export const VMCI_EVENT_MEM_ACCESS_OFF = 6;
export const VMCI_EVENT_MAX = 7;

/** What FreeBSD and VMware have more. */
export const VMCI_EVENTS_FREEBSD = {
  VMCI_EVENT_GUEST_PAUSED: 7,
  VMCI_EVENT_GUEST_UNPAUSED: 8,
  VMCI_EVENT_MAX: 9,
} as const;

/** Begins the payload of each event. */
export const vmci_event_data = struct('vmci_event_data', { event: u32, _pad: u32 });
/** Follows in events of contexts. */
export const vmci_event_payld_ctx = struct('vmci_event_payld_ctx', { context_id: u32, _pad: u32 });
/** Follows in events of queue pairs. */
export const vmci_event_payld_qp = struct('vmci_event_payld_qp', {
  handle: vmci_handle,
  peer_id: u32,
  _pad: u32,
});
/** The longest payload. */
export const vmci_event_data_max = struct('vmci_event_data_max', {
  event_data: vmci_event_data,
  ev_data_payload: bytes(vmci_event_payld_qp.size),
});

/** Whole datagrams. */
export const vmci_event_msg = struct('vmci_event_msg', {
  hdr: vmci_datagram,
  event_data: vmci_event_data,
});
export const vmci_event_ctx = struct('vmci_event_ctx', {
  msg: vmci_event_msg,
  payload: vmci_event_payld_ctx,
});
export const vmci_event_qp = struct('vmci_event_qp', {
  msg: vmci_event_msg,
  payload: vmci_event_payld_qp,
});

const NAMES = [
  'CTX_ID_UPDATE',
  'CTX_REMOVED',
  'QP_RESUMED',
  'QP_PEER_ATTACH',
  'QP_PEER_DETACH',
  'MEM_ACCESS_ON',
  'MEM_ACCESS_OFF',
  'GUEST_PAUSED',
  'GUEST_UNPAUSED',
];

/** The header's name of an event, without its prefix. */
export function eventName(event: number): string {
  return NAMES[event] ?? `event ${event}`;
}
