/** Values that come from a flag, the environment, the configuration file or a default, in that order. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UsageError } from './errors.js';
import type { Environment } from './io.js';
import { parseDuration } from './parse.js';
import { didYouMean } from './suggest.js';

interface Key {
  summary: string;
  /** The flag's name is the key's. */
  env?: string;
  default?: string;
  check?: (text: string) => unknown;
}

export const KEYS = {
  backend: { summary: 'which machine to talk to', env: 'VMMCTL_BACKEND', default: 'sim' },
  in: { summary: 'the VM in whose guest commands act', env: 'VMMCTL_IN' },
  timeout: { summary: 'how long a command may take', check: parseDuration },
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

/** The configuration file; empty when there is none. */
export function readConfig(env: Environment): ConfigFile {
  const path = configPath(env);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return {};
    throw error;
  }
  return checkConfig(path, text);
}

/** Sets one key, or takes it out when the value is empty; the file is never seen half written. */
export function writeConfig(env: Environment, key: KeyName, value: string): void {
  const file: Record<string, string> = { ...readConfig(env) };
  if (value === '') delete file[key];
  else file[key] = value;
  const path = configPath(env);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.${process.pid}`, path);
}

export function keyName(text: string): KeyName {
  if (Object.hasOwn(KEYS, text)) return text as KeyName;
  throw new UsageError(
    `'${text}' is no key of the configuration`,
    didYouMean(text, KEY_NAMES, `the keys are ${KEY_NAMES.join(', ')}`),
  );
}

function checkConfig(path: string, text: string): ConfigFile {
  const hint = `correct or remove ${path}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${path} is not valid JSON`, hint);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${path} is not a JSON object`, hint);
  }
  const file: ConfigFile = {};
  for (const [name, entry] of Object.entries(value)) {
    const key = keyName(name);
    if (typeof entry !== 'string') throw new UsageError(`${path}: ${name} is not a string`, hint);
    file[key] = entry;
  }
  return file;
}
