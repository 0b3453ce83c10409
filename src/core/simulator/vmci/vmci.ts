/**
 * VMCI of a simulated host: the host's kernel and those of its guests, each with the driver of the profile. Nothing here
 * waits: what a kernel puts off happens in `run`.
 */
import { VmciDevice } from './device.js';
import { VmciDriver } from './driver.js';
import type { KernelApi } from './parts.js';
import { HOST_KERNEL, VMCI_PROFILES, type VmciProfile, type VmciProfileName } from './profile.js';
import { Work } from './work.js';

export class Vmci {
  readonly profile: VmciProfile;
  readonly host: VmciDriver;
  readonly #work = new Work();

  constructor(profile: VmciProfileName = 'linux') {
    this.profile = VMCI_PROFILES[profile];
    const { newestFirst } = this.profile;
    this.host = new VmciDriver({ profile: HOST_KERNEL, newestFirst, work: this.#work });
  }

  /** Whether something is left to happen. */
  get busy(): boolean {
    return this.#work.busy;
  }

  /** Lets up to `budget` things happen that were put off. True when there are more. */
  run(budget: number): boolean {
    return this.#work.run(budget);
  }

  /** A guest without a context. */
  addGuest(): GuestVmci {
    return new GuestVmci(this.profile, this.host);
  }
}

/** VMCI of one VM. */
export class GuestVmci {
  readonly #profile: VmciProfile;
  readonly #host: VmciDriver;
  #device: VmciDevice;
  #driver: VmciDriver;
  #cid: number | undefined;

  constructor(profile: VmciProfile, host: VmciDriver) {
    this.#profile = profile;
    this.#host = host;
    [this.#device, this.#driver] = this.#boot();
  }

  /** The guest's context on the host. */
  get cid(): number | undefined {
    return this.#cid;
  }

  /** The guest's kernel, with or without a context. Another one after it was unplugged. */
  get driver(): VmciDriver {
    return this.#driver;
  }

  /** What the guest's kernel has; undefined without a context. */
  get kernel(): KernelApi | undefined {
    return this.#cid === undefined ? undefined : this.#driver;
  }

  /**
   * Gives the guest its context, which has to be free; of another one than before the guest is told, and its queue pairs
   * end. Undefined takes the device away, as when the guest is switched off: what is in its kernel is gone.
   */
  setCid(cid: number | undefined): void {
    if (cid === this.#cid) return;
    const wasPlugged = this.#cid !== undefined;
    this.#cid = cid;
    this.#device.plug(cid);
    if (cid === undefined) [this.#device, this.#driver] = this.#boot();
    else if (!wasPlugged) this.#driver.probe();
  }

  /** The guest begins anew with its context: what was in its kernel is gone, and others see the context go and come. */
  restart(): void {
    const cid = this.#cid;
    this.setCid(undefined);
    this.setCid(cid);
  }

  #boot(): [VmciDevice, VmciDriver] {
    const { guest, newestFirst } = this.#profile;
    const { work } = this.#host;
    const device: VmciDevice = new VmciDevice(this.#host, {
      datagram: (datagram) => driver.datagram(datagram),
      notification: () => driver.notification(),
    });
    const driver = new VmciDriver({ profile: guest, newestFirst, work }, device);
    return [device, driver];
  }
}
