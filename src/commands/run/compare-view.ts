/** How a comparison of two forms of VM_RUN is shown. */
import type { Comparison, Difference } from '../../core/client/exit-compare.js';
import type { ExitValue } from '../../core/client/exits.js';
import { EXIT_HEADING, exitJson, exitLine, rawText, valueText } from './exit-view.js';

/** The CPUs that a set of 256 has room for. */
const SMALL_SET = 256;

/** The exits under the first form; below each what differs under the second. */
export function comparisonText(comparison: Comparison, raw: boolean): string {
  const { exits, differences } = comparison;
  const [first, second] = exits;
  const lines = Array.from({ length: Math.max(first.length, second.length) }, (_, i) => {
    const shown = first[i] ?? second[i];
    const here = differences.filter(({ exit }) => exit === i + 1);
    const texts = here.map((each) => `       ${differenceText(comparison, each)}\n`);
    if (shown === undefined) return '';
    const dumps = raw ? [first[i], second[i]].map((each) => (each ? rawText(each) : '')) : [];
    return [exitLine(i + 1, shown), ...texts, ...dumps].join('');
  });
  return `${EXIT_HEADING}${lines.join('')}`;
}

/** What differs, a line each, behind the number of its exit. */
export function differenceLines(comparison: Comparison): string {
  const lineOf = (each: Difference) => `${each.exit} ${differenceText(comparison, each)}\n`;
  return comparison.differences.map(lineOf).join('');
}

/** `13: cpus 0,63; 15: cpus 0,63,256 (dropped by 13: 256, above 255)`. */
export function differenceText({ abis }: Comparison, { field, values }: Difference): string {
  const each = abis.map((abi, i) => `${abi}: ${field} ${valueText(field, values[i] ?? null)}`);
  return `${each.join('; ')}${droppedText(abis, values)}`;
}

function droppedText(abis: readonly string[], [a, b]: readonly [ExitValue, ExitValue]): string {
  if (!Array.isArray(a) || !Array.isArray(b)) return '';
  const parts = [dropped(abis[0], b, a), dropped(abis[1], a, b)].filter(Boolean);
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

function dropped(
  abi: string | undefined,
  all: readonly ExitValue[],
  kept: readonly ExitValue[],
): string {
  const gone = all.filter((cpu) => !kept.includes(cpu));
  if (gone.length === 0) return '';
  const why = gone.every((cpu) => Number(cpu) >= SMALL_SET) && `, above ${SMALL_SET - 1}`;
  return `dropped by ${abi}: ${gone.join(',')}${why || ''}`;
}

/** For `--json`. */
export function comparisonJson(comparison: Comparison, raw: boolean): Record<string, unknown> {
  const { abis, exits, differences } = comparison;
  const [a, b] = abis;
  return {
    abis,
    exits: {
      [a]: exits[0].map((e) => exitJson(e, raw)),
      [b]: exits[1].map((e) => exitJson(e, raw)),
    },
    differences: differences.map(({ exit, field, values }) => {
      return { exit, field, values: { [a]: values[0], [b]: values[1] } };
    }),
  };
}
