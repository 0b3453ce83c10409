/**
 * The guest's balloon: memory that it gives to the host, chunk by chunk, until it has the size that the host wants or
 * something fails. Follows vbg_balloon_work() and its neighbours in vboxguest_core.c.
 */

import { VMMDEV_EVENT, VMMDevRequestHeader } from '../../../abi/vmmdev.js';
import {
  VMMDEV_CHANGE_MEM_BALLOON_SIZE,
  VMMDEV_MEMORY_BALLOON_CHUNK_PAGES,
  VMMDevChangeMemBalloon,
  VMMDevGetMemBalloonChangeRequest,
} from '../../../abi/vmmdev-memory.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';
import type { GuestPages } from '../platform.js';
import { type Chunk, chunkPages, releaseChunk, takeChunk } from './chunk.js';
import { encodeRequest, type HostRequests, VBG_KERNEL_REQUEST } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';

export interface BalloonSettings {
  /** What one chunk takes, milliseconds. */
  chunkMs: number;
}

export interface BalloonOptions {
  readonly host: HostRequests;
  readonly pages: GuestPages;
  readonly log: KernelLog;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly settings: BalloonSettings;
}

export class Balloon {
  readonly #options: BalloonOptions;
  readonly #chunks: Chunk[] = [];
  /** All that the VM has, as the host told the first time. */
  #maxChunks = 0;
  #step: Deadline | undefined;
  #again = false;

  constructor(options: BalloonOptions) {
    this.#options = options;
  }

  get chunks(): number {
    return this.#chunks.length;
  }

  /** The host wants another size. Work that is under way goes on to its end first. */
  schedule(): void {
    if (this.#step === undefined) this.#next(0, () => this.#begin());
    else this.#again = true;
  }

  /** Ends the work where it is. */
  cancel(): void {
    this.#step?.cancel();
    this.#step = undefined;
    this.#again = false;
  }

  /** Forgets all chunks, and gives them to whoever can release them. */
  abandon(): Chunk[] {
    this.cancel();
    return this.#chunks.splice(0);
  }

  #next(ms: number, run: () => void): void {
    const atMs = this.#options.clock.monotonicMs() + ms;
    this.#step = this.#options.deadlines.schedule(atMs, run);
  }

  #begin(): void {
    // From here on, an event means one more look.
    this.#again = false;
    const target = this.#target();
    if (target === undefined) this.#end();
    else this.#work(target);
  }

  #work(target: number): void {
    if (target === this.chunks) this.#end();
    else this.#next(this.#options.settings.chunkMs, () => this.#change(target));
  }

  #change(target: number): void {
    const done = target > this.chunks ? this.#inflate() : this.#deflate();
    if (done) this.#work(target);
    else this.#end();
  }

  #end(): void {
    this.#step = undefined;
    if (!this.#again) return;
    this.#next(0, () => this.#begin());
  }

  /** The size that the host wants, in chunks; undefined when it doesn't say one that makes sense. */
  #target(): number | undefined {
    const { host, log } = this.#options;
    const { rc, body } = host.ask(
      'VMMDevReq_GetMemBalloonChangeRequest',
      VMMDevGetMemBalloonChangeRequest,
      { eventAck: VMMDEV_EVENT.VMMDEV_EVENT_BALLOON_CHANGE_REQUEST },
      { reserved: 'balloonInfo' },
    );
    if (rc < 0) {
      log.print(`vbg_balloon_work error, rc: ${rc}`);
      return undefined;
    }
    if (this.#maxChunks === 0) this.#maxChunks = body.cPhysMemChunks;
    if (body.cBalloonChunks <= this.#maxChunks) return body.cBalloonChunks;
    const sizes = `${body.cBalloonChunks} (max=${this.#maxChunks})`;
    log.print(`vbg_balloon_work: illegal balloon size ${sizes}`);
    return undefined;
  }

  #inflate(): boolean {
    const { pages } = this.#options;
    const chunk = takeChunk(pages);
    if (chunk === undefined) return false;
    if (this.#tell(chunk, true)) this.#chunks.push(chunk);
    else releaseChunk(pages, chunk);
    return this.#chunks.at(-1) === chunk;
  }

  #deflate(): boolean {
    const chunk = this.#chunks.at(-1);
    if (chunk === undefined || !this.#tell(chunk, false)) return false;
    releaseChunk(this.#options.pages, chunk);
    this.#chunks.pop();
    return true;
  }

  #tell(chunk: Chunk, inflate: boolean): boolean {
    const { host, log } = this.#options;
    const answer = VMMDevRequestHeader.decode(
      host.exchange(changeRequest(chunk, inflate), 'balloonChange'),
    );
    if (answer.rc >= 0) return true;
    const where = inflate ? 'vbg_balloon_inflate' : 'vbg_balloon_deflate';
    log.print(`${where} error, rc: ${answer.rc}`);
    return false;
  }
}

function changeRequest(chunk: Chunk, inflate: boolean): Uint8Array {
  const data = encodeRequest(
    VMMDevChangeMemBalloon,
    'VMMDevReq_ChangeMemBalloon',
    VBG_KERNEL_REQUEST,
    { cPages: VMMDEV_MEMORY_BALLOON_CHUNK_PAGES, fInflate: inflate ? 1 : 0 },
    VMMDEV_CHANGE_MEM_BALLOON_SIZE,
  );
  const view = new DataView(data.buffer);
  chunkPages(chunk).forEach((address, index) => {
    view.setBigUint64(VMMDevChangeMemBalloon.size + 8 * index, BigInt(address), true);
  });
  return data;
}
