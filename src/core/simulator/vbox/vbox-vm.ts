/** VirtualBox's device in a VM, with what its guest has for it: a driver and an agent. */
import { GUEST_PROP_F } from '../../abi/guest-prop.js';
import type { Clock } from '../clock.js';
import type { Deadlines } from '../deadlines.js';
import { type Caller, type NodeDriver, ROOT } from '../node.js';
import type { Rng } from '../rng.js';
import { GuestAgent } from './agent/agent.js';
import type { HeartbeatSettings } from './device/heartbeat.js';
import { VmmDev } from './device/vmmdev.js';
import { VboxGuestDriver } from './driver/driver.js';
import { GuestMemory } from './guest-memory.js';
import { GuestPropertyService, type SavedProperty } from './services/guest-properties.js';
import { makeServices } from './services/table.js';

export interface VboxVmOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly rng: Rng;
  readonly name: string;
  /** Bytes of memory; it may change while the VM is made. */
  memoryBytes(): number;
  cpus(): number;
  /** A line in the host's log. */
  log(text: string): void;
  /** Something that is saved has changed. */
  changed(): void;
}

/** What outlives the simulated host, fit for JSON. */
export interface SavedVbox {
  /** Size of the balloon that the host wants, in chunks of 1 MiB. */
  balloon: number;
  heartbeat: HeartbeatSettings;
  properties: SavedProperty[];
}

/** Where Linux shows what the driver knows of the host; the address is the usual one. */
const DEVICE_DIRECTORY = '/sys/bus/pci/drivers/vboxguest/0000:00:04.0';

const NODES = [
  ['vboxguest', "VirtualBox's guest device"],
  ['vboxuser', "VirtualBox's guest device, for users without privileges"],
] as const;

export class VboxVm {
  readonly device: VmmDev;
  readonly driver: VboxGuestDriver;
  readonly memory: GuestMemory;
  readonly properties: GuestPropertyService;
  readonly agent: GuestAgent;
  readonly #changed: () => void;
  readonly #log: (text: string) => void;
  /** Bytes of memory that the VM had when it was last looked at. */
  #size = 0;
  /** No simulated guest runs. */
  #off = false;
  readonly #nodes: ReadonlyMap<string, NodeDriver>;
  readonly #files: ReadonlyMap<string, () => string>;
  #heartbeat: HeartbeatSettings = {};

  constructor(options: VboxVmOptions) {
    const { clock, deadlines, rng, log } = options;
    this.#log = log;
    this.#changed = () => options.changed();
    this.properties = new GuestPropertyService({ clock });
    this.properties.onChange('', ({ flags }) => {
      if ((flags & GUEST_PROP_F.GUEST_PROP_F_TRANSIENT) === 0) this.#changed();
    });
    this.memory = new GuestMemory({ size: () => options.memoryBytes() });
    this.device = new VmmDev({
      memory: this.memory,
      clock,
      deadlines,
      rng,
      services: makeServices({ clock, deadlines, guestProperties: this.properties }),
      setInterrupt: (raised) => {
        if (raised) this.driver.interrupt();
      },
      log: (text) => log(text),
    });
    this.driver = new VboxGuestDriver({
      pages: this.memory,
      ports: this.device,
      clock,
      deadlines,
      // The driver says all that it logs to the device as well.
      log: () => undefined,
    });
    this.agent = new GuestAgent({
      open: () => this.driver.open('vboxguest', ROOT),
      clock,
      deadlines,
      facts: {
        hostname: options.name,
        cpus: () => options.cpus(),
        memoryBytes: () => this.memory.size,
        freeBytes: () => this.memory.free,
      },
      log: (text) => log(`guest: ${text}`),
    });
    this.#nodes = new Map(
      NODES.map(([name, description]) => [
        `/dev/${name}`,
        { description, open: (caller: Caller) => this.driver.open(name, caller) },
      ]),
    );
    this.#files = new Map([
      [`${DEVICE_DIRECTORY}/host_version`, () => this.driver.hostVersionText()],
      [`${DEVICE_DIRECTORY}/host_features`, () => this.driver.hostFeaturesText()],
    ]);
  }

  /**
   * The guest boots as soon as it has memory; whoever makes a VM may give it in several steps. One that loses memory
   * boots anew: what its kernel has there is gone.
   */
  memoryChanged(): void {
    const { size } = this.memory;
    if (size === this.#size) return;
    const isLess = size < this.#size;
    this.#size = size;
    if (this.#off) return;
    if (!this.driver.running) this.#boot();
    else if (isLess) this.#reboot();
    else this.agent.reportNow();
  }

  #reboot(): void {
    this.powerOff();
    this.powerOn();
  }

  #boot(): void {
    this.driver.start();
    this.#begin();
  }

  /** The simulated guest is cut off, and stays so until `powerOn`; what the host wants of it stays. */
  powerOff(): void {
    this.#off = true;
    this.#cutOff();
    this.device.reset();
  }

  /** The simulated guest boots again. */
  powerOn(): void {
    this.#off = false;
    this.#size = this.memory.size;
    if (this.#size === 0) return;
    this.#boot();
    // The balloon went with the last guest, and the device knows that nobody has read of it since.
    this.device.setBalloonTarget(this.device.balloon.targetChunks);
  }

  /** The guest ends without a word to its host, as at a power cut: calls that wait in it end with ENODEV. */
  #cutOff(): void {
    this.driver.powerOff();
    this.agent.kill();
  }

  #begin(): void {
    if (this.driver.running) this.agent.start();
    else this.#log(`guest: vboxguest does not start (${this.driver.failure})`);
  }

  /** The VM is gone: whoever waits is told so, and nothing of it is due any more. */
  close(): void {
    this.properties.close();
    this.#cutOff();
    this.device.close();
  }

  /** Asks for a balloon, in chunks of 1 MiB. */
  setBalloon(chunks: number): void {
    this.device.setBalloonTarget(chunks);
    this.#changed();
  }

  /**
   * Sets what the host expects; the driver learns of it as when its module is loaded anew.
   * @throws SystemError EINVAL for times that VMMDev does not take.
   */
  setHeartbeat(change: HeartbeatSettings): void {
    this.device.setHeartbeat(change);
    const given = Object.entries(change).filter(([, value]) => value !== undefined);
    this.#heartbeat = { ...this.#heartbeat, ...Object.fromEntries(given) };
    this.driver.restartHeartbeat();
    this.#changed();
  }

  save(): SavedVbox {
    return {
      balloon: this.device.balloon.targetChunks,
      heartbeat: this.#heartbeat,
      properties: this.properties.save(),
    };
  }

  /** Takes back what was saved. @throws RangeError, SystemError EINVAL for what `save` can't have given. */
  restore(saved: SavedVbox): void {
    this.properties.restore(saved.properties);
    this.setHeartbeat(saved.heartbeat);
    this.setBalloon(saved.balloon);
  }

  /** The guest's nodes by path, as long as its driver runs. */
  nodes(): ReadonlyMap<string, NodeDriver> {
    return this.driver.running ? this.#nodes : new Map();
  }

  /** The driver's files by path, as long as it runs. */
  files(): ReadonlyMap<string, () => string> {
    return this.driver.running ? this.#files : new Map();
  }
}
