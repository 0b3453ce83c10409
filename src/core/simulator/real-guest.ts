/**
 * A VM whose guest is a real kernel instead of simulated programs. It is there as long as one of its devices has a
 * driver; when it comes or goes, the VM has rebooted: connections are lost, and what ran in the guest is gone.
 */
import { SystemError } from '../abi/errno.js';
import { NO_DEVICE, type RealDevice } from './vsock/network.js';

/** What a real kernel told of its memory; bytes, null where it left something out. */
export interface MemoryReport {
  /** Milliseconds since 1970. */
  readonly reportedAtMs: number;
  readonly total: number | null;
  readonly free: number | null;
  readonly available: number | null;
  readonly caches: number | null;
}

/** The balloon of a real kernel; sizes in bytes. */
export interface RealBalloon {
  /** The step of its size. */
  readonly unit: number;
  readonly target: number;
  /** What the guest says that it has given up. */
  readonly actual: number;
  /** Its last report; null before the first. */
  readonly statistics: MemoryReport | null;
  /** Rounded up to the unit. */
  setTarget(bytes: number): void;
}

export interface RealGuestOptions {
  /** Name of the VM. */
  readonly name: string;
  /** It has come, or gone. */
  changed(): void;
  /** The VM's device on the network is to be that one; undefined for the simulated guest's. */
  plug(device: RealDevice | undefined): void;
}

export class RealGuest {
  readonly #options: RealGuestOptions;
  readonly #devices = new Set<object>();
  #balloon: RealBalloon | undefined;

  constructor(options: RealGuestOptions) {
    this.#options = options;
  }

  /** Whether a real kernel is the guest now. */
  get isThere(): boolean {
    return this.#devices.size > 0;
  }

  get balloon(): RealBalloon | undefined {
    return this.#balloon;
  }

  attachVsock(device: RealDevice): void {
    this.#arrive(device);
    this.#options.plug(device);
  }

  detachVsock(device: RealDevice): void {
    if (this.#devices.has(device)) this.#options.plug(NO_DEVICE);
    this.#leave(device);
  }

  attachBalloon(balloon: RealBalloon): void {
    this.#arrive(balloon);
    this.#balloon = balloon;
  }

  detachBalloon(balloon: RealBalloon): void {
    if (this.#balloon === balloon) this.#balloon = undefined;
    this.#leave(balloon);
  }

  /** The VM is gone, or what offered the devices: nothing of the kernel reaches the network any more. */
  close(): void {
    this.#devices.clear();
    this.#balloon = undefined;
  }

  /** Why simulated programs of the VM can't be acted for: EOPNOTSUPP while a real kernel is there. */
  get refusal(): SystemError | undefined {
    if (!this.isThere) return undefined;
    return new SystemError('EOPNOTSUPP', {
      message: `a real kernel runs in '${this.#options.name}', and --in reaches simulated guests only`,
      hint: 'use its console, or connect to it by vsock',
    });
  }

  /** @throws SystemError see `refusal` */
  refuse(): void {
    const { refusal } = this;
    if (refusal !== undefined) throw refusal;
  }

  #arrive(device: object): void {
    const isFirst = this.#devices.size === 0;
    this.#devices.add(device);
    if (!isFirst) return;
    // Before a driver of it takes the socket device, nothing takes packets.
    this.#options.plug(NO_DEVICE);
    this.#options.changed();
  }

  #leave(device: object): void {
    if (!this.#devices.delete(device) || this.isThere) return;
    this.#options.plug(undefined);
    this.#options.changed();
  }
}
