/** Parameters of a call to a host service, as they are written: `u32:N`, `in:TEXT`, `out:SIZE`, ... */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { UsageError } from '../../cli/errors.js';
import { formatSize, parseSize, roundedSize } from '../../cli/parse.js';
import { didYouMean } from '../../cli/suggest.js';
import { VBG_MAX_HGCM_USER_PARM } from '../../core/abi/vboxguest.js';
import { type HgcmParameter, MAX_SERVICE_NAME } from '../../core/client/hgcm.js';

/** Bytes of all buffers of a call. Its process takes 32 MiB at once, with the call itself. */
export const MOST_SIMULATED = 31 * 1024 * 1024;

/** A parameter, or a buffer whose contents are still to be read: from a file, or from stdin (`-`). */
export type ParameterWord = HgcmParameter | { type: 'in' | 'inout'; from: string };

const FORMS: Readonly<Record<string, (text: string) => ParameterWord>> = {
  u32: (text) => ({ type: 'u32', value: Number(word(text, 32)) }),
  u64: (text) => ({ type: 'u64', value: word(text, 64) }),
  in: (text) => contents('in', text),
  inout: (text) => contents('inout', text),
  str: (text) => ({ type: 'in', data: bytesOf(`${text}\0`) }),
  out: (text) => ({ type: 'out', data: new Uint8Array(bufferSize(text)) }),
};

/** How parameters begin, for completion. */
export const PARAMETER_WORDS: readonly string[] = Object.keys(FORMS).map((name) => `${name}:`);

/** @throws UsageError */
export function parameterWord(text: string): ParameterWord {
  const [name = '', rest] = text.split(/:(.*)/s);
  const form = Object.hasOwn(FORMS, name) ? FORMS[name] : undefined;
  if (form !== undefined && rest !== undefined) return form(rest);
  const list = 'a parameter is u32:N, u64:N, in:TEXT, str:TEXT, inout:TEXT or out:SIZE';
  const hint = rest === undefined ? list : didYouMean(`${name}:`, PARAMETER_WORDS, list);
  throw new UsageError(`'${text}' is not a parameter`, hint);
}

/** The name of a service. @throws UsageError */
export function serviceName(text: string): string {
  const { length } = bytesOf(text);
  if (length <= MAX_SERVICE_NAME) return text;
  throw new UsageError(`a name of ${length} bytes`, `a service's has ${MAX_SERVICE_NAME} at most`);
}

/** What a simulated host doesn't take at once. @throws UsageError */
export function checkTotal(parameters: readonly ParameterWord[]): void {
  const sizes = parameters.map((each) => ('data' in each ? each.data.length : 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total <= MOST_SIMULATED) return;
  throw new UsageError(
    `the buffers have ${roundedSize(total)} together`,
    `a call to a simulated host has at most ${formatSize(MOST_SIMULATED)} of them`,
  );
}

/** The number of a function. @throws UsageError */
export function functionNumber(text: string): number {
  return Number(unsigned(text, 32));
}

/** Reads what is not on the command line. @throws UsageError for more than a buffer may have. */
export async function readParameter(word: ParameterWord, stdin: Readable): Promise<HgcmParameter> {
  if (!('from' in word)) return word;
  const stream = word.from === '-' ? stdin : createReadStream(word.from);
  return { type: word.type, data: await readAll(stream) };
}

async function readAll(stream: Readable): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > VBG_MAX_HGCM_USER_PARM) {
      throw new UsageError(`a buffer has at most ${largest()}`);
    }
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** `TEXT`, `@FILE`, or `-` for stdin. */
function contents(type: 'in' | 'inout', text: string): ParameterWord {
  if (text === '-') return { type, from: text };
  return text.startsWith('@') ? { type, from: text.slice(1) } : { type, data: bytesOf(text) };
}

function bufferSize(text: string): number {
  const size = parseSize(text);
  if (size > VBG_MAX_HGCM_USER_PARM) throw new UsageError(`a buffer has at most ${largest()}`);
  return size;
}

function largest(): string {
  return formatSize(VBG_MAX_HGCM_USER_PARM);
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A number, or a negative one in two's complement. */
function word(text: string, bits: number): bigint {
  const value = text.startsWith('-') ? -unsigned(text.slice(1), bits - 1) : unsigned(text, bits);
  return BigInt.asUintN(bits, value);
}

function unsigned(text: string, bits: number): bigint {
  const value = /^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text) ? BigInt(text) : -1n;
  if (value >= 0n && value < 1n << BigInt(bits)) return value;
  throw new UsageError(`'${text}' is not a whole number of ${bits} bits`);
}
