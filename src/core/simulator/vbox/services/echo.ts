/**
 * VmmctlEcho: a service of the simulated host alone, to try HGCM with. No VirtualBox has it.
 */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';
import type { HgcmCall, HgcmParameter, HgcmService } from '../hgcm-service.js';

/** Numbers of its functions. */
export const ECHO_FN = {
  /** Of 2n parameters copies the first n to the others, which have to be of the same types. */
  ECHO: 1,
  /** Ends after some milliseconds (32 bits). */
  DELAY: 2,
  /** Ends with a status (32 bits, two's complement). */
  FAIL: 3,
  /** Ends only with its client. */
  HANG: 4,
} as const;

const { VINF_SUCCESS, VERR_INVALID_PARAMETER, VERR_INTERRUPTED, VERR_NOT_IMPLEMENTED } =
  VBOX_STATUS;

/** Gives the status of a call, or undefined when it ends later. */
type Handler = (service: EchoService, call: HgcmCall) => number | undefined;

const FUNCTIONS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [ECHO_FN.ECHO, (_service, { parameters }) => echo(parameters)],
  [ECHO_FN.DELAY, withNumber((ms, service, call) => service.delay(call, ms))],
  [ECHO_FN.FAIL, withNumber((status) => status | 0)],
  [ECHO_FN.HANG, (service, call) => service.hang(call)],
]);

export class EchoService implements HgcmService {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  /** Calls under way, with what ends those that end by themselves. How many there may be is the device's limit. */
  readonly #calls = new Map<HgcmCall, Deadline | undefined>();

  constructor({ clock, deadlines }: { clock: Clock; deadlines: Deadlines }) {
    this.#clock = clock;
    this.#deadlines = deadlines;
  }

  connect(): number {
    return VINF_SUCCESS;
  }

  disconnect(client: number): void {
    for (const call of [...this.#calls.keys()]) if (call.client === client) this.#end(call);
  }

  call(call: HgcmCall): void {
    const handler = FUNCTIONS.get(call.function);
    const status = handler === undefined ? VERR_NOT_IMPLEMENTED : handler(this, call);
    if (status !== undefined) call.complete(status);
  }

  cancelled(call: HgcmCall): void {
    this.#calls.get(call)?.cancel();
    this.#calls.delete(call);
  }

  reset(): void {
    for (const call of [...this.#calls.keys()]) this.#end(call);
  }

  delay(call: HgcmCall, ms: number): undefined {
    const deadline = this.#deadlines.schedule(this.#clock.monotonicMs() + ms, () => {
      this.#calls.delete(call);
      call.complete(VINF_SUCCESS);
    });
    this.#calls.set(call, deadline);
  }

  hang(call: HgcmCall): undefined {
    this.#calls.set(call, undefined);
  }

  #end(call: HgcmCall): void {
    this.cancelled(call);
    call.complete(VERR_INTERRUPTED);
  }
}

function withNumber(
  handler: (value: number, service: EchoService, call: HgcmCall) => number | undefined,
): Handler {
  return (service, call) => {
    const [first, ...more] = call.parameters;
    if (first?.type !== 'u32' || more.length > 0) return VERR_INVALID_PARAMETER;
    return handler(first.value, service, call);
  };
}

function echo(parameters: readonly HgcmParameter[]): number {
  const half = parameters.length / 2;
  const pairs = parameters
    .slice(0, half)
    .map((from, index) => [from, parameters[half + index]] as const);
  if (!Number.isInteger(half) || pairs.some(([from, to]) => from.type !== to?.type)) {
    return VERR_INVALID_PARAMETER;
  }
  for (const [from, to] of pairs) if (to !== undefined) copy(from, to);
  return VINF_SUCCESS;
}

/** As much of a buffer as there is room for. */
function copy(from: HgcmParameter, to: HgcmParameter): void {
  if (from.type === 'buffer' && to.type === 'buffer')
    to.data.set(from.data.subarray(0, to.data.length));
  else if (from.type === 'u32' && to.type === 'u32') to.value = from.value;
  else if (from.type === 'u64' && to.type === 'u64') to.value = from.value;
}
