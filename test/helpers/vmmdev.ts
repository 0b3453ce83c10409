/** A VMMDev in a guest of its own, for tests: memory, time, an interrupt line, and a log. */
import type { FieldType, Struct } from '../../src/core/abi/layout.js';
import {
  VMMDEV_REQUEST_HEADER_VERSION,
  VMMDEV_REQUEST_TYPE,
  VMMDEV_VERSION,
  VMMDevRequestHeader,
  type VmmdevRequestName,
} from '../../src/core/abi/vmmdev.js';
import { VMMDevReportGuestInfo } from '../../src/core/abi/vmmdev-requests.js';
import { VirtualClock } from '../../src/core/simulator/clock.js';
import { Deadlines } from '../../src/core/simulator/deadlines.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import type { VmmDevConfig } from '../../src/core/simulator/vbox/device/config.js';
import { VmmDev } from '../../src/core/simulator/vbox/device/vmmdev.js';
import { GuestMemory } from '../../src/core/simulator/vbox/guest-memory.js';
import type { HgcmService } from '../../src/core/simulator/vbox/hgcm-service.js';
import type { DevicePlatform } from '../../src/core/simulator/vbox/platform.js';
import { pass } from './time.js';

export const MIB = 2 ** 20;

export interface RigOptions {
  /** Bytes of RAM; 64 MiB when left out. */
  readonly size?: number;
  readonly config?: Partial<VmmDevConfig>;
  readonly services?: ReadonlyMap<string, HgcmService>;
  /** The guest has reported itself already; it has when left out. */
  readonly reported?: boolean;
}

/** What a request has become in the guest's memory. */
export interface Answered {
  readonly address: number;
  readonly rc: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

type Fields = Record<string, FieldType<unknown>>;

export class Rig implements DevicePlatform {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  readonly rng = new SeededRng(1);
  readonly memory: GuestMemory;
  readonly services: ReadonlyMap<string, HgcmService>;
  readonly lines: string[] = [];
  readonly device: VmmDev;
  /** The interrupt line, and how often it rose. */
  interrupt = false;
  interrupts = 0;

  constructor({ size = 64 * MIB, config, services, reported = true }: RigOptions = {}) {
    this.memory = new GuestMemory({ size: () => size });
    this.services = services ?? new Map();
    this.device = new VmmDev(this, config);
    if (reported) this.report();
    this.lines.length = 0;
  }

  setInterrupt(raised: boolean): void {
    if (raised && !this.interrupt) this.interrupts++;
    this.interrupt = raised;
  }

  log(text: string): void {
    this.lines.push(text);
  }

  /** Time passes, deadline by deadline. */
  pass(ms: number): void {
    pass(this.clock, this.deadlines, ms);
  }

  /** ReportGuestInfo. */
  report(interfaceVersion: number = VMMDEV_VERSION, osType = 0x53100): number {
    const guestInfo = { interfaceVersion, osType };
    return this.ask('VMMDevReq_ReportGuestInfo', VMMDevReportGuestInfo, { guestInfo }).rc;
  }

  /** Sends a request; `fields` are those after the header, `more` what follows the struct. */
  ask<F extends Fields>(
    name: VmmdevRequestName,
    layout: Struct<F>,
    fields: Partial<Parameters<Struct<F>['encode']>[0]> = {},
    more: Uint8Array = new Uint8Array(0),
  ): Answered {
    const bytes = new Uint8Array(layout.size + more.length);
    bytes.set(layout.encode(fields as Parameters<Struct<F>['encode']>[0]));
    bytes.set(more, layout.size);
    return this.send(VMMDEV_REQUEST_TYPE[name], bytes);
  }

  /** Sends bytes with a right header before them; what it was asked at is given back. */
  send(
    type: number,
    bytes: Uint8Array,
    header: { size?: number; version?: number } = {},
  ): Answered {
    const answered = this.submit(type, bytes, header);
    this.memory.release(answered.address);
    return answered;
  }

  /** The same for a request that stays where it is. */
  submit(
    type: number,
    bytes: Uint8Array,
    { size = bytes.length, version = VMMDEV_REQUEST_HEADER_VERSION } = {},
    requestor = 0,
  ): Answered {
    const head = VMMDevRequestHeader.encode({
      size,
      version,
      requestType: type,
      rc: 999,
      fRequestor: requestor,
    });
    const whole = bytes.slice();
    whole.set(head.subarray(0, whole.length));
    const address = this.memory.allocate(Math.max(1, whole.length));
    if (address === undefined) throw new Error('no memory for a request');
    this.memory.write(address, whole);
    this.device.writeRequest(address);
    return this.look(address, whole.length);
  }

  /** What stands at an address now. */
  look(address: number, length: number): Answered {
    const bytes = this.memory.read(address, length);
    const view = new DataView(bytes.buffer);
    const rc = length >= 16 ? view.getInt32(12, true) : 0;
    return { address, rc, bytes, view };
  }
}
