/** Datagrams of VMCI. Mirrors Linux include/linux/vmw_vmci_defs.h; limits of the host are of vmci_context.c. */
import { struct, u64 } from './layout.js';
import { type VmciHandleValue, vmci_handle } from './vmci.js';

/** Begins every datagram and hypercall, 24 bytes; the payload follows. */
export const vmci_datagram = struct('vmci_datagram', {
  dst: vmci_handle,
  src: vmci_handle,
  payload_size: u64,
});

export const VMCI_DG_HEADERSIZE = vmci_datagram.size;
/** Bytes of header and payload. */
export const VMCI_MAX_DG_SIZE = 17 * 4096;
export const VMCI_MAX_DG_PAYLOAD_SIZE = VMCI_MAX_DG_SIZE - VMCI_DG_HEADERSIZE;
/** Bytes that wait in a context; what makes it as many or more is refused. */
export const VMCI_MAX_DATAGRAM_QUEUE_SIZE = 2 * VMCI_MAX_DG_SIZE;
/** The same for events. */
export const VMCI_MAX_DATAGRAM_AND_EVENT_QUEUE_SIZE = 188416;
/** Delayed deliveries on the host; the one that makes it as many is refused. */
export const VMCI_MAX_DELAYED_DG_HOST_QUEUE_SIZE = 256;

/** Flags of vmci_datagram_create_handle. */
export const VMCI_FLAG_DG_NONE = 0;
/** Refused. */
export const VMCI_FLAG_WELLKNOWN_DG_HND = 1;
/** For every context that the kernel may have. */
export const VMCI_FLAG_ANYCID_DG_HND = 2;
export const VMCI_FLAG_DG_DELAYED_CB = 4;

export interface VmciDatagramValue {
  readonly dst: VmciHandleValue;
  readonly src: VmciHandleValue;
  /** At most VMCI_MAX_DG_PAYLOAD_SIZE bytes; a longer one is encoded all the same. */
  readonly payload: Uint8Array;
}

/** Bytes of a datagram with its header. */
export function datagramSize({ payload }: VmciDatagramValue): number {
  return VMCI_DG_HEADERSIZE + payload.length;
}

export function encodeDatagram(datagram: VmciDatagramValue): Uint8Array<ArrayBuffer> {
  const { dst, src, payload } = datagram;
  const data = new Uint8Array(datagramSize(datagram));
  data.set(vmci_datagram.encode({ dst, src, payload_size: BigInt(payload.length) }));
  data.set(payload, VMCI_DG_HEADERSIZE);
  return data;
}

/** Undefined unless the bytes are exactly a header and the payload that it tells. The payload is a view. */
export function decodeDatagram(data: Uint8Array): VmciDatagramValue | undefined {
  if (data.length < VMCI_DG_HEADERSIZE) return undefined;
  const { dst, src, payload_size } = vmci_datagram.decode(data);
  const payload = data.subarray(VMCI_DG_HEADERSIZE);
  return payload_size === BigInt(payload.length) ? { dst, src, payload } : undefined;
}
