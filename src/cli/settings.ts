/** Values that come from a flag, the environment, the configuration file or a default, in that order. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UsageError } from './errors.js';
import type { Environment } from './io.js';
import { didYouMean } from './suggest.js';

interface Key {
  summary: string;
  /** The flag's name is the key's. */
  env?: string;
  default?: string;
}

export const KEYS = {
  backend: { summary: 'which machine to talk to', env: 'VMMCTL_BACKEND', default: 'sim' },
  in: { summary: 'the VM in whose guest commands act', env: 'VMMCTL_IN' },
  timeout: { summary: 'how long a command may take' },
} as const satisfies Record<string, Key>;

export type KeyName = keyof typeof KEYS;
export const KEY_NAMES = Object.keys(KEYS) as readonly KeyName[];
export type Origin = 'flag' | 'environment' | 'file' | 'default' | 'unset';

export interface Setting {
  value: string | undefined;
  origin: Origin;
}

export type ConfigFile = Partial<Record<KeyName, string>>;

/** An empty variable counts as one that is not set. */
export function resolveSetting(
  key: KeyName,
  given: string | undefined,
  env: Environment,
  file: ConfigFile,
): Setting {
  const row: Key = KEYS[key];
  if (given !== undefined) return { value: given, origin: 'flag' };
  const fromEnvironment = row.env && env[row.env];
  if (fromEnvironment) return { value: fromEnvironment, origin: 'environment' };
  if (file[key]) return { value: file[key], origin: 'file' };
  return row.default === undefined
    ? { value: undefined, origin: 'unset' }
    : { value: row.default, origin: 'default' };
}

export function configPath(env: Environment): string {
  const base = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config');
  return join(base, 'vmmctl', 'config.json');
}

/**
 * The value of a setting, read by `convert`; undefined where it is unset.
 * @throws UsageError that names the flag, the variable or the file in which the value stands.
 */
export function readSetting<T>(
  key: KeyName,
  { value, origin }: Setting,
  env: Environment,
  convert: (text: string) => T,
): T | undefined {
  if (value === undefined) return undefined;
  try {
    return convert(value);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const hints = origin === 'file' ? [error.hint, unsetHint(key)] : [error.hint];
    const place = placeOf(key, origin, env);
    throw new UsageError(`${place}: ${error.message}`, hints.filter(Boolean).join('; '));
  }
}

function placeOf(key: KeyName, origin: Origin, env: Environment): string {
  const row: Key = KEYS[key];
  if (origin === 'file') return `${configPath(env)}: ${key}`;
  return origin === 'environment' ? (row.env ?? key) : `--${key}`;
}

function unsetHint(key: string): string {
  return `take it out: vmmctl config set ${key} ''`;
}

/** The configuration file; empty when there is none. @throws UsageError for what is wrong in it. */
export function readConfig(env: Environment): ConfigFile {
  const path = configPath(env);
  const file: ConfigFile = {};
  for (const [name, entry] of Object.entries(readObject(path))) {
    if (!isKey(name)) {
      throw new UsageError(`${path}: '${name}' is no key of the configuration`, unsetHint(name));
    }
    if (typeof entry !== 'string') {
      throw new UsageError(`${path}: ${name} is not a string`, unsetHint(name));
    }
    file[name] = entry;
  }
  return file;
}

/**
 * Sets one key, or takes it out when the value is empty; the file is never seen half written. What else stands in it
 * stays as it is, so that a wrong one can be mended a key at a time.
 * @throws UsageError for a key that there is not, unless it is taken out of a file that has it.
 */
export function writeConfig(env: Environment, name: string, value: string): void {
  const path = configPath(env);
  const entries = new Map(Object.entries(readObject(path)));
  if (value === '' && entries.has(name)) entries.delete(name);
  else if (value === '') keyName(name);
  else entries.set(keyName(name), value);
  mkdirSync(dirname(path), { recursive: true });
  const text = JSON.stringify(Object.fromEntries(entries), null, 2);
  writeFileSync(`${path}.${process.pid}`, `${text}\n`, { mode: 0o600 });
  renameSync(`${path}.${process.pid}`, path);
}

/** @throws UsageError */
export function keyName(text: string): KeyName {
  if (isKey(text)) return text;
  throw new UsageError(
    `'${text}' is no key of the configuration`,
    didYouMean(text, KEY_NAMES, `the keys are ${KEY_NAMES.join(', ')}`),
  );
}

function isKey(text: string): text is KeyName {
  return Object.hasOwn(KEYS, text);
}

/** The object that a file holds; an empty one when there is no file. */
function readObject(path: string): object {
  const hint = `correct or remove ${path}`;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return {};
    if (error instanceof SyntaxError) throw new UsageError(`${path} is not valid JSON`, hint);
    throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${path} is not a JSON object`, hint);
  }
  return value;
}
