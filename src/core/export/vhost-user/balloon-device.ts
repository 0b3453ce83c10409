/**
 * The virtio memory balloon (id 5) of a VM whose guest is a real kernel. What the guest gives up is given back to this
 * machine where the mapping allows it; it is there again, as zeros, when the guest touches it. Source: virtio 1.2,
 * section 5.5.
 */
import {
  VIRTIO_BALLOON_F_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
  VIRTIO_BALLOON_PFN_SHIFT,
  VIRTIO_ID_BALLOON,
  virtio_balloon_config,
} from '../../abi/virtio-balloon.js';
import type { MemoryReport, RealBalloon } from '../../simulator/real-guest.js';
import { readReport } from './balloon-report.js';
import { copyOut, sizeOf } from './byte-parts.js';
import type { Chain, DeviceHost, DeviceQueue, VirtioDevice } from './device.js';
import { pageRuns } from './page-runs.js';

const PAGE = 1 << VIRTIO_BALLOON_PFN_SHIFT;
/** Page numbers in one chain: Linux has 256, others what a page holds. Bytes. */
const MAX_PFN_BYTES = 4096;
/** Bytes of statistics in one chain: entries of 10 bytes, and there are 16 of them. */
const MAX_STATS_BYTES = 4096;
/** Pieces of memory that are given back before others get their turn: each is a system call. */
const RELEASES_A_TURN = 512;
/** How often the guest is asked for statistics, milliseconds. */
const STATS_INTERVAL_MS = 5000;
const ACTUAL_OFFSET = virtio_balloon_config.offset('actual');
const SPECIFIED_QUEUES = ['inflate', 'deflate', 'stats', 'reporting'] as const;

type QueueName = (typeof SPECIFIED_QUEUES)[number];

export interface BalloonDevicePlatform {
  /** Of the guest; bytes. */
  memoryBytes(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Calls back in so many milliseconds, once. */
  after(ms: number, action: () => void): { cancel(): void };
  /** A driver is there, so the guest is a real kernel; or it has gone, and why. */
  arrived(): void;
  left(reason: string): void;
}

/** What has passed the device since it was made; bytes. */
export interface BalloonDeviceCounters {
  inflated: number;
  deflated: number;
  reported: number;
  /** Of what was inflated and reported, what this machine has got back. */
  released: number;
}

export class BalloonDevice implements VirtioDevice, RealBalloon {
  readonly id = VIRTIO_ID_BALLOON;
  readonly features =
    (1n << BigInt(VIRTIO_BALLOON_F_STATS_VQ)) | (1n << BigInt(VIRTIO_BALLOON_F_REPORTING));
  readonly queueCount = SPECIFIED_QUEUES.length;
  readonly unit = PAGE;
  readonly counters: BalloonDeviceCounters = {
    inflated: 0,
    deflated: 0,
    reported: 0,
    released: 0,
  };
  statistics: MemoryReport | null = null;
  readonly #platform: BalloonDevicePlatform;
  readonly #queues = new Map<QueueName, DeviceQueue>();
  #host: DeviceHost | undefined;
  /** Queues in the order of their numbers: a feature that was not agreed to has none. */
  #names: readonly QueueName[] = [];
  #targetPages = 0;
  #actualPages = 0;
  /** The driver's buffer for statistics: given back, it comes again with new ones. */
  #statsBuffer: Chain | undefined;
  #asking: { cancel(): void } | undefined;
  #resting: { cancel(): void } | undefined;

  constructor(platform: BalloonDevicePlatform) {
    this.#platform = platform;
  }

  get target(): number {
    return this.#targetPages * PAGE;
  }

  get actual(): number {
    return this.#actualPages * PAGE;
  }

  setTarget(bytes: number): void {
    this.#targetPages = Math.ceil(bytes / PAGE);
    this.#host?.configChanged();
  }

  config(): Uint8Array {
    return virtio_balloon_config.encode({
      num_pages: this.#targetPages,
      actual: this.#actualPages,
    });
  }

  /** The driver tells what it has given up; the rest is the host's. More than all memory is not believed. */
  writeConfig(offset: number, bytes: Uint8Array): void {
    const config = this.config();
    config.set(bytes.subarray(0, config.length - offset), offset);
    const view = new DataView(config.buffer, config.byteOffset);
    const most = Math.floor(this.#platform.memoryBytes() / PAGE);
    this.#actualPages = Math.min(view.getUint32(ACTUAL_OFFSET, true), most);
  }

  attached(host: DeviceHost, features: bigint): void {
    this.#host = host;
    const has = (bit: number) => ((features >> BigInt(bit)) & 1n) === 1n;
    this.#names = SPECIFIED_QUEUES.filter((name) => {
      if (name === 'stats') return has(VIRTIO_BALLOON_F_STATS_VQ);
      return name !== 'reporting' || has(VIRTIO_BALLOON_F_REPORTING);
    });
    this.#platform.arrived();
  }

  started(index: number, queue: DeviceQueue): void {
    const name = this.#names[index];
    if (name === undefined) return;
    this.#queues.set(name, queue);
    this.kicked(index);
  }

  stopped(index: number): void {
    const name = this.#names[index];
    if (name === undefined) return;
    if (name === 'stats') this.#unpopStats();
    this.#queues.delete(name);
  }

  kicked(index: number): void {
    const name = this.#names[index];
    if (name === 'stats') this.#takeStats();
    else if (name !== undefined) this.#serve(name);
  }

  detached(reason: string): void {
    this.#host = undefined;
    this.#queues.clear();
    this.#forgetStats();
    this.#resting?.cancel();
    this.#resting = undefined;
    this.#actualPages = 0;
    this.statistics = null;
    this.#platform.left(reason);
  }

  /** Takes what waits in a queue of pages, as much as one turn allows. */
  #serve(name: Exclude<QueueName, 'stats'>): void {
    const queue = this.#queues.get(name);
    if (queue === undefined || this.#resting !== undefined) return;
    let releases = 0;
    let chain: Chain | undefined;
    while (releases < RELEASES_A_TURN) {
      chain = queue.pop();
      if (chain === undefined) break;
      const done = name === 'reporting' ? this.#report(chain) : this.#takePages(name, chain);
      if (done === undefined) return;
      releases += 1 + done;
      queue.push(chain, 0);
    }
    if (releases > 0) queue.notify();
    if (chain !== undefined) this.#rest();
  }

  /** A driver that gives up memory without an end must not keep others from their turn. */
  #rest(): void {
    this.#resting = this.#platform.after(1, () => {
      this.#resting = undefined;
      for (const name of ['inflate', 'deflate', 'reporting'] as const) this.#serve(name);
    });
  }

  /** @returns how many pieces were given back; undefined when the driver broke the rules. */
  #takePages(name: 'inflate' | 'deflate', { readable, writable }: Chain): number | undefined {
    const size = sizeOf(readable);
    if (writable.length > 0 || size % 4 !== 0 || size > MAX_PFN_BYTES) {
      return this.#fail(`${name}: ${size} bytes of page numbers`);
    }
    const pages = size / 4;
    this.counters[name === 'inflate' ? 'inflated' : 'deflated'] += pages * PAGE;
    if (name === 'deflate') return 0;
    const runs = pageRuns(copyOut(readable, 0, size));
    for (const { first, count } of runs) {
      this.#release({ address: first * PAGE, length: count * PAGE });
    }
    return runs.length;
  }

  /** Free page reporting: the buffers are the pages themselves. */
  #report({ readable, writable }: Chain): number | undefined {
    if (readable.length > 0) return this.#fail('reporting: buffers that are not to be written');
    for (const piece of writable) {
      this.counters.reported += piece.length;
      this.#release(piece);
    }
    return writable.length;
  }

  #release(range: { address: number; length: number }): void {
    this.counters.released += this.#host?.release(range) ?? 0;
  }

  #takeStats(): void {
    const queue = this.#queues.get('stats');
    const chain = queue?.pop();
    if (queue === undefined || chain === undefined) return;
    if (this.#statsBuffer !== undefined) {
      this.#fail('statistics: a second buffer');
      return;
    }
    const size = sizeOf(chain.readable);
    if (chain.writable.length > 0 || size > MAX_STATS_BYTES) {
      this.#fail(`statistics: ${size} bytes`);
      return;
    }
    const report = readReport(copyOut(chain.readable, 0, size));
    this.statistics = { reportedAtMs: this.#platform.wallMs(), ...report };
    this.#statsBuffer = chain;
    this.#asking = this.#platform.after(STATS_INTERVAL_MS, () => this.#askForStats());
  }

  #askForStats(): void {
    const queue = this.#queues.get('stats');
    const chain = this.#statsBuffer;
    this.#statsBuffer = undefined;
    if (queue === undefined || chain === undefined) return;
    queue.push(chain, 0);
    queue.notify();
  }

  /** The driver's buffer is there for who serves the queue next. */
  #unpopStats(): void {
    if (this.#statsBuffer !== undefined) this.#queues.get('stats')?.unpop(this.#statsBuffer);
    this.#forgetStats();
  }

  #forgetStats(): void {
    this.#asking?.cancel();
    this.#asking = undefined;
    this.#statsBuffer = undefined;
  }

  #fail(reason: string): undefined {
    this.#host?.fail(reason);
    return undefined;
  }
}
