/**
 * Our VMMDev on the PCI bus of a machine in v86, so that a real driver uses it. The device is the simulated host's own,
 * unchanged: this only joins it to memory, ports, interrupt and time of that machine.
 */
import {
  VBG_DEBUG_PORT,
  VBOX_PCI_VENDOR,
  VMMDEV_PCI_DEVICE,
  VMMDEV_PORT_OFF_REQUEST,
  VMMDEV_PORT_OFF_REQUEST_FAST,
  VMMDEV_RAM_SIZE,
  VMMDevRequestHeader,
} from '../../src/core/abi/vmmdev.js';
import { RealClock } from '../../src/core/daemon/pump.js';
import { type Deadline, Deadlines } from '../../src/core/simulator/deadlines.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import type { VmmDevConfig } from '../../src/core/simulator/vbox/device/config.js';
import { VmmDev } from '../../src/core/simulator/vbox/device/vmmdev.js';
import type { HgcmService } from '../../src/core/simulator/vbox/hgcm-service.js';
import type { DevicePorts, PhysicalMemory } from '../../src/core/simulator/vbox/platform.js';
import type { V86Machine } from './v86-machine.js';

/** Bytes of BAR0, and class: a system peripheral of no particular kind. */
const PORTS = 32;
const CLASS = 0x088000;
/** How much of a request is kept. */
const SEEN_BYTES = 4096;

/** Time and what is due in it, as the machine outside the simulated host has them. */
export class RealTime {
  readonly clock = new RealClock();
  readonly deadlines = new TimedDeadlines(() => this.#arm());
  #timer: NodeJS.Timeout | undefined;

  stop(): void {
    this.deadlines.stopped = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const at = this.deadlines.next();
    if (at === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.deadlines.expire(this.clock.monotonicMs());
        this.#arm();
      },
      Math.max(0, at - this.clock.monotonicMs()),
    );
  }
}

class TimedDeadlines extends Deadlines {
  stopped = false;
  readonly #scheduled: () => void;

  constructor(scheduled: () => void) {
    super();
    this.#scheduled = scheduled;
  }

  override schedule(atMs: number, run: () => void): Deadline {
    const deadline = super.schedule(atMs, run);
    if (!this.stopped) this.#scheduled();
    return deadline;
  }
}

export interface LabVmmDev {
  readonly device: VmmDev;
  /** The requests that the guest has made, in their order, as they were before they were answered. */
  readonly requests: readonly SeenRequest[];
  /** Lines of the host's log. */
  readonly log: readonly string[];
}

export interface SeenRequest {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** The device as a driver reaches it, with a list of what is asked of it. */
export function watchedPorts(device: VmmDev, memory: PhysicalMemory) {
  const requests: SeenRequest[] = [];
  const ports: DevicePorts = {
    writeRequest: (address) => {
      const { size, requestType } = VMMDevRequestHeader.decode(
        memory.read(address, VMMDevRequestHeader.size),
      );
      const bytes = memory.read(address, Math.min(size, SEEN_BYTES));
      requests.push({ type: requestType, bytes });
      device.writeRequest(address);
    },
    readFastIrqAck: () => device.readFastIrqAck(),
    writeLog: (byte) => device.writeLog(byte),
    readRam: (offset, length) => device.readRam(offset, length),
  };
  return { ports, requests };
}

export interface LabVmmDevOptions {
  readonly time: RealTime;
  readonly services?: ReadonlyMap<string, HgcmService>;
  readonly config?: Partial<VmmDevConfig>;
}

/** Puts a VMMDev into a machine that does not run yet. */
export function attachVmmDev(machine: V86Machine, options: LabVmmDevOptions): LabVmmDev {
  const { time, services = new Map(), config = {} } = options;
  const log: string[] = [];
  const device = new VmmDev(
    {
      memory: machine.memory,
      clock: time.clock,
      deadlines: time.deadlines,
      rng: new SeededRng(1),
      services,
      // The line is there as soon as the device is on the bus, and the device does not raise it before.
      setInterrupt: (raised) => setInterrupt(raised),
      log: (text) => void log.push(text),
    },
    config,
  );
  const { ports, requests } = watchedPorts(device, machine.memory);
  const setInterrupt = machine.attach({
    vendor: VBOX_PCI_VENDOR,
    device: VMMDEV_PCI_DEVICE,
    class: CLASS,
    ports: {
      size: PORTS,
      read: new Map([[VMMDEV_PORT_OFF_REQUEST_FAST, () => ports.readFastIrqAck()]]),
      write: new Map([[VMMDEV_PORT_OFF_REQUEST, (address) => ports.writeRequest(address)]]),
    },
    memory: { size: VMMDEV_RAM_SIZE, read: (offset) => ports.readRam(offset, 1)[0] ?? 0 },
  });
  machine.onPortByte(VBG_DEBUG_PORT, (byte) => ports.writeLog(byte));
  return { device, requests, log };
}
