/** Guests for the driver's tests: one with the real device, one with a scripted one; and calls of the nodes. */
import { SystemError } from '../../../../../src/core/abi/errno.js';
import { fromBytes, u32 } from '../../../../../src/core/abi/layout.js';
import { VBG_IOCTL_HDR_VERSION, vbg_ioctl_hdr } from '../../../../../src/core/abi/vboxguest.js';
import { VirtualClock } from '../../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../../src/core/simulator/deadlines.js';
import {
  type IoctlOutcome,
  type OpenNode,
  PendingIoctl,
  ROOT,
  type UserMemory,
} from '../../../../../src/core/simulator/node.js';
import { SeededRng } from '../../../../../src/core/simulator/rng.js';
import { VmmDev } from '../../../../../src/core/simulator/vbox/device/vmmdev.js';
import { VboxGuestDriver } from '../../../../../src/core/simulator/vbox/driver/driver.js';
import { GuestMemory } from '../../../../../src/core/simulator/vbox/guest-memory.js';
import type { HgcmService } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import type { DevicePorts } from '../../../../../src/core/simulator/vbox/platform.js';
import { pass } from '../../../../helpers/time.js';
import { ScriptedDevice } from './scripted-device.js';

const MIB = 1024 * 1024;

function parts(memoryBytes: number) {
  const clock = new VirtualClock();
  const deadlines = new Deadlines();
  const pages = new GuestMemory({ size: () => memoryBytes });
  const kernelLog: string[] = [];
  /** Lets time pass, and what is due happen when it is. */
  const advance = (ms: number) => pass(clock, deadlines, ms);
  const driverOf = (ports: DevicePorts) =>
    new VboxGuestDriver({ pages, ports, clock, deadlines, log: (text) => kernelLog.push(text) });
  return { clock, deadlines, pages, kernelLog, advance, driverOf };
}

/** A guest on a device that answers as it is told. Not started yet. */
export function scriptedGuest(memoryBytes = 256 * MIB) {
  const { driverOf, ...rest } = parts(memoryBytes);
  const device = new ScriptedDevice();
  const driver = driverOf(device);
  device.memory = rest.pages;
  device.interrupt = () => driver.interrupt();
  return { ...rest, device, driver };
}

/** The same, started, with what was seen at the start forgotten. */
export function startedGuest(memoryBytes = 256 * MIB) {
  const guest = scriptedGuest(memoryBytes);
  guest.driver.start();
  guest.advance(0);
  guest.device.seen.length = 0;
  guest.kernelLog.length = 0;
  guest.device.logged = '';
  return { ...guest, node: guest.driver.open('vboxguest', ROOT) };
}

/** A guest on the real device, started. */
export function realGuest(
  services: ReadonlyMap<string, HgcmService> = new Map(),
  memoryBytes = 256 * MIB,
) {
  const { driverOf, ...rest } = parts(memoryBytes);
  const { clock, deadlines, pages } = rest;
  const hostLog: string[] = [];
  const device = new VmmDev({
    memory: pages,
    clock,
    deadlines,
    rng: new SeededRng(1),
    services,
    setInterrupt: (raised) => {
      if (raised) driver.interrupt();
    },
    log: (text) => hostLog.push(text),
  });
  const driver: VboxGuestDriver = driverOf(device);
  driver.start();
  return { ...rest, device, driver, hostLog, node: driver.open('vboxguest', ROOT) };
}

export interface HeaderFields {
  readonly sizeIn?: number;
  readonly sizeOut?: number;
  readonly type?: number;
  readonly version?: number;
  readonly reserved?: number;
  readonly rc?: number;
  /** Bytes of the caller's buffer; as long as the longer size when left out. */
  readonly length?: number;
}

/** The argument of a call: its header, and what follows that. */
export function argument(body: Uint8Array | readonly number[], header: HeaderFields = {}) {
  const sizeIn = header.sizeIn ?? vbg_ioctl_hdr.size + bytesOf(body).length;
  const sizeOut = header.sizeOut ?? sizeIn;
  const data = new Uint8Array(header.length ?? Math.max(sizeIn, sizeOut));
  const head = vbg_ioctl_hdr.encode({
    size_in: sizeIn,
    version: header.version ?? VBG_IOCTL_HDR_VERSION,
    type: header.type ?? 0,
    rc: header.rc ?? 0,
    size_out: sizeOut,
    reserved: header.reserved ?? 0,
  });
  data.set(head.subarray(0, data.length));
  data.set(
    bytesOf(body).subarray(0, Math.max(0, data.length - head.length)),
    Math.min(head.length, data.length),
  );
  return data;
}

/** Numbers are 32-bit words. */
function bytesOf(body: Uint8Array | readonly number[]): Uint8Array {
  if (body instanceof Uint8Array) return body;
  const data = new Uint8Array(4 * body.length);
  const view = new DataView(data.buffer);
  body.forEach((word, index) => {
    view.setUint32(4 * index, word, true);
  });
  return data;
}

/** How a call ended: an error's name, or `ok` with what came back. */
export interface Ended {
  readonly code: string;
  readonly rc: number;
  readonly data: Uint8Array;
}

const NOTHING = new Uint8Array(0);

export function ended(outcome: IoctlOutcome): Ended {
  if (outcome instanceof SystemError) return { code: outcome.code, rc: 0, data: NOTHING };
  const data = outcome.data ?? NOTHING;
  const rc = data.length >= vbg_ioctl_hdr.size ? vbg_ioctl_hdr.decode(data).rc : 0;
  return { code: 'ok', rc, data };
}

/** A call, and how it ends: at once, or some time later. */
export class Call {
  #ended: Ended | undefined;
  readonly pending: PendingIoctl | undefined;

  constructor(node: OpenNode, request: number, argument: Uint8Array | number, memory?: UserMemory) {
    try {
      const reply = node.ioctl(request, argument, memory);
      if (reply instanceof PendingIoctl) {
        this.pending = reply;
        reply.onFinish((outcome) => {
          this.#ended = ended(outcome);
        });
      } else {
        this.#ended = ended(reply);
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#ended = ended(error);
    }
  }

  /** `waits`, or the error's name, or `ok`. */
  get code(): string {
    return this.#ended?.code ?? 'waits';
  }

  get rc(): number {
    return this.#ended?.rc ?? Number.NaN;
  }

  get data(): Uint8Array {
    return this.#ended?.data ?? NOTHING;
  }

  /** A 32-bit word of what came back. */
  word(offset: number): number {
    return fromBytes(u32, this.data.subarray(offset));
  }

  interrupt(): void {
    this.pending?.interrupt();
  }
}

/** A program's memory: bytes from an address on; all else is EFAULT. */
export class Program implements UserMemory {
  readonly base: bigint;
  readonly bytes: Uint8Array;

  constructor(size: number, base = 0x7f00_0000_0000n) {
    this.base = base;
    this.bytes = new Uint8Array(size);
  }

  read(address: bigint, length: number): Uint8Array {
    const at = this.#at(address, length);
    return this.bytes.slice(at, at + length);
  }

  write(address: bigint, data: Uint8Array): void {
    this.bytes.set(data, this.#at(address, data.length));
  }

  #at(address: bigint, length: number): number {
    const at = address - this.base;
    if (length === 0) return 0;
    if (at < 0n || at + BigInt(length) > BigInt(this.bytes.length)) {
      throw new SystemError('EFAULT', { syscall: 'ioctl' });
    }
    return Number(at);
  }
}
