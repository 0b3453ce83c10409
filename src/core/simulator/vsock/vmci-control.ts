/** Control packets of vsock over VMCI, as values. Source: Linux net/vmw_vsock/vmci_transport.c. */
import { VMADDR_CID_HYPERVISOR } from '../../abi/vm-sockets.js';
import { VMCI_INVALID_ID, vmci_handle } from '../../abi/vmci.js';
import { VMCI_DG_HEADERSIZE } from '../../abi/vmci-datagram.js';
import {
  VMCI_TRANSPORT_HYPERVISOR_PACKET_RID,
  VMCI_TRANSPORT_PACKET_RID,
  VMCI_TRANSPORT_PACKET_VERSION,
  vmci_transport_packet,
  vmci_transport_waiting_info,
} from '../../abi/vmci-vsock.js';
import type { Datagram, Handle } from '../vmci/parts.js';
import type { VsockAddress } from './socket.js';

/** What one end says to the other. What a type has not makes no sense. */
export interface Control {
  readonly type: number;
  readonly from: VsockAddress;
  readonly to: VsockAddress;
  /** Of REQUEST2 and NEGOTIATE2: a mask of protocols. */
  readonly proto: number;
  /** Of REQUEST, NEGOTIATE and their second kinds: bytes of each queue. Large ones are rounded. */
  readonly size: number;
  /** Of SHUTDOWN: directions. */
  readonly mode: number;
  /** Of OFFER and ATTACH: the queue pair. */
  readonly handle: Handle;
}

/** What is said with a type. */
export interface Words {
  proto?: number;
  /** Or directions. */
  size?: number;
  handle?: Handle;
  /** Of WAITING_READ and WAITING_WRITE. */
  wait?: { generation: bigint; offset: bigint };
}

/** Bytes of a packet behind the datagram's header. */
const PAYLOAD = vmci_transport_packet.size - VMCI_DG_HEADERSIZE;

/** The resource at which a context takes control packets. */
export function packetResource(cid: number): number {
  return cid === VMADDR_CID_HYPERVISOR
    ? VMCI_TRANSPORT_HYPERVISOR_PACKET_RID
    : VMCI_TRANSPORT_PACKET_RID;
}

/** The sender's context is left to the route. */
export function encodeControl(
  type: number,
  from: VsockAddress,
  to: VsockAddress,
  words: Words = {},
): Datagram {
  const dst = { context: to.cid, resource: packetResource(to.cid) };
  const src = { context: VMCI_INVALID_ID, resource: VMCI_TRANSPORT_PACKET_RID };
  const packet = vmci_transport_packet.encode({
    dg: { dst, src, payload_size: BigInt(PAYLOAD) },
    version: VMCI_TRANSPORT_PACKET_VERSION,
    type,
    proto: words.proto ?? 0,
    src_port: from.port,
    dst_port: to.port,
    u: encodeUnion(words),
  });
  return { dst, src, payload: packet.subarray(VMCI_DG_HEADERSIZE) };
}

function encodeUnion({ handle, wait, size = 0 }: Words): Uint8Array {
  const union = new Uint8Array(vmci_transport_waiting_info.size);
  if (handle !== undefined) union.set(vmci_handle.encode(handle));
  else if (wait !== undefined) union.set(vmci_transport_waiting_info.encode(wait));
  else new DataView(union.buffer).setBigUint64(0, BigInt(size), true);
  return union;
}

/** Undefined for what is too short to be one; what is longer has an end that means nothing. */
export function decodeControl({ dst, src, payload }: Datagram): Control | undefined {
  if (payload.length < PAYLOAD) return undefined;
  const whole = new Uint8Array(vmci_transport_packet.size);
  whole.set(payload.subarray(0, PAYLOAD), VMCI_DG_HEADERSIZE);
  const { type, proto, src_port, dst_port, u } = vmci_transport_packet.decode(whole);
  const from = { cid: src.context, port: src_port };
  const to = { cid: dst.context, port: dst_port };
  const view = new DataView(u.buffer, u.byteOffset, u.length);
  return {
    type,
    from,
    to,
    proto,
    size: Number(view.getBigUint64(0, true)),
    mode: view.getUint32(0, true),
    handle: vmci_handle.decode(u.subarray(0, vmci_handle.size)),
  };
}
