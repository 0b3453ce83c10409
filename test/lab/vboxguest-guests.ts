/**
 * Guests of VirtualBox for tests that are the same for each: Linux' own driver in a lab in v86, and the simulated
 * guest's driver. Both are on a simulated VMMDev of their own, and in real time.
 */
import type { Test } from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import { VBG_IOCTL_HGCM_CALL_32 } from '../../src/core/abi/vboxguest.js';
import type {
  DeviceNode,
  IoctlOptions,
  IoctlResult,
  Pointer,
} from '../../src/core/backend/port.js';
import {
  type IoctlOutcome,
  type OpenNode,
  PendingIoctl,
  ROOT,
  type UserMemory,
} from '../../src/core/simulator/node.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import type { VmmDevConfig } from '../../src/core/simulator/vbox/device/config.js';
import { VmmDev } from '../../src/core/simulator/vbox/device/vmmdev.js';
import { VboxGuestDriver } from '../../src/core/simulator/vbox/driver/driver.js';
import { GuestMemory } from '../../src/core/simulator/vbox/guest-memory.js';
import type { HgcmService } from '../../src/core/simulator/vbox/hgcm-service.js';
import { EchoService } from '../../src/core/simulator/vbox/services/echo.js';
import { GuestPropertyService } from '../../src/core/simulator/vbox/services/guest-properties.js';
import { bootV86, type V86Lab } from './v86.js';
import { NodeProgram } from './v86-node.js';
import { attachVmmDev, type LabVmmDev, RealTime } from './v86-vmmdev.js';

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
  open(path: string): Promise<DeviceNode>;
}

export interface LabGuest extends VboxGuest {
  readonly lab: V86Lab;
  /** Numbers of the requests that the guest has made. */
  readonly requests: readonly number[];
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
  const driver: VboxGuestDriver = new VboxGuestDriver({
    ...time,
    pages,
    ports: device,
    log: () => undefined,
  });
  driver.start();
  const open = async (path: string) => {
    const name = path === '/dev/vboxguest' ? 'vboxguest' : 'vboxuser';
    return new SimulatedNode(path, driver.open(name, ROOT));
  };
  return { device, properties, log, open };
}

/** A node of the simulated driver without a daemon between. */
class SimulatedNode implements DeviceNode {
  readonly path: string;
  readonly #node: OpenNode;

  constructor(path: string, node: OpenNode) {
    this.path = path;
    this.#node = node;
  }

  async ioctl(
    request: number,
    argument: Uint8Array | number = 0,
    { signal, pointers = [] }: IoctlOptions = {},
  ): Promise<IoctlResult> {
    const isSmall =
      typeof argument !== 'number' && request === VBG_IOCTL_HGCM_CALL_32(argument.length);
    const memory = new ProgramMemory(pointers);
    const given = typeof argument === 'number' ? argument : memory.addressed(argument, isSmall);
    const outcome = await this.#outcome(request, given, memory, signal);
    if (outcome instanceof SystemError) throw outcome;
    return { result: 0, data: outcome.data ?? new Uint8Array() };
  }

  async close(): Promise<void> {
    this.#node.close();
  }

  async #outcome(
    request: number,
    argument: Uint8Array | number,
    memory: UserMemory,
    signal: AbortSignal | undefined,
  ): Promise<IoctlOutcome> {
    const reply = this.#node.ioctl(request, argument, memory);
    if (!(reply instanceof PendingIoctl)) return reply;
    signal?.addEventListener('abort', () => reply.interrupt(), { once: true });
    return new Promise((resolve) => reply.onFinish(resolve));
  }
}

/** What an argument points to, at addresses that both word sizes have. */
class ProgramMemory implements UserMemory {
  readonly #pointers: readonly Pointer[];

  constructor(pointers: readonly Pointer[]) {
    this.#pointers = pointers;
  }

  addressed(argument: Uint8Array, isSmall: boolean): Uint8Array {
    const data = argument.slice();
    const view = new DataView(data.buffer);
    this.#pointers.forEach(({ at }, index) => {
      if (isSmall) view.setUint32(at, base(index), true);
      else view.setBigUint64(at, BigInt(base(index)), true);
    });
    return data;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#at(address, length).slice();
  }

  write(address: bigint, data: Uint8Array): void {
    this.#at(address, data.length).set(data);
  }

  #at(address: bigint, length: number): Uint8Array {
    for (const [index, { to }] of this.#pointers.entries()) {
      const at = Number(address) - base(index);
      if (at >= 0 && at + length <= to.length) return to.subarray(at, at + length);
    }
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
}

function base(index: number): number {
  return (index + 1) * 2 ** 24;
}
