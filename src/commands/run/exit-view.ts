/** How exits of vCPUs are shown: a line each, as they come. */
import { escapeControls } from '../../cli/view/escape.js';
import { hexdump } from '../../cli/view/hexdump.js';
import { detailsOf, type Exit, type ExitValue } from '../../core/client/exits.js';

/** Exits come one after the other, so nobody knows how wide a column will be. */
const WIDTHS = { number: 5, vcpu: 4, exit: 14, rip: 18 };

/** Fields that are addresses, codes or bits, and no counts. */
const HEXADECIMAL: ReadonlySet<string> = new Set([
  'port',
  'eax',
  'code',
  'access',
  'tsssel',
  'errcode',
  'exit_reason',
  'mode',
  'vector',
]);

export const EXIT_HEADING = row('N', 'VCPU', 'EXIT', 'RIP', 'DETAILS');

/** @param number of the exit, counted from 1. */
export function exitLine(number: number, { record }: Exit): string {
  const { vcpu, exit, rip } = record;
  const details = detailsOf(record).map(([name, value]) => fieldText(name, value));
  const at = rip === null ? '-' : hex(rip);
  return row(String(number), String(vcpu), exit, at, details.filter(Boolean).join(' '));
}

/** The bytes of its structs. */
export function rawText({ raw }: Exit, indent = '  '): string {
  return raw
    .map(({ name, bytes }) => `${indent}${name}, ${bytes.length} bytes\n${hexdump(bytes, indent)}`)
    .join('');
}

/** For `--json`; with `raw` the bytes of the structs in hexadecimal. */
export function exitJson({ record, raw }: Exit, withRaw: boolean): Record<string, unknown> {
  if (!withRaw) return record;
  const parts = raw.map(({ name, bytes }) => [name, Buffer.from(bytes).toString('hex')]);
  return { ...record, raw: Object.fromEntries(parts) };
}

/** `port=0x3f8`; a bit that is set has its name alone, one that is not nothing. */
function fieldText(name: string, value: ExitValue): string {
  if (name === 'vie') return instructionText(value);
  if (typeof value === 'boolean') return value ? name : '';
  return `${name}=${valueText(name, value)}`;
}

/** What a kernel has decoded of an instruction is in --json; here are its bytes. */
function instructionText(value: ExitValue): string {
  const { inst, num_valid } = value as { inst?: ExitValue; num_valid?: ExitValue };
  return `inst=${String(inst).slice(0, 2 * Number(num_valid))}`;
}

export function valueText(name: string, value: ExitValue): string {
  if (value === null) return '-';
  if (typeof value === 'bigint') return hex(value);
  if (typeof value === 'number') return HEXADECIMAL.has(name) ? hex(value) : String(value);
  if (typeof value !== 'object') return escapeControls(String(value));
  if (Array.isArray(value)) return value.map((each) => valueText(name, each)).join(',') || 'none';
  const fields = Object.entries(value).map(([field, each]) => fieldText(field, each));
  return `{${fields.filter(Boolean).join(' ')}}`;
}

function hex(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function row(number: string, vcpu: string, exit: string, rip: string, details: string): string {
  const cells = [
    number.padStart(WIDTHS.number),
    vcpu.padStart(WIDTHS.vcpu),
    exit.padEnd(WIDTHS.exit),
    rip.padEnd(WIDTHS.rip),
    details,
  ];
  return `${cells.join('  ').trimEnd()}\n`;
}
