/** Which pages are taken, as runs of neighbours: a balloon of a terabyte is one run, whatever it holds. */

interface Run {
  start: number;
  /** The page after the last. */
  end: number;
}

export class PageRuns {
  /** In order; neighbours are one run. */
  readonly #runs: Run[] = [];
  #size = 0;

  /** Pages taken. */
  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    const run = this.#runs[this.#after(page) - 1];
    return run !== undefined && page < run.end;
  }

  /** Takes pages that are free. @throws RangeError when one is not. */
  take(start: number, count = 1): void {
    const end = start + count;
    const at = this.#after(start);
    const left = this.#runs[at - 1];
    const right = this.#runs[at];
    if ((left !== undefined && left.end > start) || (right !== undefined && right.start < end)) {
      throw new RangeError(`page ${start} is taken already`);
    }
    const joinsLeft = left !== undefined && left.end === start;
    const joinsRight = right !== undefined && right.start === end;
    if (joinsLeft && joinsRight) {
      left.end = right.end;
      this.#runs.splice(at, 1);
    } else if (joinsLeft) left.end = end;
    else if (joinsRight) right.start = start;
    else this.#runs.splice(at, 0, { start, end });
    this.#size += count;
  }

  /** Gives pages back. @throws RangeError when one is not taken. */
  release(start: number, count = 1): void {
    const end = start + count;
    const at = this.#after(start) - 1;
    const run = this.#runs[at];
    if (run === undefined || run.end < end) throw new RangeError(`page ${start} is not taken`);
    const rest: Run[] = [];
    if (run.start < start) rest.push({ start: run.start, end: start });
    if (end < run.end) rest.push({ start: end, end: run.end });
    this.#runs.splice(at, 1, ...rest);
    this.#size -= count;
  }

  /** The first of the lowest `count` free neighbours in a range. */
  lowest(count: number, from: number, to: number): number | undefined {
    let page = from;
    for (const run of this.#runs) {
      if (run.end <= page) continue;
      if (run.start - page >= count) break;
      page = run.end;
    }
    return page + count <= to ? page : undefined;
  }

  /** The highest free page in a range. */
  highest(from: number, to: number): number | undefined {
    const run = this.#runs[this.#after(to - 1) - 1];
    const page = run === undefined || run.end < to ? to - 1 : run.start - 1;
    return page >= from ? page : undefined;
  }

  /** Index of the first run that begins above a page. */
  #after(page: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const run = this.#runs[middle];
      if (run !== undefined && run.start <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
