/**
 * The guest's driver of VirtualBox's device, as Linux has it: /dev/vboxguest, /dev/vboxuser, the interrupt, the balloon
 * and the heartbeat. Follows drivers/virt/vboxguest; what it speaks with is the ports and the memory of its platform.
 */
import { type ErrorCode, errnoOf, SystemError } from '../../../abi/errno.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDEV_EVENT, VMMDevMemory } from '../../../abi/vmmdev.js';
import { VMMDevEvents } from '../../../abi/vmmdev-requests.js';
import type { Caller, OpenNode } from '../../node.js';
import type { DriverPlatform } from '../platform.js';
import { openNode, type VbgNodeName } from './char-device.js';
import { type Chunk, releaseChunk } from './chunk.js';
import { HostRequests } from './host-requests.js';
import { KernelLog } from './kernel-log.js';
import { takeMousePosition } from './mouse.js';
import { alternateHex, checkMemory, type HostIdentity, initialize, terminate } from './startup.js';
import { Vbg, type VbgSettings } from './vbg.js';

const {
  VMMDEV_EVENT_HGCM,
  VMMDEV_EVENT_BALLOON_CHANGE_REQUEST,
  VMMDEV_EVENT_MOUSE_POSITION_CHANGED,
} = VMMDEV_EVENT;

/** What inflating or deflating by one chunk takes in a guest with nothing else to do, milliseconds. */
export const DEFAULT_CHUNK_MS = 1;

const HAVE_EVENTS_OFFSET = VMMDevMemory.offset('fHaveEvents');
/** The usual one. */
const PCI_ADDRESS = '0000:00:04.0';

interface Running {
  readonly vbg: Vbg;
  readonly identity: HostIdentity;
}

export class VboxGuestDriver {
  readonly #platform: DriverPlatform;
  readonly #host: HostRequests;
  readonly #log: KernelLog;
  readonly #settings: VbgSettings = { chunkMs: DEFAULT_CHUNK_MS, heartbeatStopped: false };
  /** Chunks of balloons whose driver was unloaded: neither the guest nor the host gives them back. */
  readonly #lostChunks: Chunk[] = [];
  #running: Running | undefined;
  #failure: ErrorCode | undefined;
  #atPort = false;
  #interrupted = false;

  constructor(platform: DriverPlatform, settings: Partial<VbgSettings> = {}) {
    this.#platform = platform;
    this.#host = new HostRequests(platform.pages, (address) => this.#writeRequest(address));
    this.#log = new KernelLog(platform);
    Object.assign(this.#settings, settings);
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Why the driver did not start, as the kernel's log has it; undefined while it runs. */
  get failure(): ErrorCode | undefined {
    return this.#failure;
  }

  /** Milliseconds that the balloon takes for a chunk. */
  get chunkMs(): number {
    return this.#settings.chunkMs;
  }

  set chunkMs(ms: number) {
    this.#settings.chunkMs = ms;
  }

  /** While it is true, the guest's heartbeat does not reach the host. */
  get heartbeatStopped(): boolean {
    return this.#settings.heartbeatStopped;
  }

  set heartbeatStopped(stopped: boolean) {
    this.#settings.heartbeatStopped = stopped;
  }

  /** What the guest has given up, in chunks of 1 MiB. */
  get balloonChunks(): number {
    return this.#running?.vbg.balloon.chunks ?? 0;
  }

  /**
   * Loads the driver. When it fails (`failure`: ENODEV for a device or host that it doesn't know, or by the host's status)
   * the guest has no nodes.
   */
  start(): void {
    if (this.running) return;
    const vbg = new Vbg(this.#platform, this.#host, this.#log, this.#settings);
    this.#failure = undefined;
    try {
      checkMemory(this.#platform.ports, vbg);
      this.#running = { vbg, identity: initialize(vbg) };
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#fail(vbg, error.code);
      return;
    }
    // The line may have been raised before there was anybody to look.
    this.interrupt();
  }

  /** Unloads the driver: open nodes end as if they were closed, and then give ENODEV. The balloon stays as it is. */
  stop(): void {
    const running = this.#running;
    if (running === undefined) return;
    const { vbg } = running;
    for (const session of [...vbg.sessions]) session.close();
    this.#running = undefined;
    vbg.abandon();
    terminate(vbg);
    this.#lostChunks.push(...vbg.balloon.abandon());
  }

  /** The guest loses its power: the host is told nothing, calls end with ENODEV, and all memory is free again. */
  powerOff(): void {
    const vbg = this.#running?.vbg;
    this.#running = undefined;
    vbg?.abandon();
    const chunks = [...this.#lostChunks.splice(0), ...(vbg?.balloon.abandon() ?? [])];
    for (const chunk of chunks) releaseChunk(this.#platform.pages, chunk);
    this.#host.releaseAll();
  }

  /** The guest reboots without having gone down: as if it had lost its power, and the driver is loaded anew. */
  reset(): void {
    this.powerOff();
    this.start();
  }

  /** The line was raised. While the guest writes to a port, this waits until it has. */
  interrupt(): void {
    if (this.#running === undefined) return;
    this.#interrupted = true;
    if (!this.#atPort) this.#handleInterrupts(this.#running.vbg);
  }

  /** Agrees anew with the host on a heartbeat, as at the start: the way to learn another interval. */
  restartHeartbeat(): void {
    const heartbeat = this.#running?.vbg.heartbeat;
    heartbeat?.cancel();
    heartbeat?.start();
  }

  /** Opens a node. @throws SystemError ENOENT when the driver doesn't run; EACCES by the node's mode. */
  open(name: VbgNodeName, caller: Caller): OpenNode {
    return openNode(this.#needed('open').vbg, name, caller);
  }

  /** What the file host_version has, with its newline. @throws SystemError ENOENT when the driver doesn't run. */
  hostVersionText(): string {
    return `${this.#needed('open').identity.version}\n`;
  }

  /** What the file host_features has, with its newline. @throws SystemError ENOENT when the driver doesn't run. */
  hostFeaturesText(): string {
    return `${alternateHex(this.#needed('open').identity.features)}\n`;
  }

  #needed(syscall: string): Running {
    if (this.#running !== undefined) return this.#running;
    throw new SystemError('ENOENT', { syscall, message: 'the guest has no driver for it' });
  }

  #fail(vbg: Vbg, code: ErrorCode): void {
    this.#failure = code;
    vbg.abandon();
    this.#host.unreserve();
    const errno = -errnoOf(code, 'linux');
    this.#platform.log(`vboxguest: probe of ${PCI_ADDRESS} failed with error ${errno}`);
  }

  #writeRequest(address: number): void {
    // An interrupt comes between two instructions, and so when the port has been written.
    const outer = this.#atPort;
    this.#atPort = true;
    this.#platform.ports.writeRequest(address);
    this.#atPort = outer;
    if (!outer && this.#interrupted && this.#running !== undefined) {
      this.#handleInterrupts(this.#running.vbg);
    }
  }

  /** The handler is not interrupted by itself. */
  #handleInterrupts(vbg: Vbg): void {
    const outer = this.#atPort;
    this.#atPort = true;
    let events = 0;
    while (this.#interrupted) {
      this.#interrupted = false;
      events |= this.#acknowledge(vbg);
    }
    this.#atPort = outer;
    this.#dispatch(vbg, events);
  }

  /** Takes all events from the host. */
  #acknowledge(vbg: Vbg): number {
    const [haveEvents] = this.#platform.ports.readRam(HAVE_EVENTS_OFFSET, 1);
    if (haveEvents === 0) return 0;
    const { rc, body } = vbg.host.ask(
      'VMMDevReq_AcknowledgeEvents',
      VMMDevEvents,
      {},
      { reserved: 'acknowledgeEvents' },
    );
    if (rc >= VBOX_STATUS.VINF_SUCCESS) return body.events;
    vbg.log.printLimited(`Error performing events req, rc: ${rc}`);
    return 0;
  }

  /** Three events are the driver's own, the others are for programs. */
  #dispatch(vbg: Vbg, events: number): void {
    const own =
      VMMDEV_EVENT_HGCM | VMMDEV_EVENT_BALLOON_CHANGE_REQUEST | VMMDEV_EVENT_MOUSE_POSITION_CHANGED;
    if ((events & VMMDEV_EVENT_HGCM) !== 0) vbg.hgcm.wake();
    if ((events & VMMDEV_EVENT_BALLOON_CHANGE_REQUEST) !== 0) vbg.balloon.schedule();
    if ((events & ~own) !== 0) vbg.events.post(events & ~own);
    if ((events & VMMDEV_EVENT_MOUSE_POSITION_CHANGED) !== 0) takeMousePosition(vbg);
  }
}
