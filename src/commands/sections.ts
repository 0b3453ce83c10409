/** A page for people: names and values, in sections. */
import { escapeControls } from '../cli/view/escape.js';

export type Row = readonly [name: string, value: string | number | null];

/** Empty without entries. */
export function section(title: string, entries: readonly Row[]): string {
  return entries.length === 0 ? '' : `  ${title}:\n${rows(entries, '    ')}`;
}

/** What is not known is a dash. */
export function rows(entries: readonly Row[], indent = '  '): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  const lines = entries.map(
    ([name, value]) =>
      `${indent}${escapeControls(name).padEnd(width)}  ${escapeControls(String(value ?? '-'))}\n`,
  );
  return lines.join('');
}
