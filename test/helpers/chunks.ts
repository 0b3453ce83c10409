/** Bytes in pieces, as they come from a socket. */

/** Cuts bytes at places that any numbers name. */
export function cutAnywhere(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts].map((cut, n) => bytes.subarray(cut, cuts[n] ?? bytes.length));
}
