/** Bytes for people: sixteen a line, with their offset. */

const PER_LINE = 16;
const HALF = PER_LINE / 2;

/** Ends with a newline, unless there are no bytes. */
export function hexdump(bytes: Uint8Array, indent = ''): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += PER_LINE) {
    const row = [...bytes.subarray(at, at + PER_LINE)].map(hex);
    const halves = [row.slice(0, HALF), row.slice(HALF)].filter((half) => half.length > 0);
    const offset = at.toString(16).padStart(4, '0');
    lines.push(`${indent}${offset}  ${halves.map((half) => half.join(' ')).join('  ')}\n`);
  }
  return lines.join('');
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
