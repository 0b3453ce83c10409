/**
 * A device that answers as it is told, for what a healthy host does not do: refusals, answers that come late or never,
 * cancelling that fails. It notes every request.
 */
import {
  VBOX_HGCM_REQ_DONE,
  VMMDevHGCMConnect,
  VMMDevHGCMRequestHeader,
} from '../../../../../src/core/abi/hgcm.js';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import {
  VMMDEV_MEMORY_SIZE,
  VMMDEV_MEMORY_VERSION,
  VMMDEV_REQUEST_TYPE,
  VMMDevMemory,
  VMMDevRequestHeader,
  type VmmdevRequestName,
} from '../../../../../src/core/abi/vmmdev.js';
import type {
  DevicePorts,
  PhysicalMemory,
} from '../../../../../src/core/simulator/vbox/platform.js';

export interface SeenRequest {
  readonly type: number;
  readonly requestor: number;
  readonly reserved1: number;
  readonly address: number;
  /** As the guest sent it. */
  readonly bytes: Uint8Array;
}

/** Changes the request, and gives its status. */
export type Script = (view: DataView, request: SeenRequest) => number;

const RC = VMMDevRequestHeader.offset('rc');
const FLAGS = VMMDevHGCMRequestHeader.offset('fu32Flags');
const RESULT = VMMDevHGCMRequestHeader.offset('result');

export class ScriptedDevice implements DevicePorts {
  readonly seen: SeenRequest[] = [];
  memory: PhysicalMemory | undefined;
  interrupt: () => void = () => undefined;
  /** What came by the port of the log. */
  logged = '';
  ramVersion = VMMDEV_MEMORY_VERSION;
  ramSize = VMMDEV_MEMORY_SIZE;
  events = 0;
  hostFeatures = 0x8000000f;
  intervalMs = 2000;
  balloonChunks = 0;
  physChunks = 64;
  readonly #scripts = new Map<number, Script>();
  #clients = 0;

  /** From now on requests of this type are answered so. */
  on(name: VmmdevRequestName, script: Script): void {
    this.#scripts.set(VMMDEV_REQUEST_TYPE[name], script);
  }

  /** As `on`, with the status alone. */
  refuse(name: VmmdevRequestName, rc: number): void {
    this.on(name, () => rc);
  }

  off(name: VmmdevRequestName): void {
    this.#scripts.delete(VMMDEV_REQUEST_TYPE[name]);
  }

  raise(events: number): void {
    this.events |= events;
    this.interrupt();
  }

  /** Requests of a type, the oldest first. */
  of(name: VmmdevRequestName): SeenRequest[] {
    return this.seen.filter(({ type }) => type === VMMDEV_REQUEST_TYPE[name]);
  }

  /** The types of all requests, the oldest first. */
  types(): number[] {
    return this.seen.map(({ type }) => type);
  }

  /** Ends a request of HGCM that waits, and raises the event. */
  complete(request: SeenRequest, result: number, silently = false): void {
    const words = new Uint8Array(8);
    const view = new DataView(words.buffer);
    view.setUint32(0, VBOX_HGCM_REQ_DONE, true);
    view.setInt32(4, result, true);
    this.memory?.write(request.address + FLAGS, words);
    if (!silently) this.raise(0x2);
  }

  writeRequest(address: number): void {
    const { memory } = this;
    if (memory === undefined) throw new Error('the device has no memory');
    const head = VMMDevRequestHeader.decode(memory.read(address, VMMDevRequestHeader.size));
    const bytes = memory.read(address, head.size);
    const { requestType: type, fRequestor: requestor, reserved1 } = head;
    const request = { type, requestor, reserved1, address, bytes: bytes.slice() };
    this.seen.push(request);
    const view = new DataView(bytes.buffer);
    const script = this.#scripts.get(type) ?? this.#defaults.get(type) ?? (() => 0);
    view.setInt32(RC, script(view, request), true);
    memory.write(address, bytes);
  }

  readFastIrqAck(): number {
    return 0;
  }

  writeLog(byte: number): void {
    this.logged += String.fromCharCode(byte);
  }

  readRam(offset: number, length: number): Uint8Array {
    const words = VMMDevMemory.encode({
      u32Size: this.ramSize,
      u32Version: this.ramVersion,
      fHaveEvents: this.events === 0 ? 0 : 1,
    });
    return words.slice(offset, offset + length);
  }

  readonly #defaults = new Map<number, Script>([
    [
      4,
      (view) => {
        view.setUint16(24, 7, true);
        view.setUint32(28, 14, true);
        view.setUint32(32, 161095, true);
        view.setUint32(36, this.hostFeatures, true);
        return 0;
      },
    ],
    [
      41,
      (view) => {
        view.setUint32(24, this.events, true);
        this.events = 0;
        return 0;
      },
    ],
    [60, (view) => done(view, () => view.setUint32(clientOffset, ++this.#clients, true))],
    [61, (view) => done(view)],
    [63, (view) => done(view)],
    [
      111,
      (view) => {
        view.setUint32(24, this.balloonChunks, true);
        view.setUint32(28, this.physChunks, true);
        return 0;
      },
    ],
    [
      220,
      (view) => {
        view.setBigUint64(24, BigInt(this.intervalMs) * 1_000_000n, true);
        return 0;
      },
    ],
  ]);
}

const clientOffset = VMMDevHGCMConnect.offset('u32ClientID');

function done(view: DataView, change: () => void = () => undefined): number {
  change();
  view.setUint32(FLAGS, VBOX_HGCM_REQ_DONE, true);
  view.setInt32(RESULT, 0, true);
  return 0;
}

/** Leaves a request of HGCM for later. */
export const later: Script = () => VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE;
