/** Words of the command line of `run`. */
import { UsageError } from '../../cli/errors.js';
import { parseWords } from '../../cli/parse.js';
import { didYouMean } from '../../cli/suggest.js';
import { REAL_MODE_SIZE } from '../../core/backend/port/kvm.js';
import type { Inputs } from '../../core/client/exit-input.js';
import { ABI_NAMES, type AbiName } from '../../core/client/run-abi.js';

/** A number in decimal, or in hexadecimal behind `0x`, from 0 to 2^64 - 1. */
export function parseNumber(text: string): bigint {
  const value = /^(\d{1,20}|0x[\da-f]{1,16})$/i.test(text) ? BigInt(text) : -1n;
  if (value >= 0n && value < 2n ** 64n) return value;
  throw new UsageError(`'${text}' is not a number`, 'a number is 96 or 0x60');
}

/** A guest physical address at which real mode can begin. */
export function parseAddress(text: string): number {
  const value = parseNumber(text);
  if (value < BigInt(REAL_MODE_SIZE)) return Number(value);
  throw new UsageError(`'${text}' is out of reach`, 'real mode begins below 1 MiB, 0x100000');
}

export function abiName(text: string): AbiName {
  const found = ABI_NAMES.find((name) => name === text);
  if (found !== undefined) return found;
  const list = `the forms are ${ABI_NAMES.join(', ')}`;
  throw new UsageError(`no form '${text}' of VM_RUN (${list})`, didYouMean(text, ABI_NAMES, list));
}

/** `A,B`. */
export function abiPair(text: string): readonly [AbiName, AbiName] {
  const [a, b, ...others] = parseWords(text).map(abiName);
  if (a === undefined || b === undefined || others.length > 0 || a === b) {
    throw new UsageError(`'${text}' is not two forms`, 'give two, as in 13,15');
  }
  return [a, b];
}

/** What the guest reads at a port, or at an address of a device. */
export interface Input {
  at: bigint;
  value: bigint;
}

/** `ADDRESS=VALUE`. */
export function parseInput(text: string): Input {
  const match = /^([^=]+)=([^=]+)$/.exec(text);
  if (!match) throw new UsageError(`'${text}' is not an input`, 'an input is 0x60=0x41');
  return { at: parseNumber(match[1] ?? ''), value: parseNumber(match[2] ?? '') };
}

export function inputsOf(given: readonly Input[]): Inputs {
  return new Map(given.map(({ at, value }) => [at, value]));
}
