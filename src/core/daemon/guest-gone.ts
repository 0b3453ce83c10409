/** What a client used in a simulated guest when a real kernel took that guest's place: why it works no more. */
import { SystemError } from '../abi/errno.js';
import type { RealGuest } from '../simulator/real-guest.js';
import { machineName } from './parameters.js';
import type { Call } from './session.js';

/** The kernel that may take the place of the guest that a call is about; undefined for the host. @throws SystemError ENOENT */
export function realGuestOf({ session, parameters }: Call): RealGuest | undefined {
  const of = machineName(parameters);
  if (of === 'host') return undefined;
  return session.shared.keeper.world.domain(of.vm, session.caller).real;
}

/** The kernel's coming, with the error as its cause, where that is why something failed; else the error. */
export function explained(error: unknown, real: RealGuest | undefined): unknown {
  const refusal = real?.refusal;
  if (refusal === undefined || !(error instanceof SystemError)) return error;
  const { code, message, hint } = refusal;
  return new SystemError(code, { message, hint, cause: error });
}
