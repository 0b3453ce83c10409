/**
 * Texts of guest properties as bytes: UTF-8 that ends with a NUL. Each reader gives the value, or the status that the
 * call fails with. Follows GuestPropValidateName, -Value and -Flags of GuestPropertySvc.h, and HGCMSvcGetCStr.
 */
import { GUEST_PROP_MAX_PATTERN_LEN } from '../../../abi/guest-prop.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { parseFlags } from './property-flags.js';
import type { PropertyProfile } from './property-profile.js';

/** A negative status of VirtualBox. */
export class Refusal {
  readonly status: number;

  constructor(status: number) {
    this.status = status;
  }
}

const INVALID = new Refusal(VBOX_STATUS.VERR_INVALID_PARAMETER);
const TOO_MUCH = new Refusal(VBOX_STATUS.VERR_TOO_MUCH_DATA);
const PARSE_ERROR = new Refusal(VBOX_STATUS.VERR_PARSE_ERROR);

/** Bytes of flags as text that are read at all; all flags in all spellings need less. */
const FLAGS_BYTES = 1024;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** VERR_INVALID_PARAMETER for an empty name or one that is too long, and for `*`, `?` and `|`, also behind the NUL. */
export function readName(data: Uint8Array, { nameBytes }: PropertyProfile): string | Refusal {
  if (data.length > nameBytes) return INVALID;
  if (data.some((byte) => byte === 0x2a || byte === 0x3f || byte === 0x7c)) return INVALID;
  const name = readText(data);
  return name === '' ? INVALID : name;
}

/** VERR_TOO_MUCH_DATA for one that is too long. */
export function readValue(data: Uint8Array, { valueBytes }: PropertyProfile): string | Refusal {
  return data.length > valueBytes ? TOO_MUCH : readText(data);
}

/** VERR_PARSE_ERROR for what is no flag. */
export function readFlags(data: Uint8Array): number | Refusal {
  if (data.length > FLAGS_BYTES) return PARSE_ERROR;
  const text = readText(data);
  return text instanceof Refusal ? text : (parseFlags(text) ?? PARSE_ERROR);
}

/** One text: patterns up to the first NUL. VERR_TOO_MUCH_DATA for more than 1024 bytes. */
export function readPatterns(data: Uint8Array): string | Refusal {
  return data.length > GUEST_PROP_MAX_PATTERN_LEN ? TOO_MUCH : readText(data);
}

/** Texts one after the other, each with its NUL; without the last NUL. */
export function readPatternList(data: Uint8Array): Uint8Array | Refusal {
  if (data.length > GUEST_PROP_MAX_PATTERN_LEN) return TOO_MUCH;
  if (data.at(-1) !== 0) return INVALID;
  return decode(data) === undefined ? INVALID : data.subarray(0, -1);
}

/** Texts one after the other, each with a NUL behind it. */
export function textBytes(...texts: readonly string[]): Uint8Array {
  return encoder.encode(texts.map((text) => `${text}\0`).join(''));
}

/** Up to the first NUL; VERR_INVALID_PARAMETER where there is none, and for what is no UTF-8. */
function readText(data: Uint8Array): string | Refusal {
  const end = data.indexOf(0);
  return (end < 0 ? undefined : decode(data.subarray(0, end))) ?? INVALID;
}

function decode(data: Uint8Array): string | undefined {
  try {
    return decoder.decode(data);
  } catch {
    return undefined;
  }
}
