/** The events that sessions want from the host. Follows vbg_set_session_event_filter() in vboxguest_core.c. */
import { VMMDEV_EVENT } from '../../../abi/vmmdev.js';
import { BitUsage } from './bit-usage.js';
import { HostMask } from './host-mask.js';
import { type HostRequests, VBG_KERNEL_REQUEST } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';

/** What the driver itself always wants. */
export const FIXED_EVENTS =
  VMMDEV_EVENT.VMMDEV_EVENT_HGCM | VMMDEV_EVENT.VMMDEV_EVENT_MOUSE_POSITION_CHANGED;

export interface FilterSession {
  readonly requestor: number;
  eventFilter: number;
}

export class EventFilter {
  readonly #host: HostMask;
  readonly #usage = new BitUsage();

  constructor(host: HostRequests, log: KernelLog) {
    this.#host = new HostMask('VMMDevReq_CtlGuestFilterMask', host, log);
  }

  /** As at the driver's start, and with 0 at its end. @throws SystemError by the host's status. */
  reset(mask: number): void {
    this.#host.reset(mask, VBG_KERNEL_REQUEST);
  }

  /**
   * Changes a session's mask; what the host refuses leaves it as it was.
   * @throws SystemError ENOMEM, and by the host's status.
   */
  change(session: FilterSession, orMask: number, notMask: number): void {
    const previous = session.eventFilter;
    this.#set(session, ((previous | orMask) & ~notMask) >>> 0);
    if (session.eventFilter === previous) return;
    try {
      this.#tell(session.requestor);
    } catch (error) {
      this.#set(session, previous);
      throw error;
    }
  }

  /** Takes all bits of a session that ends. @throws SystemError by the host's status, when all is done. */
  drop(session: FilterSession): void {
    if (session.eventFilter === 0) return;
    this.#set(session, 0);
    this.#tell(VBG_KERNEL_REQUEST);
  }

  #set(session: FilterSession, mask: number): void {
    this.#usage.change(session.eventFilter, mask);
    session.eventFilter = mask;
  }

  #tell(requestor: number): void {
    this.#host.tell((FIXED_EVENTS | this.#usage.mask) >>> 0, requestor);
  }
}
