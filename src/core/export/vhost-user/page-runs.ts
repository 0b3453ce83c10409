/** Pages that a balloon's driver names one by one, as ranges. */

export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** @param bytes page numbers, le32, in any order; a page that is named twice counts once. */
export function pageRuns(bytes: Uint8Array): PageRun[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pages = Uint32Array.from({ length: bytes.length >> 2 }, (_, at) => {
    return view.getUint32(at * 4, true);
  }).sort();
  const runs: { first: number; count: number }[] = [];
  for (const page of pages) {
    const last = runs.at(-1);
    if (last === undefined || page > last.first + last.count) runs.push({ first: page, count: 1 });
    else if (page === last.first + last.count) last.count++;
  }
  return runs;
}
