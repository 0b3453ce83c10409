/**
 * Patterns of property names, as RTStrSimplePatternMultiMatch of VirtualBox matches them: `*` is any run of bytes, `?`
 * one byte, and `|` stands between patterns. Case matters.
 */

const STAR = 0x2a;
const QUESTION = 0x3f;
const BAR = 0x7c;

const encoder = new TextEncoder();

/** Some patterns; a name matches when one of them does. No pattern at all matches everything. */
export class Patterns {
  readonly #patterns: readonly Uint8Array[] | undefined;

  /** @param text bytes without a NUL at the end; those within stand between patterns as `|` does. */
  constructor(text: Uint8Array | string) {
    const data = typeof text === 'string' ? encoder.encode(text) : text;
    if (data.length > 0) this.#patterns = split(data).map(collapse);
  }

  matches(name: string): boolean {
    if (this.#patterns === undefined) return true;
    const data = encoder.encode(name);
    return this.#patterns.some((pattern) => matches(pattern, data));
  }
}

function split(data: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let begin = 0;
  for (let at = 0; at <= data.length; at++) {
    if (at < data.length && data[at] !== BAR && data[at] !== 0) continue;
    parts.push(data.subarray(begin, at));
    begin = at + 1;
  }
  return parts;
}

/** VirtualBox skips each `*` and `?` that follows a `*`, so that `*?` matches nothing at all too. */
function collapse(pattern: Uint8Array): Uint8Array {
  let afterStar = false;
  return pattern.filter((byte) => {
    const skipped = afterStar && (byte === STAR || byte === QUESTION);
    if (!skipped) afterStar = byte === STAR;
    return !skipped;
  });
}

/** Takes back only the last `*`, so that a pattern with many of them costs no more than its length for each byte. */
function matches(pattern: Uint8Array, name: Uint8Array): boolean {
  let afterStar = -1;
  let retry = 0;
  let p = 0;
  for (let n = 0; n < name.length; ) {
    const wanted = pattern[p];
    if (wanted === STAR) {
      p++;
      afterStar = p;
      retry = n;
    } else if (wanted === QUESTION || wanted === name[n]) {
      p++;
      n++;
    } else if (afterStar >= 0) {
      p = afterStar;
      retry++;
      n = retry;
    } else return false;
  }
  if (pattern[p] === STAR) p++;
  return p === pattern.length;
}
