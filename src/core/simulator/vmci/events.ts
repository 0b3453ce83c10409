/** Events of VMCI, and who is told of them. Source: drivers/misc/vmw_vmci/vmci_event.c. */
import { u32 } from '../../abi/layout.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import {
  VMCI_EVENT_MEM_ACCESS_OFF,
  VMCI_EVENT_MEM_ACCESS_ON,
  vmci_event_data,
  vmci_event_data_max,
  vmci_event_payld_ctx,
  vmci_event_payld_qp,
} from '../../abi/vmci-event.js';
import type { Datagram, Handle } from './parts.js';
import type { KernelProfile } from './profile.js';

type Callback = (payload: Uint8Array) => void;

/** Subscriptions of one kernel. */
export class Subscriptions {
  readonly #profile: KernelProfile;
  readonly #byEvent = new Map<number, { id: number; callback: Callback }[]>();
  #lastId = 0;

  constructor(profile: KernelProfile) {
    this.#profile = profile;
  }

  /** vmci_event_subscribe: an id from 1, or INVALID_ARGS. The callback gets the payload, with the event's number. */
  subscribe(event: number, callback: Callback): number {
    if (!this.#isValid(event)) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    const id = ++this.#lastId;
    const list = this.#byEvent.get(event) ?? [];
    this.#byEvent.set(event, list);
    if (this.#profile.newestSubscriberFirst) list.unshift({ id, callback });
    else list.push({ id, callback });
    return id;
  }

  /** vmci_event_unsubscribe: NOT_FOUND. */
  unsubscribe(id: number): number {
    for (const list of this.#byEvent.values()) {
      const place = list.findIndex((each) => each.id === id);
      if (place < 0) continue;
      list.splice(place, 1);
      return VMCI_RESULT.VMCI_SUCCESS;
    }
    return VMCI_RESULT.VMCI_ERROR_NOT_FOUND;
  }

  /** vmci_event_dispatch: INVALID_ARGS for a payload that is no event's, EVENT_UNKNOWN. */
  dispatch({ payload }: Datagram): number {
    if (payload.length < u32.size || payload.length > vmci_event_data_max.size) {
      return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    }
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const event = u32.read(view, 0);
    if (!this.#isValid(event)) return VMCI_RESULT.VMCI_ERROR_EVENT_UNKNOWN;
    for (const { callback } of [...(this.#byEvent.get(event) ?? [])]) callback(payload.slice());
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  #isValid(event: number): boolean {
    const isOfVmx = event === VMCI_EVENT_MEM_ACCESS_ON || event === VMCI_EVENT_MEM_ACCESS_OFF;
    return event < this.#profile.eventMax && !isOfVmx;
  }
}

/** The payload of an event of a context, 16 bytes. */
export function contextEvent(event: number, cid: number): Uint8Array {
  return joined(
    vmci_event_data.encode({ event }),
    vmci_event_payld_ctx.encode({ context_id: cid }),
  );
}

/** The payload of an event of a queue pair, 24 bytes. */
export function queuePairEvent(event: number, handle: Handle, peer: number): Uint8Array {
  const rest = vmci_event_payld_qp.encode({ handle: { ...handle }, peer_id: peer });
  return joined(vmci_event_data.encode({ event }), rest);
}

function joined(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const data = new Uint8Array(head.length + rest.length);
  data.set(head);
  data.set(rest, head.length);
  return data;
}
