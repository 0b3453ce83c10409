/**
 * Flags and arguments of commands, as data in oclif's own shapes. They are built here and not with oclif's
 * helpers so that a command can be loaded without loading oclif. `read` turns what was typed into its value;
 * it belongs to us, oclif never sees it run.
 */
import { UsageError } from './errors.js';
import { parseDuration, parseUser } from './parse.js';

/** What a parser found: a text, the texts of a repeated flag, or that a flag without a value is there. */
export type RawValue = string | readonly string[] | boolean | undefined;

interface Described<V> {
  summary: string;
  /** The same as `summary`, under the name that oclif's help reads for arguments. */
  description?: string;
  hidden?: boolean;
  options?: readonly string[];
  /** What it may be, for completion; unlike `options` it may be something else. */
  words?: readonly string[];
  required?: boolean;
  multiple?: boolean;
  read(raw: RawValue): V;
}

export interface Flag<V = unknown> extends Described<V> {
  type: 'option' | 'boolean';
  char?: string;
  env?: string;
  /** Shown in help; `read` is what gives it. */
  default?: string;
  helpValue?: string;
  helpGroup?: string;
  /** Names of flags that may not be given together with this one. */
  exclusive?: readonly string[];
  /** A repeated flag takes one value at a time, not all words that follow. */
  multipleNonGreedy?: boolean;
}

export type Arg<V = unknown> = Described<V>;

export type FlagTable = Readonly<Record<string, Flag>>;
export type ArgTable = Readonly<Record<string, Arg>>;
export type Values<T extends Readonly<Record<string, { read(raw: RawValue): unknown }>>> = {
  readonly [K in keyof T]: ReturnType<T[K]['read']>;
};

type Convert<T> = (text: string) => T;
type FlagSpec = Omit<
  Flag,
  'type' | 'read' | 'multiple' | 'multipleNonGreedy' | 'default' | 'required'
>;
type ArgSpec = Omit<Arg, 'read' | 'multiple' | 'required' | 'description'>;

const same: Convert<string> = (text) => text;

/** A flag that is there or not. */
export function flag(spec: FlagSpec): Flag<boolean> {
  return { ...spec, type: 'boolean', read: (raw) => raw === true };
}

/** A flag with a value, undefined when it is not given. */
export function option(spec: FlagSpec): Flag<string | undefined>;
export function option<T>(spec: FlagSpec & { convert: Convert<T> }): Flag<T | undefined>;
export function option(spec: FlagSpec & { convert?: Convert<unknown> }): Flag {
  const { convert = same, ...shape } = spec;
  return {
    ...shape,
    type: 'option',
    read: (raw) => (typeof raw === 'string' ? convert(raw) : undefined),
  };
}

/** A flag with a value, and what it is when it is not given. */
export function optionOr<T>(text: string, spec: FlagSpec & { convert: Convert<T> }): Flag<T> {
  const { convert, ...shape } = spec;
  return {
    ...shape,
    default: text,
    type: 'option',
    read: (raw) => convert(typeof raw === 'string' ? raw : text),
  };
}

/** A flag that may be repeated. */
export function options<T>(spec: FlagSpec & { convert: Convert<T> }): Flag<T[]> {
  const { convert, ...shape } = spec;
  return {
    ...shape,
    type: 'option',
    multiple: true,
    multipleNonGreedy: true,
    read: (raw) => texts(raw).map((text) => convert(text)),
  };
}

/** An argument that must be there. */
export function arg(spec: ArgSpec): Arg<string>;
export function arg<T>(spec: ArgSpec & { convert: Convert<T> }): Arg<T>;
export function arg(spec: ArgSpec & { convert?: Convert<unknown> }): Arg {
  const { convert = same, ...shape } = spec;
  return {
    ...shape,
    description: spec.summary,
    required: true,
    read: (raw) => convert(typeof raw === 'string' ? raw : ''),
  };
}

/** An argument that may be left out; none that must be there may follow it. */
export function optionalArg(spec: ArgSpec): Arg<string | undefined>;
export function optionalArg<T>(spec: ArgSpec & { convert: Convert<T> }): Arg<T | undefined>;
export function optionalArg(spec: ArgSpec & { convert?: Convert<unknown> }): Arg {
  const { convert = same, ...shape } = spec;
  return {
    ...shape,
    description: spec.summary,
    required: false,
    read: (raw) => (typeof raw === 'string' ? convert(raw) : undefined),
  };
}

/** The last argument, given any number of times; at least once when `required`. */
export function args<T>(spec: ArgSpec & { convert: Convert<T>; required?: boolean }): Arg<T[]> {
  const { convert, required = false, ...shape } = spec;
  return {
    ...shape,
    description: spec.summary,
    required,
    multiple: true,
    read: (raw) => texts(raw).map((text) => convert(text)),
  };
}

/** The values of all flags or arguments; a refusal names the one it is about. */
export function readValues<T extends FlagTable | ArgTable>(
  table: T,
  raw: Readonly<Record<string, RawValue>>,
  title: (name: string) => string,
): Values<T> {
  const values: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(table)) {
    try {
      values[name] = item.read(raw[name]);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${title(name)}: ${error.message}`, error.hint);
    }
  }
  return values as Values<T>;
}

function texts(raw: RawValue): readonly string[] {
  if (typeof raw === 'string') return [raw];
  return Array.isArray(raw) ? raw : [];
}

const GLOBAL = { helpGroup: 'global' };

/** What every command has. Environment and configuration file are applied by settings.ts. */
export const GLOBAL_FLAGS = {
  backend: option({
    ...GLOBAL,
    char: 'b',
    summary: 'which machine to talk to: sim, sim:NAME or device',
    env: 'VMMCTL_BACKEND',
    helpValue: 'URI',
  }),
  in: option({
    ...GLOBAL,
    summary: "act inside that VM's simulated guest",
    env: 'VMMCTL_IN',
    helpValue: 'VM',
  }),
  json: flag({ ...GLOBAL, summary: 'print one JSON document' }),
  timeout: option({
    ...GLOBAL,
    summary: 'give up after that time: 500ms, 2s, 1m',
    helpValue: 'DURATION',
    convert: parseDuration,
  }),
  quiet: flag({ ...GLOBAL, char: 'q', summary: 'print only the essential' }),
  verbose: flag({ ...GLOBAL, char: 'v', summary: 'say on stderr what is done' }),
  as: option({
    ...GLOBAL,
    summary: 'act as another user of the simulated host',
    helpValue: 'UID[:GROUP]',
    convert: parseUser,
  }),
  jail: option({
    ...GLOBAL,
    summary: 'act inside a jail of the simulated host',
    helpValue: 'NAME',
  }),
  help: flag({ ...GLOBAL, char: 'h', summary: 'show help' }),
} as const;
