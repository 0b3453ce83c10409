/**
 * The balloon as the host has it: how large it should be, and how large the guest made it. The unit is a chunk of 1 MiB.
 * Sources: VirtualBox' VMMDev.cpp and MachineImpl.cpp.
 */
import { SystemError } from '../../../abi/errno.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDEV_EVENT } from '../../../abi/vmmdev.js';
import {
  VMMDEV_CHANGE_MEM_BALLOON_SIZE,
  VMMDEV_MEMORY_BALLOON_CHUNK_PAGES,
  VMMDEV_MEMORY_BALLOON_CHUNK_SIZE,
  VMMDevChangeMemBalloon,
} from '../../../abi/vmmdev-memory.js';
import type { PhysicalMemory } from '../platform.js';
import type { Events } from './events.js';

const { VMMDEV_EVENT_BALLOON_CHANGE_REQUEST } = VMMDEV_EVENT;

/** Bytes of a page, and of its address in a request. */
const PAGE = 4096n;
const ADDRESS = 8;

export class Balloon {
  readonly #memory: PhysicalMemory;
  readonly #events: Events;
  #target = 0;
  /** The last target that the guest read with the event's acknowledge. */
  #read = 0;
  #actual = 0;

  constructor(memory: PhysicalMemory, events: Events) {
    this.#memory = memory;
    this.#events = events;
  }

  /** What the host wants, and what the guest has told to have given, in chunks. */
  get snapshot(): { targetChunks: number; actualChunks: number } {
    return { targetChunks: this.#target, actualChunks: this.#actual };
  }

  /** Chunks of RAM. */
  get #physical(): number {
    return Math.floor(this.#memory.size / VMMDEV_MEMORY_BALLOON_CHUNK_SIZE);
  }

  /** The largest target: it has to be less than nine tenths of RAM, which VirtualBox rounds down first. */
  get maxChunks(): number {
    return Math.max(0, Math.floor((this.#physical * 9) / 10) - 1);
  }

  /**
   * Asks the guest for a balloon of a size. As in VirtualBox a target that equals the last one that the guest read
   * changes nothing, although another was set in between.
   * @throws SystemError EINVAL for what is no number of chunks from 0 to `maxChunks`.
   */
  setTarget(chunks: number): void {
    if (!Number.isInteger(chunks) || chunks < 0 || chunks > this.maxChunks) {
      const message = `a balloon of ${chunks} MiB: it can have ${this.maxChunks} MiB at most, less than 90 % of the memory`;
      throw new SystemError('EINVAL', { message });
    }
    if (chunks === this.#read) return;
    this.#target = chunks;
    this.#events.raise(VMMDEV_EVENT_BALLOON_CHANGE_REQUEST);
  }

  /** GetMemBalloonChangeRequest. */
  request(eventAck: number): { cBalloonChunks: number; cPhysMemChunks: number } {
    if (eventAck === VMMDEV_EVENT_BALLOON_CHANGE_REQUEST) this.#read = this.#target;
    return { cBalloonChunks: this.#target, cPhysMemChunks: this.#physical };
  }

  /**
   * ChangeMemBalloon. The count moves also when the pages are none, as in VirtualBox, but never to what can't be: below
   * zero, or over what the VM has. VERR_INVALID_PARAMETER for pages that are not in RAM; the host does not keep them,
   * so it trusts the guest not to give one twice.
   */
  change(pages: number, inflate: boolean, request: DataView): number {
    const whole = request.byteLength === VMMDEV_CHANGE_MEM_BALLOON_SIZE;
    if (pages !== VMMDEV_MEMORY_BALLOON_CHUNK_PAGES || !whole) {
      return VBOX_STATUS.VERR_INVALID_PARAMETER;
    }
    const count = this.#actual + (inflate ? 1 : -1);
    this.#actual = Math.min(Math.max(0, count), this.#physical);
    const end = BigInt(this.#memory.size);
    for (let i = 0; i < pages; i++) {
      const page = request.getBigUint64(VMMDevChangeMemBalloon.size + i * ADDRESS, true);
      if (page % PAGE !== 0n || page + PAGE > end) return VBOX_STATUS.VERR_INVALID_PARAMETER;
    }
    return VBOX_STATUS.VINF_SUCCESS;
  }

  /** The guest's memory is whole again. The target stays, and counts as not read. */
  reset(): void {
    this.#read = 0;
    this.#actual = 0;
  }
}
