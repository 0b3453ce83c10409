/** Reads the parameters of a request, which come from outside. Each throws EINVAL for what it cannot use. */
import { SystemError } from '../abi/errno.js';
import type { VsockAddress } from '../simulator/vsock/socket.js';

export type Parameters = Readonly<Record<string, unknown>>;

/** The longest string that a request may carry, characters. */
const MAX_STRING = 65536;

function invalid(name: string): SystemError {
  return new SystemError('EINVAL', { message: `the parameter '${name}' makes no sense` });
}

export function text(parameters: Parameters, name: string): string {
  const value = parameters[name];
  if (typeof value !== 'string' || value.length > MAX_STRING) throw invalid(name);
  return value;
}

export function optionalText(parameters: Parameters, name: string): string | undefined {
  return parameters[name] === undefined ? undefined : text(parameters, name);
}

/** A whole number from 0 to `max`. */
export function integer(parameters: Parameters, name: string, max = 0xffffffff): number {
  const value = parameters[name];
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
  if (!fits) throw invalid(name);
  return value;
}

export function optionalInteger(parameters: Parameters, name: string): number | undefined {
  return parameters[name] === undefined ? undefined : integer(parameters, name);
}

export function optionalNumber(parameters: Parameters, name: string): number | undefined {
  const value = parameters[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(name);
  return value;
}

export function optionalTruth(parameters: Parameters, name: string): boolean | undefined {
  const value = parameters[name];
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalid(name);
}

/** A whole number, which may be negative. */
export function signedInteger(parameters: Parameters, name: string): number {
  const value = parameters[name];
  if (!Number.isSafeInteger(value)) throw invalid(name);
  return value as number;
}

export function oneOf<T extends string>(
  parameters: Parameters,
  name: string,
  values: readonly T[],
): T {
  const value = values.find((candidate) => candidate === parameters[name]);
  if (value === undefined) throw invalid(name);
  return value;
}

export function address(parameters: Parameters): VsockAddress {
  return { cid: integer(parameters, 'cid'), port: integer(parameters, 'port') };
}

export function machineName(parameters: Parameters): 'host' | { vm: string } {
  const vm = optionalText(parameters, 'vm');
  return vm === undefined ? 'host' : { vm };
}

/** Labels: text by text, bounded. */
export function labels(parameters: Parameters): Record<string, string> | undefined {
  const value = parameters.labels;
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null) throw invalid('labels');
  const entries = Object.entries(value);
  const fits = entries.every(([key, text]) => {
    return typeof text === 'string' && key.length + text.length <= 4096 && key.length > 0;
  });
  if (!fits || entries.length > 256) throw invalid('labels');
  return Object.fromEntries(entries) as Record<string, string>;
}
