/** Calls of guests that wait for a change of a property. */
import { GUEST_PROP_MAX_GUEST_CONCURRENT_WAITS } from '../../../abi/guest-prop.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { HgcmCall } from '../hgcm-service.js';
import { Patterns } from './patterns.js';

export interface Wait {
  readonly call: HgcmCall;
  readonly patterns: Patterns;
  readonly text: string;
  /** The status of success, which may be a warning. */
  readonly status: number;
}

/** Of all clients. VirtualBox has no such bound, so a guest with many clients could make each change slow. */
const MAX_WAITS = 256;

export class Waits {
  /** Oldest first. */
  #waits: Wait[] = [];

  get size(): number {
    return this.#waits.length;
  }

  /**
   * Adds one, and gives undefined; one of the same client with the same patterns ends, as the client is taken to have
   * given it up. VERR_OUT_OF_RESOURCES for more than 16 of one client.
   */
  add(call: HgcmCall, text: string, status: number): number | undefined {
    this.#end(({ call: { client }, text: other }) => client === call.client && other === text);
    const own = this.#waits.filter(({ call: { client } }) => client === call.client).length;
    if (own >= GUEST_PROP_MAX_GUEST_CONCURRENT_WAITS || this.size >= MAX_WAITS) {
      return VBOX_STATUS.VERR_OUT_OF_RESOURCES;
    }
    this.#waits.push({ call, patterns: new Patterns(text), text, status });
    return undefined;
  }

  /** Removes those that a change of a property ends. */
  take(name: string, oldestDecides: boolean): Wait[] {
    const oldest = this.#waits[0];
    return this.#take(({ patterns }) =>
      (oldestDecides && oldest !== undefined ? oldest.patterns : patterns).matches(name),
    );
  }

  /** Forgets one whose guest no longer waits. */
  cancelled(call: HgcmCall): void {
    this.#take((wait) => wait.call === call);
  }

  /** Ends those of a client. */
  disconnect(client: number): void {
    this.#end(({ call }) => call.client === client);
  }

  /** Ends all. */
  clear(): void {
    this.#end(() => true);
  }

  #end(ends: (wait: Wait) => boolean): void {
    for (const { call } of this.#take(ends)) call.complete(VBOX_STATUS.VERR_INTERRUPTED);
  }

  #take(taken: (wait: Wait) => boolean): Wait[] {
    const [out, left]: [Wait[], Wait[]] = [[], []];
    for (const wait of this.#waits) (taken(wait) ? out : left).push(wait);
    this.#waits = left;
    return out;
  }
}
