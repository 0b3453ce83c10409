/** The states of a pair between host and guest. Source: Linux drivers/misc/vmw_vmci/vmci_queue_pair.c. */
import {
  type QueueMemory,
  type QueueSizes,
  queueBytes,
  queuePairBytes,
  vmci_queue_header,
} from '../../abi/vmci-queue.js';
import {
  VMCIQPB_ATTACHED_MEM,
  VMCIQPB_ATTACHED_NO_MEM,
  VMCIQPB_CREATED_MEM,
  VMCIQPB_CREATED_NO_MEM,
  VMCIQPB_GONE,
  VMCIQPB_SHUTDOWN_MEM,
  VMCIQPB_SHUTDOWN_NO_MEM,
} from '../../abi/vmci-queue-pair.js';

/** Where a state leads. */
export interface PairState {
  readonly hasMemory: boolean;
  /** When the guest unmaps its pages, and when it maps them. */
  readonly unmapped: number;
  readonly mapped: number;
  /** When that end detaches. */
  readonly guestLeft: number;
  readonly hostLeft: number;
}

const state = (
  hasMemory: boolean,
  unmapped: number,
  mapped: number,
  guestLeft: number,
  hostLeft: number,
): PairState => ({ hasMemory, unmapped, mapped, guestLeft, hostLeft });

const [C, CM] = [VMCIQPB_CREATED_NO_MEM, VMCIQPB_CREATED_MEM];
const [A, AM] = [VMCIQPB_ATTACHED_NO_MEM, VMCIQPB_ATTACHED_MEM];
const [S, SM] = [VMCIQPB_SHUTDOWN_NO_MEM, VMCIQPB_SHUTDOWN_MEM];
const GONE = VMCIQPB_GONE;

export const STATES: Readonly<Record<number, PairState>> = {
  [C]: state(false, C, CM, GONE, GONE),
  [CM]: state(true, C, CM, GONE, GONE),
  [A]: state(false, A, AM, S, S),
  [AM]: state(true, A, AM, S, SM),
  [S]: state(false, S, SM, GONE, GONE),
  [SM]: state(true, S, SM, GONE, GONE),
};

/** Copies of both headers at their places, without the queues' bytes: only indexes can be asked for. */
export class SavedHeaders implements QueueMemory {
  readonly length: number;
  readonly #consumeHeader: number;
  readonly #headers: readonly [Uint8Array, Uint8Array];

  constructor(memory: QueueMemory, sizes: QueueSizes) {
    this.length = queuePairBytes(sizes);
    this.#consumeHeader = queueBytes(sizes.produceSize);
    const copy = (at: number) => memory.view(at, vmci_queue_header.size).slice();
    this.#headers = [copy(0), copy(this.#consumeHeader)];
  }

  view(offset: number, length: number): Uint8Array {
    const [first, second] = this.#headers;
    const [header, at] =
      offset < this.#consumeHeader ? [first, offset] : [second, offset - this.#consumeHeader];
    if (at >= 0 && at + length <= header.length) return header.subarray(at, at + length);
    throw new RangeError(`no ${length} bytes at ${offset}: only the headers were saved`);
  }
}
