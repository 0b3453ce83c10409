/** Time as the simulated host knows it. The models never ask the machine's own clock. */

export interface Clock {
  /** Milliseconds that never go back; only differences mean anything. */
  monotonicMs(): number;
  /** Wall-clock time in milliseconds since 1970-01-01 UTC. */
  wallMs(): number;
}

/** A clock that moves when it is told to. */
export class VirtualClock implements Clock {
  #now = 0;
  readonly #epochMs: number;

  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs;
  }

  monotonicMs(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#epochMs + this.#now;
  }

  /** @throws RangeError when `ms` is negative. */
  advance(ms: number): void {
    if (ms < 0) throw new RangeError('time does not go back');
    this.#now += ms;
  }
}
