/** What a client used in a simulated guest that is there no more: why it works no longer. */
import { SystemError } from '../abi/errno.js';
import type { Domain } from '../simulator/domain.js';
import type { RealGuest } from '../simulator/real-guest.js';
import type { World } from '../simulator/world.js';
import { machineName } from './parameters.js';
import type { Call } from './session.js';

/** A simulated guest from one boot to its end. */
export class GuestLife {
  readonly #world: Pick<World, 'peek'>;
  readonly #domain: Domain;
  readonly #life: number;

  constructor(world: Pick<World, 'peek'>, domain: Domain) {
    this.#world = world;
    this.#domain = domain;
    this.#life = domain.power.life;
  }

  /** Why it is over: EOPNOTSUPP where a real kernel took its place, else ENODEV; undefined while it lasts. */
  get end(): SystemError | undefined {
    const { vm, real, power } = this.#domain;
    if (this.#world.peek(vm.name) !== this.#domain) return gone(`the guest '${vm.name}' is gone`);
    if (power.life === this.#life) return undefined;
    return real.refusal ?? power.refusal ?? gone(`the guest '${vm.name}' has booted anew`);
  }
}

function gone(message: string): SystemError {
  return new SystemError('ENODEV', { message });
}

/** The guest that a call is about; undefined for the host. @throws SystemError ENOENT */
export function guestOf(call: Call): GuestLife | undefined {
  const domain = domainOf(call);
  return domain && new GuestLife(call.session.shared.keeper.world, domain);
}

/** The kernel that may take the place of the guest that a call is about; undefined for the host. @throws SystemError ENOENT */
export function realGuestOf(call: Call): RealGuest | undefined {
  return domainOf(call)?.real;
}

function domainOf({ session, parameters }: Call): Domain | undefined {
  const of = machineName(parameters);
  return of === 'host' ? undefined : session.shared.keeper.world.domain(of.vm, session.caller);
}

/** The guest's end, with the error as its cause, where that is why something failed; else the error. */
export function explained(error: unknown, end: SystemError | undefined): unknown {
  if (end === undefined || !(error instanceof SystemError)) return error;
  const { code, message, hint } = end;
  const cause = error.code === code ? undefined : error;
  return new SystemError(code, { message, hint, cause });
}
