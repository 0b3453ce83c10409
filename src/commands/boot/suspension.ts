/** What it means for a guest that its VM is suspended. */
import { CodeError } from '../../cli/errors.js';
import type { VmDetails } from '../../core/backend/port/vm.js';

/** Why nothing is booted in a VM that is. */
export function suspendedBefore({ name, reason }: VmDetails): CodeError {
  const hint = reason === 'paused' ? `'vmmctl resume ${name}' lets it run` : beginAnew(name);
  return new CodeError('EBUSY', `${name} is suspended: ${reason}`, hint);
}

/** Why a guest was ended. @param reason as `list` shows it. */
export function suspendedMeanwhile(name: string, reason: string): CodeError {
  const hint = reason === 'reset' ? undefined : beginAnew(name);
  return new CodeError('ECANCELED', `${name} was suspended: ${reason}`, hint);
}

function beginAnew(name: string): string {
  return `'vmmctl reset ${name}' lets it begin anew`;
}
