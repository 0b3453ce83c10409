/**
 * The guest's heartbeat: the host tells how often, and the driver beats. Follows vbg_heartbeat_init() and its
 * neighbours in vboxguest_core.c.
 */
import { SystemError } from '../../../abi/errno.js';
import { VMMDevReqGuestHeartbeat, VMMDevReqHeartbeat } from '../../../abi/vmmdev-requests.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';
import { checkStatus, type HostRequests } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';

const NS_PER_MS = 1_000_000n;

/** What is wrong with the guest on purpose. */
export interface HeartbeatFaults {
  /** The timer runs, but the host hears nothing. */
  heartbeatStopped: boolean;
}

export interface HeartbeatOptions {
  readonly host: HostRequests;
  readonly log: KernelLog;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly faults: HeartbeatFaults;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #intervalMs = 0;
  #timer: Deadline | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Learns the interval and beats at once. A host that wants no heartbeat is left alone. */
  start(): void {
    const { log } = this.#options;
    try {
      this.#configure(false);
      this.#configure(true);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      log.print(`vbg_heartbeat_init: no heartbeat: ${error.code}`);
      return;
    }
    log.print(
      `vbg_heartbeat_init: Setting up heartbeat to trigger every ${this.#intervalMs} milliseconds`,
    );
    this.#schedule(0);
  }

  /** Ends it, and tells the host. */
  stop(): void {
    this.cancel();
    try {
      this.#configure(false);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#options.log.print(`vbg_heartbeat_exit error: ${error.code}`);
    }
  }

  /** Ends it without a word to the host. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** @throws SystemError ENOMEM, and by the host's status. */
  #configure(enabled: boolean): void {
    const { host, log } = this.#options;
    const fields = { fEnabled: enabled ? 1 : 0, cNsInterval: 0n };
    const { rc, body } = host.ask('VMMDevReq_HeartbeatConfigure', VMMDevReqHeartbeat, fields);
    this.#intervalMs = Number(BigInt.asIntN(32, body.cNsInterval / NS_PER_MS));
    checkStatus(log, rc);
  }

  #schedule(ms: number): void {
    const atMs = this.#options.clock.monotonicMs() + ms;
    this.#timer = this.#options.deadlines.schedule(atMs, () => this.#beat());
  }

  #beat(): void {
    const { host, faults } = this.#options;
    if (!faults.heartbeatStopped) {
      host.ask('VMMDevReq_GuestHeartbeat', VMMDevReqGuestHeartbeat, {}, { reserved: 'heartbeat' });
    }
    // A timer is due at the next tick at the earliest.
    this.#schedule(Math.max(this.#intervalMs, 1));
  }
}
