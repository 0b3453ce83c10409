/**
 * What the guest can do, in two modes: set by any session, or acquired by one alone. Follows
 * vbg_set_session_capabilities() and vbg_acquire_session_capabilities() in vboxguest_core.c.
 */
import { SystemError } from '../../../abi/errno.js';
import { VBGL_IOC_AGC_FLAGS_CONFIG_ACQUIRE_MODE } from '../../../abi/vboxguest.js';
import { VMMDEV_EVENT, VMMDEV_GUEST_SUPPORTS } from '../../../abi/vmmdev.js';
import { BitUsage } from './bit-usage.js';
import type { Events } from './events.js';
import { HostMask } from './host-mask.js';
import { type HostRequests, VBG_KERNEL_REQUEST } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';

export interface CapabilitySession {
  readonly requestor: number;
  setCaps: number;
  acquiredCaps: number;
}

export class Capabilities {
  readonly #host: HostMask;
  readonly #events: Events;
  readonly #log: KernelLog;
  readonly #usage = new BitUsage();
  /** Held by a session. */
  #acquired = 0;

  constructor(host: HostRequests, events: Events, log: KernelLog) {
    this.#host = new HostMask('VMMDevReq_SetGuestCapabilities', host, log);
    this.#events = events;
    this.#log = log;
  }

  /** What the host was told; 0xffffffff while it was told nothing. */
  get told(): number {
    return this.#host.told;
  }

  /** As at the driver's start and end. @throws SystemError by the host's status. */
  reset(): void {
    this.#host.reset(0, VBG_KERNEL_REQUEST);
  }

  /**
   * Changes what a session sets; what the host refuses leaves it as it was.
   * @throws SystemError EBUSY for a capability in acquire mode, ENOMEM, and by the host's status.
   */
  set(session: CapabilitySession, orMask: number, notMask: number): void {
    if ((this.#events.acquireMode & orMask) !== 0) {
      this.#refuse('EBUSY', 'vbg_set_session_capabilities', 'set caps which are in acquire_mode');
    }
    const previous = session.setCaps;
    this.#setCaps(session, ((previous | orMask) & ~notMask) >>> 0);
    if (session.setCaps === previous) return;
    this.#tell(session.requestor, () => this.#setCaps(session, previous));
  }

  /**
   * Puts capabilities into acquire mode, for as long as the driver is there, and acquires them.
   * @throws SystemError EINVAL for what a session has set, EBUSY for what another one holds, ENOMEM, and by the host's
   *   status.
   */
  acquire(session: CapabilitySession, flags: number, orMask: number, notMask: number): void {
    if ((this.#usage.mask & orMask) !== 0) {
      const what = 'acquire caps which are currently set';
      this.#refuse('EINVAL', 'vbg_acquire_session_capabilities', what);
    }
    this.#events.acquireMode |= orMask;
    if ((flags & VBGL_IOC_AGC_FLAGS_CONFIG_ACQUIRE_MODE) !== 0) return;
    const taken = orMask & ~session.acquiredCaps;
    const given = notMask & ~orMask & session.acquiredCaps;
    if (taken === 0 && given === 0) return;
    if ((this.#acquired & taken) !== 0) throw new SystemError('EBUSY', { syscall: 'ioctl' });
    this.#hold(session, taken, given);
    this.#tell(session.requestor, () => this.#hold(session, given, taken));
    if (taken !== 0) this.#wake(taken);
  }

  /** Gives up what a session that ends holds. @throws SystemError by the host's status, when all is done. */
  dropAcquired(session: CapabilitySession): void {
    if (session.acquiredCaps === 0) return;
    this.#hold(session, 0, session.acquiredCaps);
    this.#tell(VBG_KERNEL_REQUEST);
  }

  /** Takes what a session that ends has set. @throws SystemError by the host's status, when all is done. */
  dropSet(session: CapabilitySession): void {
    if (session.setCaps === 0) return;
    this.#setCaps(session, 0);
    this.#tell(VBG_KERNEL_REQUEST);
  }

  #setCaps(session: CapabilitySession, mask: number): void {
    this.#usage.change(session.setCaps, mask);
    session.setCaps = mask;
  }

  #hold(session: CapabilitySession, taken: number, given: number): void {
    this.#acquired = (this.#acquired | taken) & ~given;
    session.acquiredCaps = (session.acquiredCaps | taken) & ~given;
  }

  #tell(requestor: number, rollBack: () => void = () => undefined): void {
    try {
      this.#host.tell((this.#acquired | this.#usage.mask) >>> 0, requestor);
    } catch (error) {
      rollBack();
      throw error;
    }
  }

  /** Others of the session may see events now. Who is now seamless is told so, to look at the host's mode. */
  #wake(taken: number): void {
    const seamless = (taken & VMMDEV_GUEST_SUPPORTS.VMMDEV_GUEST_SUPPORTS_SEAMLESS) !== 0;
    this.#events.post(seamless ? VMMDEV_EVENT.VMMDEV_EVENT_SEAMLESS_MODE_CHANGE_REQUEST : 0);
  }

  #refuse(code: 'EBUSY' | 'EINVAL', where: string, what: string): never {
    this.#log.printLimited(`${where} error: cannot ${what}`);
    throw new SystemError(code, { syscall: 'ioctl' });
  }
}
