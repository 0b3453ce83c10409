/**
 * Queue pairs of VMCI on the simulated host. The pages are mapped by both ends, which move bytes without the daemon. It is
 * asked to wake an end that sleeps, and tells how the other one is.
 */
import { SystemError } from '../../abi/errno.js';
import { swapped } from '../../abi/vmci-memory.js';
import {
  openQueuePair,
  type QueueEnds,
  type QueueSizes,
  queuePairBytes,
  VMCI_PAGE_SIZE,
} from '../../abi/vmci-queue.js';
import type { SharedMemory } from '../../native/shared-memory.js';
import type { CallOptions } from '../port/node.js';
import type { VmciHandle, VmciKernel, VmciQueuePair, VmciQueuePairRecord } from '../port/vmci.js';
import type { Connection } from './connection.js';
import { mapFile } from './mapped-memory.js';

export type QueuePairWish = Parameters<VmciKernel['allocQueuePair']>[0];

/** What the daemon says of a pair. */
interface PairState {
  readonly peer: VmciQueuePair['peer'];
  readonly peerEnded: boolean;
  readonly place?: {
    readonly path: string;
    readonly offset: number;
    readonly swapped: boolean;
    readonly control: boolean;
  };
}

interface Made extends PairState, QueueSizes {
  readonly result: number;
  readonly end: number;
  readonly handle: VmciHandle;
}

/** @param machine whose kernel, as the daemon's calls name it. */
export async function allocQueuePair(
  connection: Connection,
  machine: { vm?: string },
  wish: QueuePairWish,
): Promise<{ result: number; pair?: VmciQueuePair }> {
  const { values } = await connection.call('vmciQueueAlloc', { ...machine, ...wish });
  const made = values as unknown as Made;
  if (made.result < 0) return { result: made.result };
  const pair = new SimulatedQueuePair(connection, made);
  await pair.start(made);
  return { result: made.result, pair };
}

export async function listQueuePairs(
  connection: Connection,
  machine: { vm?: string },
): Promise<VmciQueuePairRecord[]> {
  const { values } = await connection.call('vmciQueuePairs', machine);
  return values.pairs as VmciQueuePairRecord[];
}

/** Where each end says that it sleeps, in the page behind the pair's: the one whose pages they are, and the other. */
const [OWNER, OTHER] = [0, 1];

class SimulatedQueuePair implements VmciQueuePair {
  readonly handle: VmciHandle;
  readonly produceSize: number;
  readonly consumeSize: number;
  readonly #connection: Connection;
  readonly #end: number;
  readonly #stop = new AbortController();
  readonly #sleepers = new Set<() => void>();
  readonly left: Promise<void>;
  #leave: () => void = () => undefined;
  #memory: SharedMemory | undefined;
  #queues: QueueEnds | undefined;
  /** Words that say whether this end sleeps, and the other one. */
  #asleep: { readonly own: Int32Array; readonly other: Int32Array } | undefined;
  #peer: VmciQueuePair['peer'] = 'none';
  #peerEnded = false;
  #news = false;
  #failure: SystemError | undefined;

  constructor(connection: Connection, { end, handle, produceSize, consumeSize }: Made) {
    this.#connection = connection;
    this.#end = end;
    this.handle = handle;
    this.produceSize = produceSize;
    this.consumeSize = consumeSize;
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  get queues(): QueueEnds | undefined {
    return this.#queues;
  }

  get peer(): VmciQueuePair['peer'] {
    return this.#peer;
  }

  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  /** Maps what is there, and begins to listen. */
  async start(state: PairState): Promise<void> {
    await this.#take(state);
    this.#listen().catch((error) => this.#fail(error));
  }

  wake(): void {
    const asleep = this.#asleep;
    // Whoever finds the word set takes it back, so that one sleep is ended by one message.
    if (asleep !== undefined && Atomics.load(asleep.other, 0) === 0) return;
    if (asleep !== undefined && Atomics.exchange(asleep.other, 0, 0) === 0) return;
    this.#connection.tell('vmciQueueWake', { end: this.#end });
  }

  end(): void {
    this.#connection.tell('vmciQueueWake', { end: this.#end, ended: true });
  }

  /**
   * No wake-up is lost. This end says that it sleeps, and looks at the indexes after that; the other one moves an index, and
   * looks for a sleeper after that. All four are sequentially consistent, so one of both sees what the other did. The word is
   * not taken back here: somebody else of this process may sleep too, and to be waked for nothing does no harm.
   */
  async woken(unless: () => boolean, { signal }: CallOptions = {}): Promise<void> {
    if (signal?.aborted) throw new SystemError('EINTR');
    if (this.#asleep !== undefined) Atomics.store(this.#asleep.own, 0, 1);
    if (this.#news || unless()) {
      this.#news = false;
      return;
    }
    if (this.#failure !== undefined) throw this.#failure;
    await this.#sleep(signal);
    if (signal?.aborted) throw new SystemError('EINTR');
    if (this.#failure !== undefined) throw this.#failure;
  }

  async detach(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#wakeSleepers();
    try {
      if (this.#failure === undefined) {
        await this.#connection.call('vmciQueueDetach', { end: this.#end });
      }
    } finally {
      this.#queues = undefined;
      this.#memory?.release();
    }
  }

  async #sleep(signal: AbortSignal | undefined): Promise<void> {
    let wake: () => void = () => undefined;
    const waked = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#sleepers.add(wake);
    signal?.addEventListener('abort', wake);
    try {
      await waked;
    } finally {
      this.#sleepers.delete(wake);
      signal?.removeEventListener('abort', wake);
    }
  }

  async #listen(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { values } = await this.#connection.call(
        'vmciQueueNews',
        { end: this.#end },
        { signal },
      );
      await this.#take(values as unknown as PairState);
      this.#wakeSleepers();
    }
  }

  #wakeSleepers(): void {
    this.#news = this.#sleepers.size === 0;
    for (const wake of this.#sleepers) wake();
  }

  #fail(error: unknown): void {
    // It was detached.
    if (this.#stop.signal.aborted) return;
    this.#failure = error instanceof SystemError ? error : new SystemError('EIO', { cause: error });
    this.#leave();
    this.#wakeSleepers();
  }

  async #take({ peer, peerEnded, place }: PairState): Promise<void> {
    if (place !== undefined && this.#memory === undefined) {
      const { path, offset } = place;
      const length = queuePairBytes(this);
      const control = place.control ? VMCI_PAGE_SIZE : 0;
      this.#memory = await mapFile(path, { offset, length: length + control });
      this.#open(this.#memory, place);
    }
    this.#peer = peer;
    this.#peerEnded ||= peerEnded;
    if (peer === 'detached') this.#leave();
  }

  #open(memory: SharedMemory, place: { swapped: boolean; control: boolean }): void {
    const { produceSize, consumeSize } = this;
    const owners = { produceSize: consumeSize, consumeSize: produceSize };
    this.#queues = openQueuePair(place.swapped ? swapped(memory, owners) : memory, this);
    if (!place.control) return;
    const word = (index: number) => {
      const size = Int32Array.BYTES_PER_ELEMENT;
      const { buffer, byteOffset } = memory.view(queuePairBytes(this) + index * size, size);
      return new Int32Array(buffer, byteOffset, 1);
    };
    const [owner, other] = [word(OWNER), word(OTHER)];
    this.#asleep = place.swapped ? { own: other, other: owner } : { own: owner, other };
  }
}
