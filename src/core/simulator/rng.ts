/** Randomness from a seed: the same seed gives the same numbers on every machine. */

export interface Rng {
  /** A whole number from 0 up to, not including, `bound` (1 to 2^32). */
  below(bound: number): number;
}

/** A 32-bit state with a multiply-and-xor mixer: plenty for choosing faults and ports, not for secrets. */
export class SeededRng implements Rng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new RangeError(`no random number below ${bound}`);
    }
    return Math.floor((this.#next() / 2 ** 32) * bound);
  }

  /** True with a probability from 0 to 1. */
  chance(probability: number): boolean {
    return this.#next() / 2 ** 32 < probability;
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }
}
