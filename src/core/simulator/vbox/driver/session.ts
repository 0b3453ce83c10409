/** One open node: struct vbg_session in vboxguest_core.h, and vbg_core_close_session(). */
import { SystemError } from '../../../abi/errno.js';
import { VBG_HGCM_CLIENTS_PER_SESSION } from '../../../abi/vboxguest.js';
import type { IoctlCall } from './call.js';
import { VBG_KERNEL_REQUEST } from './host-requests.js';
import type { Vbg } from './vbg.js';

/** A place for a client that is taken, but not yet or no longer by a client that can be called. */
export const CLIENT_BUSY = 0xffffffff;

export class Session {
  readonly vbg: Vbg;
  /** Who asks, as VMMDEV_REQUESTOR. */
  readonly requestor: number;
  /** Calls that wait. */
  readonly pending = new Set<IoctlCall>();
  /** Numbers of clients of HGCM; 0 is a free place. */
  readonly clients = new Uint32Array(VBG_HGCM_CLIENTS_PER_SESSION);
  eventFilter = 0;
  setCaps = 0;
  acquiredCaps = 0;
  /** Waits for events end with EINTR, also those to come. */
  cancelWaiters = false;
  #state: 'open' | 'closing' | 'gone' = 'open';

  constructor(vbg: Vbg, requestor: number) {
    this.vbg = vbg;
    this.requestor = requestor;
    vbg.sessions.add(this);
  }

  /** Whether calls can be made. */
  get open(): boolean {
    return this.#state === 'open';
  }

  /** Interrupts the calls that wait. When the last has ended, all that the session has is given up. */
  close(): void {
    if (!this.open) return;
    this.#state = 'closing';
    for (const call of [...this.pending]) call.interrupt();
    this.settle();
  }

  /** The driver is gone: calls end, and the host is told nothing. */
  abandon(): void {
    this.#state = 'gone';
    this.vbg.sessions.delete(this);
    for (const call of [...this.pending]) call.end('ENODEV');
  }

  /** A call has ended. */
  settle(): void {
    if (this.#state !== 'closing' || this.pending.size > 0) return;
    this.#state = 'gone';
    this.vbg.sessions.delete(this);
    const { capabilities, filter } = this.vbg;
    this.#drop(() => capabilities.dropAcquired(this));
    this.#drop(() => capabilities.dropSet(this));
    this.#drop(() => filter.drop(this));
    this.#disconnect(this.clients.filter((client) => client !== 0));
  }

  /** One client after the other; as the kernel, since nobody asks any more. */
  #disconnect(clients: Uint32Array): void {
    const [client] = clients;
    if (client === undefined) return;
    const next = () => this.#disconnect(clients.subarray(1));
    this.#drop(() => this.vbg.hgcm.disconnect(client, VBG_KERNEL_REQUEST, next));
  }

  /** What the host refuses can't keep a session from ending. */
  #drop(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.vbg.log.printLimited(`vbg_core_close_session error: ${error.code}`);
    }
  }
}
