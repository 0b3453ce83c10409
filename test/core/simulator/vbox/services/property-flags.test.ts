/** Flags of guest properties as text. */
import t from 'tap';
import { GUEST_PROP_F, GUEST_PROP_MAX_FLAGS_LEN } from '../../../../../src/core/abi/guest-prop.js';
import {
  flagNames,
  flagsText,
  parseFlags,
} from '../../../../../src/core/simulator/vbox/services/property-flags.js';

const PARSED: readonly (readonly [text: string, flags: number | undefined])[] = [
  ['', 0],
  ['  ', 0],
  ['TRANSIENT', 2],
  ['transient', 2],
  ['RdOnlyGuest', 4],
  ['RDONLYHOST', 8],
  ['READONLY', 12],
  ['RDONLYGUEST,RDONLYHOST', 12],
  ['TRANSRESET', 18],
  [' TRANSIENT , READONLY ', 14],
  ['TRANSIENT,', 2],
  ['TRANSIENT,TRANSIENT', 2],
  ['TRANSIENT READONLY', undefined],
  ['TRANSIENTX', undefined],
  ['SECRET', undefined],
  [',', undefined],
  [',TRANSIENT', undefined],
  ['TRANSIENT,,READONLY', undefined],
  ['TRAN\u017fIENT', undefined],
  ['constructor', undefined],
];

t.test(
  'flags are read in any case, with commas and blanks; anything else is an error',
  async (t) => {
    for (const [text, flags] of PARSED) t.equal(parseFlags(text), flags, `'${text}'`);
  },
);

const WRITTEN: readonly (readonly [flags: number, text: string])[] = [
  [0, ''],
  [2, 'TRANSIENT'],
  [4, 'RDONLYGUEST'],
  [8, 'RDONLYHOST'],
  [12, 'READONLY'],
  [6, 'TRANSIENT, RDONLYGUEST'],
  [14, 'TRANSIENT, READONLY'],
  [18, 'TRANSIENT, TRANSRESET'],
  [22, 'TRANSIENT, RDONLYGUEST, TRANSRESET'],
  [30, 'TRANSIENT, READONLY, TRANSRESET'],
];

t.test('flags are written in a fixed order, READONLY in place of its halves', async (t) => {
  for (const [flags, text] of WRITTEN) t.equal(flagsText(flags), text, String(flags));
  t.same(flagNames(14), ['TRANSIENT', 'READONLY']);
  t.same(flagNames(0), []);
});

t.test('what is written is read back as it was, and fits the limit', async (t) => {
  for (let flags = 0; flags <= GUEST_PROP_F.GUEST_PROP_F_ALLFLAGS; flags += 2) {
    const text = flagsText(flags);
    const implied = flags & GUEST_PROP_F.GUEST_PROP_F_TRANSRESET ? flags | 2 : flags;
    t.equal(parseFlags(text), implied, text);
    t.ok(text.length < GUEST_PROP_MAX_FLAGS_LEN);
  }
});
