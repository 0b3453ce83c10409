/** Queue pairs of VMCI, whose bytes go through memory: sending, receiving, and how the other end ends. */
import { SystemError } from '../abi/errno.js';
import { handleText, VMCI_HOST_CONTEXT_ID, VMCI_INVALID_ID } from '../abi/vmci.js';
import { VMCI_RESULT, VmciResultError } from '../abi/vmci-errors.js';
import type { QueueEnds } from '../abi/vmci-queue.js';
import {
  VMCI_MAX_GUEST_QP_MEMORY,
  VMCI_QPFLAG_ATTACH_ONLY,
  VMCI_QPFLAG_LOCAL,
} from '../abi/vmci-queue-pair.js';
import type { CallOptions } from '../backend/port/node.js';
import type {
  VmciHandle,
  VmciKernel,
  VmciQueuePair,
  VmciQueuePairRecord,
} from '../backend/port/vmci.js';
import { checkVmci, type VmciWords } from './vmci-error.js';

/** What is moved at once, bytes: after that the other end may go on with it. */
const PIECE = 262_144;
/**
 * How often, and with which pause, to look for the other end's next step before sleeping; milliseconds. To be waked goes
 * through another process and takes longer than most steps, and a pause lets the other end run on a busy machine.
 */
const LOOKS = 8;
const PAUSE_MS = 0.05;
/** Nobody ever changes it: a way to pause. */
const NEVER = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

const WORDS: VmciWords = {
  VMCI_ERROR_NO_MEM: ['there is no memory for the queue pair, or its handle is in use'],
  VMCI_ERROR_NO_ACCESS: [
    'the queue pair is not for this end',
    'its handle or its peer has to be the context of this end',
  ],
  VMCI_ERROR_ALREADY_EXISTS: ['this machine has an end of that queue pair already'],
  VMCI_ERROR_UNAVAILABLE: ['both ends of the queue pair are taken, or one has left'],
};
/** For who attaches to what is not listed: the order of refusals asks for the sizes last. */
const UNKNOWN_SIZES = { produceSize: 1, consumeSize: 1 };

export interface NewQueuePair {
  /** Chosen when left out. */
  handle?: VmciHandle | undefined;
  /** The context that may attach; any when left out. */
  peer?: number | undefined;
  /** Bytes of the queue that this end writes, and of that which it reads. */
  produceSize: number;
  consumeSize: number;
}

/**
 * Makes a pair.
 * @throws SystemError ENOBUFS (larger than 128 MiB, or with the guest's other ones), EACCES, EEXIST, EHOSTUNREACH (VM to
 *   VM), ...
 */
export async function createQueuePair(
  kernel: VmciKernel,
  { handle, peer = VMCI_INVALID_ID, produceSize, consumeSize }: NewQueuePair,
): Promise<QueueStream> {
  const local = peer === kernel.contextId ? VMCI_QPFLAG_LOCAL : 0;
  const wish = { handle, peer, flags: local, produceSize, consumeSize };
  const words: VmciWords = handle === undefined ? {} : { VMCI_ERROR_ALREADY_EXISTS: taken(handle) };
  return opened(await kernel.allocQueuePair(wish), { ...wordsFor(kernel, wish), ...words });
}

/**
 * Attaches to a pair, with the sizes that it was made with.
 * @throws SystemError EHOSTUNREACH (there is none, or it is another guest's), EBUSY, EEXIST, EACCES (it is for somebody
 *   else), ...
 */
export async function attachQueuePair(
  kernel: VmciKernel,
  handle: VmciHandle,
): Promise<QueueStream> {
  const text = handleText(handle);
  const pair = (await kernel.queuePairs()).find((each) => handleText(each.handle) === text);
  const flags = (pair?.flags ?? 0) | VMCI_QPFLAG_ATTACH_ONLY;
  const sizes = pair === undefined ? UNKNOWN_SIZES : sizesFor(pair);
  const wish = { handle, peer: VMCI_INVALID_ID, flags, ...sizes };
  return opened(await kernel.allocQueuePair(wish), {
    ...wordsFor(kernel, wish),
    VMCI_ERROR_NOT_FOUND: [
      `there is no queue pair ${text} to attach to`,
      "see 'vmmctl vmci queue list'",
    ],
  });
}

function taken(handle: VmciHandle): readonly [message: string, hint: string] {
  return [
    `there is a queue pair ${handleText(handle)} already`,
    'without --handle a free one is chosen',
  ];
}

/** A limit is that of one pair, or of all that the machine has. */
function wordsFor(
  { contextId }: VmciKernel,
  { produceSize, consumeSize }: { produceSize: number; consumeSize: number },
): VmciWords {
  return { ...WORDS, VMCI_ERROR_NO_RESOURCES: limitOf(contextId, produceSize + consumeSize) };
}

function limitOf(contextId: number, bytes: number): readonly [message: string, hint: string] {
  if (bytes > VMCI_MAX_GUEST_QP_MEMORY) {
    return ['a queue pair has at most 128 MiB, both ways together', 'take a smaller size'];
  }
  const message =
    contextId === VMCI_HOST_CONTEXT_ID
      ? 'the host has as many queue pairs as it can have'
      : "all queue pairs of a guest together have at most 128 MiB, vsock's over VMCI too";
  return [message, "see 'vmmctl vmci queue list'"];
}

/** What the one who attaches writes is what the creator reads. A record has the sizes as the guest names them. */
function sizesFor({ creator, flags, produceSize, consumeSize }: VmciQueuePairRecord) {
  const local = (flags & VMCI_QPFLAG_LOCAL) !== 0;
  if (creator === VMCI_HOST_CONTEXT_ID && !local) return { produceSize, consumeSize };
  return { produceSize: consumeSize, consumeSize: produceSize };
}

function opened(
  { result, pair }: Awaited<ReturnType<VmciKernel['allocQueuePair']>>,
  words: VmciWords,
): QueueStream {
  checkVmci(result, words);
  if (pair === undefined) throw new SystemError('EPROTO');
  return new QueueStream(pair);
}

/** An end of a pair as two streams of bytes. One call of each kind at a time. */
export class QueueStream {
  readonly #pair: VmciQueuePair;
  #ended = false;

  constructor(pair: VmciQueuePair) {
    this.#pair = pair;
  }

  get handle(): VmciHandle {
    return this.#pair.handle;
  }

  /** Whether the other end has left. */
  get peerGone(): boolean {
    return this.#pair.peer === 'detached';
  }

  /** Resolves when the other end has come. @throws SystemError EINTR, ECONNRESET (it has gone, or the host has). */
  async attached(options: CallOptions = {}): Promise<void> {
    const pair = this.#pair;
    while (pair.peer === 'none') await pair.woken(() => pair.peer !== 'none', options);
    if (this.#pair.queues === undefined) throw gone();
  }

  /** Resolves when the other end has left, or the host. Never rejects. */
  get left(): Promise<void> {
    return this.#pair.left;
  }

  /** Writes what there is room for. @returns bytes. @throws SystemError EPIPE when nobody reads any more, EPROTO. */
  writeSome(bytes: Uint8Array): number {
    if (this.peerGone) throw broken();
    const count = this.#queues().produce.enqueue(bytes);
    if (count === VMCI_RESULT.VMCI_ERROR_QUEUEPAIR_NOSPACE) return 0;
    this.#check(count);
    this.#pair.wake();
    return count;
  }

  /** The queue's own memory for the next bytes; undefined when it is full. @throws SystemError as `writeSome`. */
  room(): Uint8Array | undefined {
    if (this.peerGone) throw broken();
    const room = this.#queues().produce.room();
    if (typeof room !== 'number') return room.subarray(0, PIECE);
    if (room !== VMCI_RESULT.VMCI_ERROR_QUEUEPAIR_NOSPACE) this.#check(room);
    return undefined;
  }

  /** Gives the other end what was put into `room`. */
  filled(count: number): void {
    this.#queues().produce.produced(count);
    this.#pair.wake();
  }

  /** Resolves when there may be room. @throws SystemError EINTR, ECONNRESET. */
  async writable(options: CallOptions = {}): Promise<void> {
    const { produce } = this.#queues();
    await this.#until(() => produce.freeSpace !== 0 || this.peerGone, options);
  }

  /** Writes all. @throws SystemError as `writeSome` and `writable`. */
  async write(bytes: Uint8Array, options: CallOptions = {}): Promise<void> {
    for (let done = 0; ; ) {
      done += this.writeSome(bytes.subarray(done));
      if (done === bytes.length) return;
      await this.writable(options);
    }
  }

  /**
   * The next bytes, in the queue itself; to be given back by `consumed` before the next call. Undefined when the other end
   * has said that no more come. @throws SystemError EINTR, EPROTO, ECONNRESET when it has left without that.
   */
  async next(options: CallOptions = {}): Promise<Uint8Array | undefined> {
    const { consume } = this.#queues();
    const something = () => consume.bufReady !== 0 || this.#pair.peerEnded || this.peerGone;
    for (;;) {
      // What it says of its end came after its bytes.
      const over = this.#pair.peerEnded || this.peerGone;
      const bytes = consume.bytes();
      if (typeof bytes !== 'number') return bytes.subarray(0, PIECE);
      if (bytes !== VMCI_RESULT.VMCI_ERROR_QUEUEPAIR_NODATA) this.#check(bytes);
      if (over && this.#pair.peerEnded) return undefined;
      if (over) throw gone();
      await this.#until(something, options);
    }
  }

  /** Gives the other end the space of what was read. */
  consumed(count: number): void {
    this.#queues().consume.consumed(count);
    this.#pair.wake();
  }

  /** Says that no more comes, and resolves when the other end has read all. @throws SystemError EPIPE, EINTR, ECONNRESET. */
  async end(options: CallOptions = {}): Promise<void> {
    if (!this.#ended) this.#pair.end();
    this.#ended = true;
    const { produce } = this.#queues();
    while (produce.bufReady !== 0) {
      this.#check(produce.bufReady);
      if (this.peerGone) throw broken();
      await this.#until(() => produce.bufReady === 0 || this.peerGone, options);
    }
  }

  async detach(): Promise<void> {
    await this.#pair.detach();
  }

  /** Looks for a while, then sleeps. */
  async #until(ready: () => boolean, options: CallOptions): Promise<void> {
    for (let look = 0; look < LOOKS; look++) {
      if (ready()) return;
      Atomics.wait(NEVER, 0, 0, PAUSE_MS);
    }
    await this.#pair.woken(ready, options);
  }

  #queues(): QueueEnds {
    if (this.#pair.queues === undefined) throw gone();
    return this.#pair.queues;
  }

  /** @throws SystemError EPROTO for indexes that can't be. */
  #check(result: number): void {
    if (result >= 0) return;
    throw new SystemError('EPROTO', {
      message: `the queue pair ${handleText(this.handle)} is corrupt: an index is outside of its queue`,
      hint: 'the other end, or whoever else has its memory, wrote there',
      cause: new VmciResultError(result),
    });
  }
}

function gone(): SystemError {
  return new SystemError('ECONNRESET', { message: 'the other end of the queue pair is gone' });
}

function broken(): SystemError {
  return new SystemError('EPIPE', {
    message: 'the other end of the queue pair left before it had taken all bytes',
  });
}
