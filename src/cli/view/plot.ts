/** Plots of one row: a block character a value, as high as the value is large. */
import { type Column, renderTable, type TableOptions } from './table.js';

const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
const UNKNOWN = ' ';
const GAP = 2;
const NARROWEST = 8;

/** The most values that a row of a terminal can show. */
export const MOST_VALUES = 1000;

export interface Plot {
  /** In the order of time; null is what was not known. */
  values: readonly (number | null)[];
  /** The value of a full block; the largest one that is shown when left out. */
  max?: number | undefined;
}

/** The newest values, at the right end of `width` characters. Only none at all has the lowest block. */
export function sparkline({ values, max }: Plot, width: number): string {
  if (width <= 0) return '';
  const shown = values.slice(-width);
  const full = max ?? Math.max(0, ...shown.map((value) => value ?? 0));
  const blocks = shown.map((value) => (value === null ? UNKNOWN : block(value, full)));
  return blocks.join('').padStart(width, UNKNOWN);
}

function block(value: number, full: number): string {
  const share = value > 0 && full > 0 ? Math.min(1, value / full) : 0;
  return LEVELS[Math.ceil(share * (LEVELS.length - 1))] ?? UNKNOWN;
}

/** A table with a plot behind each row, which fills what is left of the terminal's width. */
export async function renderPlots<R>(
  rows: readonly R[],
  columns: readonly Column<R>[],
  plotOf: (row: R) => Plot,
  options: Omit<TableOptions, 'terminal'>,
): Promise<string> {
  const plain = await renderTable(rows, columns, { ...options, terminal: false });
  const used = Math.max(...plain.split('\n').map((line) => [...line].length));
  const room = Math.max(NARROWEST, options.width - used - GAP);
  const plot: Column<R> = { name: 'history', text: (row) => sparkline(plotOf(row), room) };
  return renderTable(rows, [...columns, plot], { ...options, terminal: true });
}
