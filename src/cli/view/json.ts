/** The one serializer of --json: u64 as decimal strings, control characters escaped. */
import { escapeJson } from './escape.js';

export function renderJson(value: unknown, pretty: boolean): string {
  const text = JSON.stringify(value, replaceBigint, pretty ? 2 : 0) ?? 'null';
  return `${escapeJson(text)}\n`;
}

function replaceBigint(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
