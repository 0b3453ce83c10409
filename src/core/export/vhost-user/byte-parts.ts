/** Bytes that stand in several pieces of memory, as the buffers of a chain do. */

/** A piece of the guest's memory. Offsets and lengths have to be inside of it. */
export interface Piece {
  /** The guest's. */
  readonly address: number;
  readonly length: number;
  /** Fills `into`, from an offset on. */
  read(at: number, into: Uint8Array): void;
  write(at: number, bytes: Uint8Array): void;
}

export type ByteParts = readonly Piece[];

export function sizeOf(parts: ByteParts): number {
  let size = 0;
  for (const part of parts) size += part.length;
  return size;
}

/** Writes bytes from an offset on; what has no room is left out. */
export function copyIn(parts: ByteParts, offset: number, bytes: Uint8Array): void {
  let at = offset;
  let done = 0;
  for (const part of parts) {
    if (done === bytes.length) return;
    if (at >= part.length) {
      at -= part.length;
      continue;
    }
    const count = Math.min(part.length - at, bytes.length - done);
    part.write(at, count === bytes.length ? bytes : bytes.subarray(done, done + count));
    done += count;
    at = 0;
  }
}

/** A copy of the bytes from an offset on; fewer than `length` where they end before. */
export function copyOut(parts: ByteParts, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, sizeOf(parts) - offset)));
  let at = offset;
  let done = 0;
  for (const part of parts) {
    if (done === bytes.length) break;
    if (at >= part.length) {
      at -= part.length;
      continue;
    }
    const count = Math.min(part.length - at, bytes.length - done);
    part.read(at, bytes.subarray(done, done + count));
    done += count;
    at = 0;
  }
  return bytes;
}
