/** `--format`: a text with `{{.field}}` and `{{.labels.KEY}}` in it, and the escapes \n, \t, \\. */
import { UsageError } from '../errors.js';
import { didYouMean } from '../suggest.js';
import { escapeControls } from './escape.js';

export type Template<F extends string> = (record: Readonly<Record<F, unknown>>) => string;

/** @param fields what may stand in it; a field whose value is an object may have a key after it. */
export function compileTemplate<F extends string>(text: string, fields: readonly F[]): Template<F> {
  const parts: (string | string[])[] = [];
  let end = 0;
  for (const match of text.matchAll(/\{\{(.*?)\}\}/gs)) {
    parts.push(unescapeText(text.slice(end, match.index)), fieldPath(match[1] ?? '', fields));
    end = match.index + match[0].length;
  }
  const tail = text.slice(end);
  if (tail.includes('{{')) throw new UsageError(`the template '${text}' has a {{ without }}`);
  parts.push(unescapeText(tail));
  return (record) =>
    parts.map((part) => (typeof part === 'string' ? part : show(valueAt(record, part)))).join('');
}

/** A dot alone separates; a key of labels may have dots in it. */
function fieldPath(expression: string, fields: readonly string[]): string[] {
  const match = /^\s*\.([A-Za-z]\w*)(?:\.(.+?))?\s*$/s.exec(expression);
  const list = `the fields are ${fields.join(', ')}`;
  if (!match) throw new UsageError(`'{{${expression}}}' is not a field of a template`, list);
  const [, name = '', key] = match;
  if (!fields.includes(name)) {
    throw new UsageError(`no field '${name}' (${list})`, didYouMean(name, fields, list));
  }
  return key === undefined ? [name] : [name, key];
}

function valueAt(record: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  const [name = '', key] = path;
  const value = record[name];
  if (key === undefined) return value;
  const inner = typeof value === 'object' && value !== null ? value : {};
  return Object.hasOwn(inner, key) ? (inner as Record<string, unknown>)[key] : '';
}

function show(value: unknown): string {
  if (value === null || value === undefined) return '-';
  return escapeControls(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

function unescapeText(text: string): string {
  return text.replace(/\\([nt\\])/g, (_, char: string) =>
    char === 'n' ? '\n' : char === 't' ? '\t' : '\\',
  );
}
