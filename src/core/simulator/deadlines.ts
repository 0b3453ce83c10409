/** The one queue of things that are due at a time. Whoever owns the world asks for the next, and lets what is due happen. */

export interface Deadline {
  readonly atMs: number;
  cancel(): void;
}

interface Entry extends Deadline {
  run: (() => void) | undefined;
  readonly order: number;
}

/** A binary heap by time, then by the order of scheduling. Cancelled entries leave when they come up. */
export class Deadlines {
  readonly #heap: Entry[] = [];
  #order = 0;
  #live = 0;

  /** How many are scheduled and not cancelled. */
  get size(): number {
    return this.#live;
  }

  schedule(atMs: number, run: () => void): Deadline {
    const entry: Entry = {
      atMs,
      run,
      order: this.#order++,
      cancel: () => {
        if (entry.run === undefined) return;
        entry.run = undefined;
        this.#live--;
      },
    };
    this.#live++;
    this.#heap.push(entry);
    this.#siftUp(this.#heap.length - 1);
    return entry;
  }

  /** When the next one is due, or undefined when none is. */
  next(): number | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (top.run !== undefined) return top.atMs;
      this.#pop();
    }
    return undefined;
  }

  /** Runs all that are due at `nowMs`, in order, also those that become due meanwhile. @returns whether any was. */
  expire(nowMs: number): boolean {
    let any = false;
    for (let at = this.next(); at !== undefined && at <= nowMs; at = this.next()) {
      const entry = this.#pop();
      const run = entry?.run;
      if (entry === undefined || run === undefined) continue;
      entry.run = undefined;
      this.#live--;
      any = true;
      run();
    }
    return any;
  }

  #pop(): Entry | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (last !== undefined && last !== top) {
      this.#heap[0] = last;
      this.#siftDown(0);
    }
    return top;
  }

  #before(a: number, b: number): boolean {
    const left = this.#heap[a];
    const right = this.#heap[b];
    if (left === undefined || right === undefined) return false;
    return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
  }

  #swap(a: number, b: number): void {
    const left = this.#heap[a];
    const right = this.#heap[b];
    if (left === undefined || right === undefined) return;
    this.#heap[a] = right;
    this.#heap[b] = left;
  }

  #siftUp(start: number): void {
    for (let at = start; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #siftDown(start: number): void {
    for (let at = start; ; ) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (this.#before(left, least)) least = left;
      if (this.#before(right, least)) least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }
}
