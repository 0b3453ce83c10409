/** vsock over VMCI: its control packets. Mirrors Linux net/vmw_vsock/vmci_transport.h. */
import { bytes, struct, u8, u16, u32, u64 } from './layout.js';
import { vmci_datagram } from './vmci-datagram.js';

/** Resource of the control packets of host and guests, and that of the hypervisor. */
export const VMCI_TRANSPORT_PACKET_RID = 1;
export const VMCI_TRANSPORT_HYPERVISOR_PACKET_RID = 15;
export const VMCI_TRANSPORT_PACKET_VERSION = 1;

export const VMCI_TRANSPORT_PACKET_TYPE_INVALID = 0;
/** This and the next: a size. */
export const VMCI_TRANSPORT_PACKET_TYPE_REQUEST = 1;
export const VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE = 2;
/** This and the next: a queue pair's handle. */
export const VMCI_TRANSPORT_PACKET_TYPE_OFFER = 3;
export const VMCI_TRANSPORT_PACKET_TYPE_ATTACH = 4;
export const VMCI_TRANSPORT_PACKET_TYPE_WROTE = 5;
export const VMCI_TRANSPORT_PACKET_TYPE_READ = 6;
export const VMCI_TRANSPORT_PACKET_TYPE_RST = 7;
/** A mode: 1 receives no more, 2 sends no more. */
export const VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN = 8;
/** This and the next: a vmci_transport_waiting_info. */
export const VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE = 9;
export const VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ = 10;
/** This and the next: a size, and protocols in the field for these. */
export const VMCI_TRANSPORT_PACKET_TYPE_REQUEST2 = 11;
export const VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2 = 12;
export const VMCI_TRANSPORT_PACKET_TYPE_MAX = 13;

export const VSOCK_PROTO_INVALID = 0;
/** Bit of a protocol: news only when a queue was empty or full before. */
export const VSOCK_PROTO_PKT_ON_NOTIFY = 1;
export const VSOCK_PROTO_ALL_SUPPORTED = VSOCK_PROTO_PKT_ON_NOTIFY;

/** How often news are sent again that could not be sent. */
export const VMCI_TRANSPORT_MAX_DGRAM_RESENDS = 10;

/** Where a waiting end goes on. */
export const vmci_transport_waiting_info = struct('vmci_transport_waiting_info', {
  generation: u64,
  offset: u64,
});

/**
 * A control packet, 56 bytes, a datagram of its own. `u` is a size or mode (u64), a vmci_handle or a
 * vmci_transport_waiting_info.
 */
export const vmci_transport_packet = struct('vmci_transport_packet', {
  dg: vmci_datagram,
  version: u8,
  type: u8,
  proto: u16,
  src_port: u32,
  dst_port: u32,
  _reserved2: u32,
  u: bytes(vmci_transport_waiting_info.size),
});

const TYPES = [
  'INVALID',
  'REQUEST',
  'NEGOTIATE',
  'OFFER',
  'ATTACH',
  'WROTE',
  'READ',
  'RST',
  'SHUTDOWN',
  'WAITING_WRITE',
  'WAITING_READ',
  'REQUEST2',
  'NEGOTIATE2',
];

/** The name of a packet's type, as traces print it. */
export function packetTypeName(type: number): string {
  return TYPES[type] ?? `type ${type}`;
}
