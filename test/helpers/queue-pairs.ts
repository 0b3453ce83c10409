/** The broker of queue pairs with contexts of its own, as tests need it. */
import { VMCI_INVALID_ID, VMCI_VERSION_NOVMVM } from '../../src/core/abi/vmci.js';
import { BufferMemory } from '../../src/core/abi/vmci-memory.js';
import { ROOT } from '../../src/core/simulator/node.js';
import type { Context, Handle } from '../../src/core/simulator/vmci/parts.js';
import { QueuePairs } from '../../src/core/simulator/vmci/queue-pairs.js';
import type {
  BrokerRequest,
  HandleSpace,
  PageStore,
  PairEntry,
} from '../../src/core/simulator/vmci/queue-pairs-entry.js';

/** As far as the broker knows them, with a version or privileges of their own. */
export function makeContext(cid: number, change: Partial<Context> = {}): Context {
  return {
    cid,
    privileges: 0,
    version: VMCI_VERSION_NOVMVM,
    owner: ROOT,
    queuePairs: new Set(),
    ...change,
  };
}

/** Memory that can be pinned; `taken` is what was pinned last. */
export class TestStore implements PageStore {
  readonly pages: number;
  taken: BufferMemory | undefined;
  readonly #pinnable: boolean;

  constructor(pages = 16, pinnable = true) {
    this.pages = pages;
    this.#pinnable = pinnable;
  }

  pin(bytes: number): BufferMemory | undefined {
    this.taken = this.#pinnable ? new BufferMemory(bytes) : undefined;
    return this.taken;
  }
}

/** Handles from `cid:1024` on, one space for all. */
export class TestHandles implements HandleSpace {
  readonly taken = new Set<string>();
  #next = 1024;

  add(handle: Handle): Handle | number {
    const chosen = handle.resource === VMCI_INVALID_ID;
    const made = chosen ? { context: handle.context, resource: this.#next++ } : handle;
    const key = `${made.context}:${made.resource}`;
    if (this.taken.has(key)) return -22;
    this.taken.add(key);
    return made;
  }

  remove({ context, resource }: Handle): void {
    this.taken.delete(`${context}:${resource}`);
  }
}

export interface TestEvent {
  to: number;
  event: number;
  handle: Handle;
  peer: number;
}

export class TestBroker {
  readonly events: TestEvent[] = [];
  readonly handles = new TestHandles();
  readonly pairs: QueuePairs;
  readonly host = makeContext(2);
  /** A program, or a VM: both count as guests. */
  readonly guest = makeContext(7);
  readonly #contexts: Context[];

  constructor(...others: Context[]) {
    this.#contexts = [this.host, this.guest, ...others];
    const contexts = {
      get: (cid: number) => this.#contexts.find((context) => context.cid === cid),
      queuePairEvent: (to: number, event: number, handle: Handle, peer: number) => {
        this.events.push({ to, event, handle: { ...handle }, peer });
      },
    };
    this.pairs = new QueuePairs(contexts, this.handles);
  }

  /** `alloc` with what most tests have: 8192 bytes one way and 4096 the other, as a guest names them. */
  alloc(context: Context, change: Partial<BrokerRequest> = {}): PairEntry | number {
    const host = context.cid === 2;
    return this.pairs.alloc(context, {
      handle: { context: 7, resource: 100 },
      peer: VMCI_INVALID_ID,
      flags: 0,
      privileges: 0,
      produceSize: host ? 4096 : 8192,
      consumeSize: host ? 8192 : 4096,
      store: host ? undefined : new TestStore(),
      ...change,
    });
  }

  /** Its result, as an ioctl has it. */
  result(context: Context, change: Partial<BrokerRequest> = {}): number {
    const entry = this.alloc(context, change);
    return typeof entry === 'number' ? entry : 0;
  }

  /** @throws Error when it fails. */
  made(context: Context, change: Partial<BrokerRequest> = {}): PairEntry {
    const entry = this.alloc(context, change);
    if (typeof entry === 'number') throw new Error(`the broker says ${entry}`);
    return entry;
  }
}
