/** What the commands about guest properties read and show: flags, times. */
import { UsageError } from '../../cli/errors.js';
import { formatAge, parseWords } from '../../cli/parse.js';
import { didYouMean } from '../../cli/suggest.js';
import { GUEST_PROP_F } from '../../core/abi/guest-prop.js';
import type { GuestProperty } from '../../core/backend/port/guest.js';

const NONE = '-';
const NS_PER_MS = 1_000_000n;

/** `TRANSIENT`, ... */
export const PROPERTY_FLAGS: readonly string[] = Object.keys(GUEST_PROP_F)
  .map((name) => name.replace('GUEST_PROP_F_', ''))
  .filter((name) => name !== 'NILFLAG' && name !== 'ALLFLAGS');

/** Flags separated by commas, in any case, as the service wants them. @throws UsageError */
export function propertyFlags(text: string): string {
  return parseWords(text).map(propertyFlag).join(', ');
}

function propertyFlag(text: string): string {
  const name = text.toUpperCase();
  if (PROPERTY_FLAGS.includes(name)) return name;
  const list = `the flags are ${PROPERTY_FLAGS.join(', ')}`;
  throw new UsageError(`there is no flag '${text}'`, didYouMean(name, PROPERTY_FLAGS, list));
}

/** Nanoseconds since 1970 as ISO 8601 with milliseconds; a dash for what is no time. */
export function timeText(timestamp: string): string {
  const ms = milliseconds(timestamp);
  return ms === undefined ? NONE : new Date(ms).toISOString();
}

/** How long ago that was, `5m ago`; a dash for what is no time. */
export function ageText(timestamp: string, now: number): string {
  const ms = milliseconds(timestamp);
  return ms === undefined ? NONE : `${formatAge(now - ms)} ago`;
}

/** With as many digits as nanoseconds of a year that Date knows. */
function milliseconds(timestamp: string): number | undefined {
  return /^\d{1,19}$/.test(timestamp) ? Number(BigInt(timestamp) / NS_PER_MS) : undefined;
}

export function flagsText({ flags }: Pick<GuestProperty, 'flags'>): string {
  return flags.length === 0 ? NONE : flags.join(',');
}
