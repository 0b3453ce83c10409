/** Events of VMCI, as commands show them. */
import { fromBytes, u32 } from '../abi/layout.js';
import { handleText } from '../abi/vmci.js';
import {
  eventName,
  VMCI_EVENT_CTX_ID_UPDATE,
  VMCI_EVENT_CTX_REMOVED,
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
  vmci_event_data,
  vmci_event_payld_ctx,
  vmci_event_payld_qp,
} from '../abi/vmci-event.js';

export interface VmciEvent {
  /** The header's name without its prefix, `qp-peer-attach`; `event 9` for an unknown one. */
  event: string;
  /** Of an event about a context. */
  contextId?: number;
  /** Of an event about a queue pair, `CID:RID`, with the context of its other end. */
  handle?: string;
  peer?: number;
}

const OF_CONTEXT: readonly number[] = [VMCI_EVENT_CTX_ID_UPDATE, VMCI_EVENT_CTX_REMOVED];
const OF_QUEUE_PAIR: readonly number[] = [VMCI_EVENT_QP_PEER_ATTACH, VMCI_EVENT_QP_PEER_DETACH];

/** Reads a message; undefined for one that is too short for what it says that it is. */
export function readEvent(message: Uint8Array): VmciEvent | undefined {
  if (message.length < u32.size) return undefined;
  const number = fromBytes(u32, message);
  const event = eventName(number).toLowerCase().replaceAll('_', '-');
  const payload = message.subarray(vmci_event_data.size);
  if (OF_CONTEXT.includes(number)) {
    if (payload.length < vmci_event_payld_ctx.size) return undefined;
    return { event, contextId: vmci_event_payld_ctx.decode(payload).context_id };
  }
  if (OF_QUEUE_PAIR.includes(number)) {
    if (payload.length < vmci_event_payld_qp.size) return undefined;
    const { handle, peer_id } = vmci_event_payld_qp.decode(payload);
    return { event, handle: handleText(handle), peer: peer_id };
  }
  return { event };
}

/** `qp-peer-attach 3:1024 peer 3` */
export function eventText({ event, contextId, handle, peer }: VmciEvent): string {
  if (handle !== undefined) return `${event} ${handle} peer ${peer}`;
  return contextId === undefined ? event : `${event} context ${contextId}`;
}
