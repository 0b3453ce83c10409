/** Pages of a guest that its device may use: how a page's number in a hypercall becomes memory. */
import { JoinedMemory, PartOfMemory } from '../../abi/vmci-memory.js';
import { type QueueMemory, VMCI_PAGE_SIZE } from '../../abi/vmci-queue.js';

/** Bytes of a page's number in a hypercall, with VMCI_CAPS_PPN64. */
export const PPN_SIZE = 8;

interface Lent {
  readonly first: number;
  readonly count: number;
  readonly memory: QueueMemory;
}

/** The first number that is given; a page 0 is more likely a mistake. */
const FIRST_PAGE = 1;

export class GuestPages {
  /** In the order of their numbers. */
  #lent: Lent[] = [];

  /** Numbers of the pages of a memory, one after the other from the one returned, until it is given back. */
  lend(memory: QueueMemory): number {
    const count = memory.length / VMCI_PAGE_SIZE;
    let first = FIRST_PAGE;
    let place = 0;
    for (const lent of this.#lent) {
      if (first + count <= lent.first) break;
      first = lent.first + lent.count;
      place++;
    }
    this.#lent.splice(place, 0, { first, count, memory });
    return first;
  }

  /** A number that `lend` gave. */
  giveBack(first: number): void {
    this.#lent = this.#lent.filter((lent) => lent.first !== first);
  }

  /** The memory of some pages in that order; undefined when there are none, or one of them is not lent. */
  resolve(pages: readonly number[]): QueueMemory | undefined {
    const pieces: QueueMemory[] = [];
    for (let at = 0; at < pages.length; ) {
      const run = this.#run(pages[at] ?? 0, runLength(pages, at));
      if (run === undefined) return undefined;
      pieces.push(run.memory);
      at += run.count;
    }
    return joined(pieces);
  }

  /** As many of some successive pages as stand in one memory. */
  #run(first: number, count: number): { memory: QueueMemory; count: number } | undefined {
    const lent = this.#lent.find((each) => each.first <= first && first < each.first + each.count);
    if (lent === undefined) return undefined;
    const usable = Math.min(count, lent.first + lent.count - first);
    if (usable === lent.count) return { memory: lent.memory, count: usable };
    const start = (first - lent.first) * VMCI_PAGE_SIZE;
    const memory = new PartOfMemory(lent.memory, start, usable * VMCI_PAGE_SIZE);
    return { memory, count: usable };
  }
}

/** In halves, so that many pieces are no deep chain. */
function joined(pieces: readonly QueueMemory[]): QueueMemory | undefined {
  if (pieces.length < 2) return pieces[0];
  const middle = pieces.length >>> 1;
  const [first, second] = [joined(pieces.slice(0, middle)), joined(pieces.slice(middle))];
  return first && second && new JoinedMemory(first, second);
}

/** How many pages from there on have successive numbers. */
function runLength(pages: readonly number[], from: number): number {
  const first = pages[from] ?? 0;
  let count = 1;
  while (pages[from + count] === first + count) count++;
  return count;
}
