/**
 * What kernels put off when a datagram or an event of VMCI comes: nothing is done while its sender is still in its call.
 * Work is kept in order for each guest or other context, and these take turns.
 */
export type Work = () => void;

/** Work of one context that may wait; the datagrams behind more than that are refused. */
const MAX_WORK = 4096;

export class VmciWork {
  readonly #lanes = new Map<number, Work[]>();
  readonly #held = new Set<number>();

  /** Whether something could be done. */
  get busy(): boolean {
    for (const cid of this.#lanes.keys()) if (!this.#held.has(cid)) return true;
    return false;
  }

  /** Whether a context has as much to do as it may have. */
  full(cid: number): boolean {
    return (this.#lanes.get(cid)?.length ?? 0) >= MAX_WORK;
  }

  /** @param cid the guest, or other context, that the work is about; the host's side and its own are one. */
  add(cid: number, work: Work): void {
    const lane = this.#lanes.get(cid);
    if (lane === undefined) this.#lanes.set(cid, [work]);
    else lane.push(work);
  }

  /** Does up to `budget` pieces, one of each context in turn. @returns how many. */
  run(budget: number): number {
    let done = 0;
    for (let idle = false; !idle && done < budget; ) {
      idle = true;
      for (const [cid, lane] of this.#lanes) {
        if (done >= budget) break;
        if (this.#held.has(cid)) continue;
        const work = lane.shift();
        if (lane.length === 0) this.#lanes.delete(cid);
        if (work === undefined) continue;
        idle = false;
        done++;
        work();
      }
    }
    return done;
  }

  /** Stops or resumes what is about a context. */
  hold(cid: number, held: boolean): void {
    if (held) this.#held.add(cid);
    else this.#held.delete(cid);
  }

  isHeld(cid: number): boolean {
    return this.#held.has(cid);
  }

  /** Forgets all that is about a context. */
  forget(cid: number): void {
    this.#lanes.delete(cid);
    this.#held.delete(cid);
  }
}
