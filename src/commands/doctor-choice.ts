/** Which checks a user wants to see, and whether what they say is enough. */
import type { Check } from './doctor-view.js';

/** Those that are named, by their name or their system; all without names. */
export function wantedChecks(checks: readonly Check[], names: readonly string[]): Check[] {
  if (names.length === 0) return [...checks];
  return checks.filter((check) => names.some((name) => isNamed(check, name)));
}

/** Whether all that is named is usable; without names, whether anything of the machine is. */
export function isUsable(checks: readonly Check[], names: readonly string[]): boolean {
  if (names.length > 0) return lacking(checks, names).length === 0;
  return checks.some(({ system, state }) => system !== 'vmmctl' && state === 'ok');
}

/** What isn't usable, and what was named and could not be asked. */
export function lacking(checks: readonly Check[], names: readonly string[]): string[] {
  const unasked = names.filter((name) => !checks.some((check) => isNamed(check, name)));
  const bad = checks.filter(({ state }) => state !== 'ok').map(({ name }) => name);
  return [...bad, ...unasked];
}

function isNamed({ name, system }: Check, text: string): boolean {
  return name === text || system === text;
}
