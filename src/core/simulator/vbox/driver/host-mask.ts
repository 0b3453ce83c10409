/**
 * A mask that the host is told when it changes, the union of what sessions want. Follows
 * vbg_set_session_event_filter() and vbg_set_host_capabilities() in vboxguest_core.c.
 */
import type { VmmdevRequestName } from '../../../abi/vmmdev.js';
import { VMMDevCtlGuestFilterMask } from '../../../abi/vmmdev-requests.js';
import { checkStatus, type HostRequests } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';

/** What the host is told is not known: the next change is told in any case. */
const UNKNOWN = 0xffffffff;

export class HostMask {
  readonly #request: VmmdevRequestName;
  readonly #host: HostRequests;
  readonly #log: KernelLog;
  #told = UNKNOWN;

  /** The request has to have the layout of VMMDevCtlGuestFilterMask, which two have. */
  constructor(request: VmmdevRequestName, host: HostRequests, log: KernelLog) {
    this.#request = request;
    this.#host = host;
    this.#log = log;
  }

  /** What the host was told last; 0xffffffff when it refused, or was told nothing. */
  get told(): number {
    return this.#told;
  }

  /** Tells the host, if it doesn't know. @throws SystemError ENOMEM, and by the host's status. */
  tell(mask: number, requestor: number): void {
    if (this.#told === mask) return;
    this.#told = mask;
    try {
      checkStatus(this.#log, this.#ask(mask, requestor));
    } catch (error) {
      this.#told = UNKNOWN;
      throw error;
    }
  }

  /** Sets it as the driver does when it comes and goes: what is told then does not count as known. */
  reset(mask: number, requestor: number): void {
    checkStatus(this.#log, this.#ask(mask, requestor));
  }

  #ask(mask: number, requestor: number): number {
    const masks = { u32OrMask: mask, u32NotMask: ~mask >>> 0 };
    return this.#host.ask(this.#request, VMMDevCtlGuestFilterMask, masks, { requestor }).rc;
  }
}
