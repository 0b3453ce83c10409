/** How many sessions want each bit of a mask. Follows vbg_track_bit_usage() in vboxguest_core.c. */

const BITS = 32;

export class BitUsage {
  readonly #counts = new Uint32Array(BITS);

  /** The bits that at least one session wants. */
  get mask(): number {
    let mask = 0;
    this.#counts.forEach((count, bit) => {
      if (count > 0) mask |= 1 << bit;
    });
    return mask >>> 0;
  }

  /** A session's mask goes from one value to another. */
  change(previous: number, next: number): void {
    for (let bit = 0; bit < BITS; bit++) {
      const before = (previous >>> bit) & 1;
      const after = (next >>> bit) & 1;
      this.#counts[bit] = (this.#counts[bit] ?? 0) + after - before;
    }
  }
}
