/** "Did you mean": the names that are close to what was typed. */

/** The closest one or two of `names`, if any is close enough to be meant. */
export function closest(typed: string, names: readonly string[]): string[] {
  const limit = Math.max(1, Math.floor(typed.length / 3) + 1);
  const near = names
    .map((name) => ({ name, distance: distanceTo(typed, name) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return near
    .filter(({ distance }) => distance === near[0]?.distance)
    .slice(0, 2)
    .map(({ name }) => name);
}

/** A hint that names them, or what to say instead. */
export function didYouMean(typed: string, names: readonly string[], otherwise: string): string {
  const found = closest(typed, names);
  return found.length > 0
    ? `did you mean ${found.map((name) => `'${name}'`).join(' or ')}?`
    : otherwise;
}

/** A name that begins with what was typed is as close as one with a single letter wrong. */
function distanceTo(typed: string, name: string): number {
  if (typed.length >= 2 && name.startsWith(typed)) return 1;
  return editDistance(typed.toLowerCase(), name.toLowerCase());
}

/** Insertions, deletions, substitutions, and swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(at(row, j) + 1, at(next, j - 1) + 1, at(row, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(before, j - 2) + 1);
      }
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return at(row, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
