/** What each byte of a direction has to be, so that a byte that is lost, doubled or out of place is seen. */
import { SeededRng } from '../../src/core/simulator/rng.js';

/** A prime, so that no packet size divides it. */
const PERIOD = 99_991;
const LONGEST = 1_000_000;

const BYTES = makeBytes();

function makeBytes(): Uint8Array {
  const rng = new SeededRng(1);
  const bytes = new Uint8Array(PERIOD + LONGEST);
  for (let n = 0; n < PERIOD; n++) bytes[n] = rng.below(256);
  for (let n = PERIOD; n < bytes.length; n++) bytes[n] = bytes[n - PERIOD] ?? 0;
  return bytes;
}

/** `length` bytes of a direction, from `offset` on. */
export function pattern(direction: number, offset: number, length: number): Uint8Array {
  const start = (offset + direction * 7919) % PERIOD;
  return BYTES.subarray(start, start + length);
}

/** Whether bytes are those of a direction from `offset` on. */
export function matches(direction: number, offset: number, bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, pattern(direction, offset, bytes.length)) === 0;
}
