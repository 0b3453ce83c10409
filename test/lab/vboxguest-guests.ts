/**
 * Guests of VirtualBox for tests that are the same for each: Linux' own driver in a lab in v86, and the simulated
 * guest's driver. Both are on a simulated VMMDev of their own, and in real time.
 */
import type { Test } from 'tap';
import type { DeviceNode } from '../../src/core/backend/port/node.js';
import { ROOT } from '../../src/core/simulator/node.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import type { VmmDevConfig } from '../../src/core/simulator/vbox/device/config.js';
import { VmmDev } from '../../src/core/simulator/vbox/device/vmmdev.js';
import { VboxGuestDriver } from '../../src/core/simulator/vbox/driver/driver.js';
import { GuestMemory } from '../../src/core/simulator/vbox/guest-memory.js';
import type { HgcmService } from '../../src/core/simulator/vbox/hgcm-service.js';
import { EchoService } from '../../src/core/simulator/vbox/services/echo.js';
import { GuestPropertyService } from '../../src/core/simulator/vbox/services/guest-properties.js';
import { SimulatedNode } from './simulated-node.js';
import { bootV86, type V86Lab } from './v86.js';
import { NodeProgram } from './v86-program.js';
import {
  attachVmmDev,
  type LabVmmDev,
  RealTime,
  type SeenRequest,
  watchedPorts,
} from './v86-vmmdev.js';

export const MEMORY_MIB = 128;

export const CONFIG: Partial<VmmDevConfig> = {
  hostVersion: { major: 7, minor: 0, build: 12, revision: 159484 },
  heartbeatIntervalMs: 200,
  heartbeatTimeoutMs: 3000,
};

export interface VboxGuest {
  /** The host's side. */
  readonly device: VmmDev;
  readonly properties: GuestPropertyService;
  /** Lines of the host's log. */
  readonly log: readonly string[];
  /** What the guest has asked of the device. */
  readonly requests: readonly SeenRequest[];
  open(path: string): Promise<DeviceNode>;
}

export interface LabGuest extends VboxGuest {
  readonly lab: V86Lab;
}

function hostOf(time: RealTime) {
  const properties = new GuestPropertyService({ clock: time.clock });
  const services = new Map<string, HgcmService>([
    ['VBoxGuestPropSvc', properties],
    ['VmmctlEcho', new EchoService(time)],
  ]);
  return { properties, services };
}

/** Linux' driver; it is not loaded yet. */
export async function bootLabGuest(t: Test): Promise<LabGuest> {
  const time = new RealTime();
  t.teardown(() => time.stop());
  const { properties, services } = hostOf(time);
  const attached: { vmmdev: LabVmmDev; program: NodeProgram }[] = [];
  const lab = await bootV86(t, {
    modules: ['vboxguest'],
    files: [NodeProgram.file()],
    memoryMiB: MEMORY_MIB,
    attach: (machine) => {
      const vmmdev = attachVmmDev(machine, { time, services, config: CONFIG });
      attached.push({ vmmdev, program: new NodeProgram(machine) });
    },
  });
  const [parts] = attached;
  if (parts === undefined) throw new Error('there is no device');
  const { vmmdev, program } = parts;
  await program.start(lab);
  return { lab, properties, ...vmmdev, open: (path) => program.open(path) };
}

/** The simulated driver; it has started. */
export function simulatedGuest(t: Test): VboxGuest {
  const time = new RealTime();
  t.teardown(() => time.stop());
  const { properties, services } = hostOf(time);
  const log: string[] = [];
  const pages = new GuestMemory({ size: () => MEMORY_MIB * 2 ** 20 });
  const device = new VmmDev(
    {
      ...time,
      memory: pages,
      rng: new SeededRng(1),
      services,
      setInterrupt: (raised) => {
        if (raised) driver.interrupt();
      },
      log: (text) => void log.push(text),
    },
    CONFIG,
  );
  const { ports, requests } = watchedPorts(device, pages);
  const driver: VboxGuestDriver = new VboxGuestDriver({
    ...time,
    pages,
    ports,
    log: () => undefined,
  });
  driver.start();
  const open = async (path: string) => {
    const name = path === '/dev/vboxguest' ? 'vboxguest' : 'vboxuser';
    return new SimulatedNode(path, driver.open(name, ROOT));
  };
  return { device, properties, log, requests, open };
}
