/**
 * VMMDev, the host's device in a VirtualBox guest: it answers requests in the guest's memory, raises events, and knows
 * what the host wants of balloon and heartbeat. Sources: VirtualBox' VMMDev.cpp, VMMDevHGCM.cpp.
 *
 * Guests that speak version 1.3 of the interface get their events as those of 1.4; their words in VMMDevMemory are left
 * out, as Linux' driver never used them.
 */
import { SystemError } from '../../../abi/errno.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VMMDEV_EVENT_VALID_EVENT_MASK,
  VMMDEV_MAX_VMMDEVREQ_SIZE,
  VMMDEV_MEMORY_SIZE,
  VMMDEV_MEMORY_VERSION,
  VMMDEV_RAM_SIZE,
  VMMDEV_REQUEST_HEADER_VERSION,
  VMMDevMemory,
  VMMDevRequestHeader,
} from '../../../abi/vmmdev.js';
import { VMMDEV_MOUSE_GUEST_MASK } from '../../../abi/vmmdev-display.js';
import { VBOX_GUEST_FACILITY } from '../../../abi/vmmdev-requests.js';
import type { DevicePlatform, DevicePorts } from '../platform.js';
import { Balloon } from './balloon.js';
import { DEFAULT_VMMDEV_CONFIG, type VmmDevConfig } from './config.js';
import { Events } from './events.js';
import { Facilities, type FacilityRecord } from './facilities.js';
import { type Additions, GuestReport } from './guest-report.js';
import { Heartbeat, type HeartbeatSettings, type HeartbeatSnapshot } from './heartbeat.js';
import { Hgcm } from './hgcm.js';
import { GuestLog, LogPort } from './log.js';
import type { DeviceParts, PowerRequest } from './parts.js';
import { REQUESTS } from './requests.js';
import { type Request, setStatus, takesSize } from './row.js';
import { type CpuStatistics, Statistics } from './statistics.js';

const {
  VERR_INVALID_PARAMETER,
  VERR_NOT_IMPLEMENTED,
  VERR_NOT_SUPPORTED,
  VINF_HGCM_ASYNC_EXECUTE,
} = VBOX_STATUS;

/** What fastIrqAck gives while the guest has not reported itself. */
const NOT_READY = 0xffffffff;

/** What the guest has told of itself. */
export interface GuestSnapshot {
  /** It has reported a version of the interface that the device speaks. */
  readonly isReady: boolean;
  readonly interfaceVersion: number | null;
  readonly osType: number | null;
  readonly additions: Additions | null;
  readonly facilities: readonly FacilityRecord[];
  /** Of VMMDEV_GUEST_SUPPORTS, as a mask. */
  readonly capabilities: number;
  /** 3 with a desktop's helper, 2 with VirtualBox' service, 1 with the driver alone, 0 without. */
  readonly runLevel: 0 | 1 | 2 | 3;
  readonly powerRequest: PowerRequest | null;
}

export class VmmDev implements DevicePorts {
  readonly config: VmmDevConfig;
  readonly #parts: DeviceParts;
  readonly #logPort: LogPort;

  /** @throws SystemError EINVAL for a heartbeat that `setHeartbeat` would refuse. */
  constructor(platform: DevicePlatform, config: Partial<VmmDevConfig> = {}) {
    this.config = { ...DEFAULT_VMMDEV_CONFIG, ...config };
    this.#parts = partsOf(platform, this.config);
    this.#logPort = new LogPort(this.#parts.log);
  }

  /**
   * What is no request of a known version in RAM is ignored, as is one that goes on where RAM ends. Else the whole
   * request is written back, or only its header when it is refused before it is looked at.
   */
  writeRequest(address: number): void {
    const { memory } = this.#parts.platform;
    if (!isRam(memory, address, VMMDevRequestHeader.size)) return;
    const head = memory.read(address, VMMDevRequestHeader.size);
    const { size, version, requestType: type, fRequestor } = VMMDevRequestHeader.decode(head);
    if (size < head.length || version !== VMMDEV_REQUEST_HEADER_VERSION) return;
    if (this.#refuses(size, type)) {
      setStatus(viewOf(head), VERR_NOT_SUPPORTED);
      memory.write(address, head);
      return;
    }
    if (!isRam(memory, address, size)) return;
    const bytes = memory.read(address, size);
    const request = { address, type, requestor: fRequestor, bytes, view: viewOf(bytes) };
    const rc = this.#dispatch(request);
    // A call that comes later has been written by now, or will be.
    if (rc === VINF_HGCM_ASYNC_EXECUTE) return;
    if (rc !== undefined) setStatus(request.view, rc);
    memory.write(address, bytes);
  }

  readFastIrqAck(): number {
    const { events } = this.#parts;
    return events.ready ? events.acknowledge() : NOT_READY;
  }

  writeLog(byte: number): void {
    if (!this.config.backdoorLogDisabled) this.#logPort.write(byte);
  }

  /** All but the first words are the ring of acceleration, which a host without a screen leaves empty. */
  readRam(offset: number, length: number): Uint8Array {
    const inside = offset >= 0 && length >= 0 && offset + length <= VMMDEV_RAM_SIZE;
    if (!inside) throw new RangeError(`VMMDevMemory has no ${length} bytes at ${offset}`);
    const words = VMMDevMemory.encode({
      u32Size: VMMDEV_MEMORY_SIZE,
      u32Version: VMMDEV_MEMORY_VERSION,
      fHaveEvents: Number(this.#parts.events.haveEvents),
    });
    const bytes = new Uint8Array(length);
    bytes.set(words.subarray(offset, offset + length));
    return bytes;
  }

  /** Raises events, of VMMDEV_EVENT. @throws SystemError EINVAL for bits that are none. */
  raiseEvents(mask: number): void {
    const unknown = (mask & ~VMMDEV_EVENT_VALID_EVENT_MASK) >>> 0;
    if (unknown !== 0) {
      throw new SystemError('EINVAL', {
        message: `no event has the bits 0x${unknown.toString(16)}`,
      });
    }
    this.#parts.events.raise(mask);
  }

  /** Events that the guest has not acknowledged, and those that it wants to see. */
  get events(): { pending: number; filter: number } {
    const { pending, filter } = this.#parts.events;
    return { pending, filter };
  }

  /** In chunks of 1 MiB: what the host wants, and what the guest has told. */
  get balloon(): { targetChunks: number; actualChunks: number } {
    return this.#parts.balloon.snapshot;
  }

  get maxBalloonChunks(): number {
    return this.#parts.balloon.maxChunks;
  }

  /** See Balloon.setTarget. @throws SystemError EINVAL over `maxBalloonChunks`. */
  setBalloonTarget(chunks: number): void {
    this.#parts.balloon.setTarget(chunks);
  }

  /** The last report of each CPU. */
  get statistics(): CpuStatistics[] {
    return this.#parts.statistics.reports;
  }

  /** Seconds; 0 asks for no more reports. @throws SystemError EINVAL. */
  setStatisticsInterval(seconds: number): void {
    this.#parts.statistics.changeInterval(seconds);
  }

  get heartbeat(): HeartbeatSnapshot {
    return this.#parts.heartbeat.snapshot;
  }

  /** See Heartbeat.set. @throws SystemError EINVAL. */
  setHeartbeat(settings: HeartbeatSettings): void {
    this.#parts.heartbeat.set(settings);
  }

  get guest(): GuestSnapshot {
    const { events, report, facilities, state } = this.#parts;
    return {
      isReady: events.ready,
      interfaceVersion: report.info?.interfaceVersion ?? null,
      osType: report.info?.osType ?? null,
      additions: report.additions ?? null,
      facilities: facilities.all,
      capabilities: report.capabilities,
      runLevel: runLevel(facilities),
      powerRequest: state.powerRequest ?? null,
    };
  }

  /** Clients of HGCM, and requests of theirs that wait. */
  get hgcm(): { clients: number; commands: number } {
    return this.#parts.hgcm.counts;
  }

  /** The VM is reset: the guest has to report itself again. What the host wants stays. */
  reset(): void {
    const { platform, report, facilities, balloon, statistics, heartbeat, hgcm, events, state } =
      this.#parts;
    hgcm.reset();
    report.reset();
    facilities.reset();
    balloon.reset();
    statistics.reset();
    heartbeat.reset();
    events.reset();
    state.sessionId = sessionId(platform);
    state.mouseFeatures &= ~VMMDEV_MOUSE_GUEST_MASK;
    state.powerRequest = undefined;
  }

  /** The VM is gone: nothing more comes of the device. */
  close(): void {
    this.reset();
    this.#parts.heartbeat.close();
  }

  #refuses(size: number, type: number): boolean {
    const { log, events } = this.#parts;
    if (size > VMMDEV_MAX_VMMDEVREQ_SIZE) {
      const text = `VMMDev: Request packet too big (${size.toString(16)}), refusing operation`;
      log.few('size', 50, text);
      return true;
    }
    if (events.ready || REQUESTS.get(type)?.early === true) return false;
    const text = `VMMDev: Guest has not yet reported to us -- refusing operation of request #${type}`;
    log.few('report', 10, text);
    return true;
  }

  #dispatch(request: Request): number | undefined {
    const entry = REQUESTS.get(request.type);
    if (entry === undefined) return VERR_NOT_IMPLEMENTED;
    if (!takesSize(entry.size, request.bytes.length)) return VERR_INVALID_PARAMETER;
    return entry.handler(this.#parts, request);
  }
}

function partsOf(platform: DevicePlatform, config: VmmDevConfig): DeviceParts {
  const { clock, deadlines, memory } = platform;
  const log = new GuestLog(clock, (text) => platform.log(text));
  const events = new Events((raised) => platform.setInterrupt(raised));
  const report = new GuestReport(log);
  const heartbeat = new Heartbeat(
    { clock, deadlines, log },
    { intervalMs: config.heartbeatIntervalMs, timeoutMs: config.heartbeatTimeoutMs },
  );
  return {
    platform,
    config,
    log,
    events,
    report,
    facilities: new Facilities(clock, log),
    balloon: new Balloon(memory, events),
    statistics: new Statistics(clock, events, config.statisticsInterval),
    heartbeat,
    hgcm: new Hgcm({ platform, events, log, report }, config.hgcmHeapBudget),
    state: { sessionId: sessionId(platform), mouseFeatures: 0, powerRequest: undefined },
  };
}

/** VirtualBox takes the processor's time stamp. */
function sessionId({ rng }: DevicePlatform): bigint {
  return (BigInt(rng.below(2 ** 32)) << 32n) | BigInt(rng.below(2 ** 32));
}

/** Source: GuestImpl.cpp. */
function runLevel(facilities: Facilities): GuestSnapshot['runLevel'] {
  if (facilities.isActive(VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxTrayClient)) return 3;
  if (facilities.isActive(VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxService)) return 2;
  return facilities.isActive(VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxGuestDriver) ? 1 : 0;
}

function isRam({ size }: { size: number }, address: number, length: number): boolean {
  return Number.isInteger(address) && address >= 0 && address + length <= size;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
