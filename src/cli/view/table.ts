/**
 * Tables. In a pipe: aligned columns of plain text, whole and without decoration. On a terminal: cli-table3
 * without lines, bold headings, columns cut to fit.
 */
import type { ColorLevel } from '../io.js';
import { painter } from '../paint.js';
import { escapeControls } from './escape.js';

export interface Column<R> {
  /** As `--columns` names it; the heading is its upper case. */
  name: string;
  text(row: R): string;
  align?: 'left' | 'right';
}

export interface TableOptions {
  terminal: boolean;
  width: number;
  color: ColorLevel;
  /** Default true. */
  header?: boolean;
}

const GAP = '  ';
const NARROWEST = 8;

export async function renderTable<R>(
  rows: readonly R[],
  columns: readonly Column<R>[],
  options: TableOptions,
): Promise<string> {
  const heading = columns.map((column) => column.name.toUpperCase());
  const cells = rows.map((row) => columns.map((column) => escapeControls(column.text(row))));
  const header = options.header !== false;
  const lines = header ? [heading, ...cells] : cells;
  if (lines.length === 0) return '';
  return options.terminal
    ? await renderTerminal(lines, columns, { ...options, header })
    : renderPlain(lines, columns);
}

/** One row of plain text, without alignment to others. */
export function renderRow<R>(row: R, columns: readonly Column<R>[]): string {
  return columns.map((column) => escapeControls(column.text(row))).join(GAP);
}

function renderPlain<R>(lines: readonly string[][], columns: readonly Column<R>[]): string {
  const widths = naturalWidths(lines, columns.length);
  const rendered = lines.map((cells) =>
    cells
      .map((cell, i) => pad(cell, widths[i] ?? 0, columns[i]?.align))
      .join(GAP)
      .trimEnd(),
  );
  return `${rendered.join('\n')}\n`;
}

async function renderTerminal<R>(
  lines: readonly string[][],
  columns: readonly Column<R>[],
  options: TableOptions,
): Promise<string> {
  const [{ default: Table }, paint] = await Promise.all([
    import('cli-table3'),
    painter(options.color),
  ]);
  const widths = fit(naturalWidths(lines, columns.length), options.width);
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': GAP.length },
    colWidths: widths.map((width) => width + GAP.length),
    colAligns: columns.map((column) => column.align ?? 'left'),
  });
  const [first, ...others] = lines;
  const heading = options.header ? (first ?? []).map((cell) => paint.bold(cell)) : first;
  table.push(...[heading ?? [], ...others]);
  const text = table.toString().split('\n');
  return `${text.map((line) => line.trimEnd()).join('\n')}\n`;
}

const NO_LINES = Object.fromEntries(
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle'
    .split(' ')
    .map((name) => [name, '']),
);

function naturalWidths(lines: readonly string[][], count: number): number[] {
  return Array.from({ length: count }, (_, i) =>
    Math.max(0, ...lines.map((cells) => length(cells[i] ?? ''))),
  );
}

/** Takes from the widest columns until the whole fits. */
function fit(widths: number[], total: number): number[] {
  const fitted = [...widths];
  const room = total - GAP.length * (fitted.length - 1);
  while (fitted.reduce((sum, width) => sum + width, 0) > room) {
    const widest = Math.max(...fitted);
    if (widest <= NARROWEST) break;
    fitted[fitted.indexOf(widest)] = widest - 1;
  }
  return fitted;
}

function pad(cell: string, width: number, align: 'left' | 'right' = 'left'): string {
  const fill = ' '.repeat(Math.max(0, width - length(cell)));
  return align === 'right' ? fill + cell : cell + fill;
}

function length(text: string): number {
  return [...text].length;
}
