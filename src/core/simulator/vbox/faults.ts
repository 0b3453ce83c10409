/** What a simulated guest or its devices do wrong when told to: which faults there are, and which are on. */
import { SystemError } from '../../abi/errno.js';
import type { Clock } from '../clock.js';
import type { Deadline, Deadlines } from '../deadlines.js';

/** What is given with a fault: nothing, milliseconds, or a share from 0 to 1. */
export type FaultValue = 'none' | 'ms' | 'share';

export interface FaultKind {
  readonly kind: string;
  readonly value: FaultValue;
  /** One line for people. */
  readonly summary: string;
  /** It happens, and is over. */
  readonly once?: boolean;
}

export const FAULTS: readonly FaultKind[] = [
  { kind: 'heartbeat-stop', value: 'none', summary: "the guest's heartbeat stops" },
  { kind: 'balloon-refuse', value: 'none', summary: 'the guest has no memory for its balloon' },
  { kind: 'balloon-lag', value: 'ms', summary: 'each MiB of the balloon takes so long' },
  { kind: 'agent-stop', value: 'none', summary: "the guest's agent is stopped" },
  { kind: 'agent-refuse', value: 'none', summary: 'the agent ignores the balloon and statistics' },
  { kind: 'agent-lag', value: 'ms', summary: 'all that the agent does comes so much later' },
  { kind: 'vsock-stall', value: 'none', summary: 'no packets of vsock leave or reach the guest' },
  {
    kind: 'vsock-reset',
    value: 'none',
    summary: 'the guest loses its connections, once',
    once: true,
  },
  { kind: 'drop-packets', value: 'share', summary: 'so many packets of vsock are lost' },
];

/** A day, in milliseconds: whoever waits longer wants the guest stopped. */
const MAX_VALUE_MS = 24 * 60 * 60 * 1000;

interface Active {
  readonly value: number;
  readonly end: Deadline | undefined;
}

export interface FaultSetOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** A fault begins, or gets another value, or ends; of one without a value it is 0, and undefined when it ends. */
  readonly apply: (kind: string, value: number | undefined) => void;
  /** Throws what is wrong with giving a fault to this VM; absent where all can be given. */
  readonly check?: (kind: string) => void;
}

/** The faults of one VM. */
export class FaultSet {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #apply: (kind: string, value: number | undefined) => void;
  readonly #check: ((kind: string) => void) | undefined;
  readonly #active = new Map<string, Active>();

  constructor({ clock, deadlines, apply, check }: FaultSetOptions) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#apply = apply;
    this.#check = check;
  }

  /** Kinds of those that are on, in the order of FAULTS. */
  active(): string[] {
    return FAULTS.map(({ kind }) => kind).filter((kind) => this.#active.has(kind));
  }

  /**
   * Begins a fault, or takes the place of the one that is on. @param forMs milliseconds until it ends by itself.
   * @throws SystemError EINVAL for an unknown kind, a value that its kind does not take or lacks, no time at all; EOPNOTSUPP
   *   for what this VM can't be given.
   */
  set(kind: string, value?: number, forMs?: number): void {
    const checked = checkValue(faultKind(kind), value);
    if (forMs !== undefined && !(Number.isFinite(forMs) && forMs > 0)) {
      throw invalid(`${forMs} ms is no time for a fault`);
    }
    this.#check?.(kind);
    if (faultKind(kind).once) return this.#apply(kind, checked);
    this.#active.get(kind)?.end?.cancel();
    const end = forMs === undefined ? undefined : this.#endAfter(kind, forMs);
    this.#active.set(kind, { value: checked, end });
    this.#apply(kind, checked);
  }

  /** Ends a fault, or all; one that is not on is no error. @throws SystemError EINVAL for an unknown kind. */
  clear(kind?: string): void {
    const kinds = kind === undefined ? this.active() : [faultKind(kind).kind];
    for (const one of kinds) this.#end(one);
  }

  /** What they act on is new: those that are on begin again. */
  renew(): void {
    for (const [kind, { value }] of this.#active) this.#apply(kind, value);
  }

  #endAfter(kind: string, ms: number): Deadline {
    return this.#deadlines.schedule(this.#clock.monotonicMs() + ms, () => this.#end(kind));
  }

  #end(kind: string): void {
    const active = this.#active.get(kind);
    if (active === undefined) return;
    active.end?.cancel();
    this.#active.delete(kind);
    this.#apply(kind, undefined);
  }
}

function faultKind(kind: string): FaultKind {
  const found = FAULTS.find((fault) => fault.kind === kind);
  if (found === undefined) throw invalid(`there is no fault ${kind}`);
  return found;
}

/** The value, 0 for a kind that has none. */
function checkValue({ kind, value: wanted }: FaultKind, value: number | undefined): number {
  if (wanted === 'none') {
    if (value !== undefined) throw invalid(`${kind} takes no value`);
    return 0;
  }
  if (value === undefined) throw invalid(`${kind} needs a value`);
  const [most, unit] = wanted === 'ms' ? [MAX_VALUE_MS, ' ms'] : [1, ''];
  const whole = wanted === 'share' || Number.isInteger(value);
  if (whole && value >= 0 && value <= most) return value;
  throw invalid(`the value of ${kind} is from 0 to ${most}${unit}`);
}

function invalid(message: string): SystemError {
  return new SystemError('EINVAL', { message });
}
