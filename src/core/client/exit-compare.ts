/** What the same program shows under two forms of VM_RUN. */
import type { DeviceNode } from '../backend/port/node.js';
import { answered, type Inputs } from './exit-input.js';
import type { Exit, ExitRecord, ExitValue } from './exits.js';
import { type AbiName, RUN_ABIS, type RunOptions } from './run-abi.js';
import { activateVcpu, exitsOf, isLast } from './vcpu.js';
import { resetNode } from './vm-power.js';

/** What one field of an exit is under each of two forms; null where there is no such exit or field. */
export interface Difference {
  /** Of the exit, counted from 1. */
  exit: number;
  /** A field of a struct in the exit has the struct's name and a dot before it. */
  field: string;
  values: readonly [ExitValue, ExitValue];
}

export interface Comparison {
  abis: readonly [AbiName, AbiName];
  exits: readonly [readonly Exit[], readonly Exit[]];
  differences: Difference[];
}

export interface CompareOptions extends RunOptions {
  vcpu: number;
  /** The most exits of each run. */
  count: number;
  /** What the guest reads. */
  inputs: Inputs;
  /** Sets what the vCPU executes; called before each run. */
  prepare(): Promise<void>;
}

/**
 * Runs a vCPU's program once under each form, each time from the beginning: the VM is reset before.
 * @throws SystemError as `resetNode`, and as VM_RUN does.
 */
export async function compareAbis(
  node: DeviceNode,
  name: string,
  [a, b]: readonly [AbiName, AbiName],
  options: CompareOptions,
): Promise<Comparison> {
  const exits = [
    await exitsUnder(a, node, name, options),
    await exitsUnder(b, node, name, options),
  ] as const;
  return { abis: [a, b], exits, differences: differencesBetween(...exits) };
}

async function exitsUnder(
  abi: AbiName,
  node: DeviceNode,
  name: string,
  { vcpu, count, inputs, prepare, ...options }: CompareOptions,
): Promise<Exit[]> {
  await resetNode(node, name, options);
  await prepare();
  await activateVcpu(node, vcpu, options);
  const exits: Exit[] = [];
  const exited = exitsOf(node, vcpu, { ...options, abi: RUN_ABIS[abi] });
  for await (const exit of answered(exited, node, inputs, options)) {
    exits.push(exit);
    if (exits.length >= count || isLast(exit.record, true)) break;
  }
  return exits;
}

export function differencesBetween(a: readonly Exit[], b: readonly Exit[]): Difference[] {
  const differences: Difference[] = [];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [one, other] = [fieldsOf(a[i]?.record), fieldsOf(b[i]?.record)];
    for (const field of new Set([...one.keys(), ...other.keys()])) {
      const values = [one.get(field) ?? null, other.get(field) ?? null] as const;
      if (!isSame(...values)) differences.push({ exit: i + 1, field, values });
    }
  }
  return differences;
}

/** All fields, those of structs with the struct's name. */
function fieldsOf(record: ExitRecord | undefined): Map<string, ExitValue> {
  const fields = new Map<string, ExitValue>();
  const add = (prefix: string, values: Readonly<Record<string, ExitValue>>) => {
    for (const [name, value] of Object.entries(values)) {
      if (isStruct(value)) add(`${prefix}${name}.`, value);
      else fields.set(`${prefix}${name}`, value);
    }
  };
  add('', record ?? {});
  return fields;
}

function isStruct(value: ExitValue): value is Readonly<Record<string, ExitValue>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSame(a: ExitValue, b: ExitValue): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
