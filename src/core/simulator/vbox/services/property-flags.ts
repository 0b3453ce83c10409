/** Flags of guest properties as text. Follows GuestPropValidateFlags and GuestPropWriteFlags of GuestPropertySvc.h. */
import { GUEST_PROP_F } from '../../../abi/guest-prop.js';

/** In the order in which they are written; READONLY before its two halves keeps the text short. */
const FLAGS: readonly (readonly [name: string, mask: number])[] = [
  ['TRANSIENT', GUEST_PROP_F.GUEST_PROP_F_TRANSIENT],
  ['READONLY', GUEST_PROP_F.GUEST_PROP_F_READONLY],
  ['RDONLYGUEST', GUEST_PROP_F.GUEST_PROP_F_RDONLYGUEST],
  ['RDONLYHOST', GUEST_PROP_F.GUEST_PROP_F_RDONLYHOST],
  ['TRANSRESET', GUEST_PROP_F.GUEST_PROP_F_TRANSRESET],
];
const MASKS = new Map(FLAGS);

/**
 * Reads names in any case, with commas between them and blanks around them; a comma may also be the last.
 * Undefined for a word that is no flag, and for a comma with nothing before it.
 */
export function parseFlags(text: string): number | undefined {
  const words = text.split(',').map((word) => word.replace(/^ +| +$/g, ''));
  if (words.at(-1) === '') words.pop();
  let flags = 0;
  for (const word of words) {
    // Only ASCII: upper case would make an S of U+017F.
    const mask = /^[a-z]+$/i.test(word) ? MASKS.get(word.toUpperCase()) : undefined;
    if (mask === undefined) return undefined;
    flags |= mask;
  }
  return withImplied(flags);
}

/** Names of flags, in the order of the text. */
export function flagNames(flags: number): string[] {
  const names: string[] = [];
  let left = flags;
  for (const [name, mask] of FLAGS) {
    if ((left & mask) !== mask) continue;
    names.push(name);
    left &= ~mask;
  }
  return names;
}

/** At most 34 bytes. */
export function flagsText(flags: number): string {
  return flagNames(flags).join(', ');
}

/** What is gone at a reset is gone with the VM too. */
function withImplied(flags: number): number {
  const { GUEST_PROP_F_TRANSRESET, GUEST_PROP_F_TRANSIENT } = GUEST_PROP_F;
  return (flags & GUEST_PROP_F_TRANSRESET) === 0 ? flags : flags | GUEST_PROP_F_TRANSIENT;
}
