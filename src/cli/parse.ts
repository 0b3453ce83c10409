/** What flags and arguments say in words: durations, sizes, numbers, labels, users. All throw UsageError. */
import { UsageError } from './errors.js';

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `500ms`, `2s`, `1.5m`, `1h` in milliseconds. A number without a unit is refused. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unit = DURATION_MS[match?.[2] ?? ''];
  if (!match || unit === undefined) {
    const hint = /^\d+(\.\d+)?$/.test(text)
      ? `give a unit: ${text}ms, ${text}s, ${text}m`
      : 'a duration is a number and a unit: 500ms, 2s, 1m, 1h';
    throw new UsageError(`'${text}' is not a duration`, hint);
  }
  const ms = Math.round(Number(match[1]) * unit);
  // Timers of Node hold 31 bits, and SO_VM_SOCKETS_CONNECT_TIMEOUT not more seconds than that.
  if (ms > 0x7fffffff) throw new UsageError(`'${text}' is too long`, 'the longest is 596h');
  return ms;
}

const SIZE_UNITS = ['', 'K', 'M', 'G', 'T'];

/** `512M`, `4GiB`, `1.5G` or plain bytes, in bytes; the units are powers of 1024. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:([KMGT])(?:i?B)?|B)?$/i.exec(text);
  const size = match
    ? Number(match[1]) * 1024 ** SIZE_UNITS.indexOf((match[2] ?? '').toUpperCase())
    : Number.NaN;
  if (!Number.isSafeInteger(size)) {
    throw new UsageError(
      `'${text}' is not a size`,
      'a size is bytes, or a number and K, M, G or T: 512M, 4G',
    );
  }
  return size;
}

/** The shortest exact form of a size: `512M`, `1536K`, `100`. */
export function formatSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && size % 1024 === 0 && unit < SIZE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size}${SIZE_UNITS[unit] ?? ''}`;
}

/** A size to be read at a glance: `1.2G`, `345.6M`, `100`. */
export function roundedSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < SIZE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(size) : size.toFixed(1)}${SIZE_UNITS[unit] ?? ''}`;
}

/** A duration as it could be typed: `1500ms`, `2s`, `5m`. */
export function formatDuration(ms: number): string {
  const unit =
    ['h', 'm', 's'].find((name) => ms > 0 && ms % (DURATION_MS[name] ?? 1) === 0) ?? 'ms';
  return `${ms / (DURATION_MS[unit] ?? 1)}${unit}`;
}

/** The largest unit of a duration, as tables show an age: `3d`, `5h`, `12m`, `7s`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** A whole number from `min` to `max`, in decimal. */
export function parseInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
    throw new UsageError(`'${text}' is not a whole number ${range}`);
  };
}

/** `KEY=VALUE`. */
export function parseLabel(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UsageError(`'${text}' is not a label`, 'a label is KEY=VALUE');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

/** Names separated by commas. */
export function parseWords(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean);
}

export interface UserId {
  uid: number;
  gid: number;
}

/** `UID` or `UID:GROUP`; the group is the user's own when left out. */
export function parseUser(text: string): UserId {
  const match = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  const uid = Number(match?.[1] ?? Number.NaN);
  const gid = Number(match?.[2] ?? uid);
  if (!(uid <= 0xfffffffe && gid <= 0xfffffffe)) {
    throw new UsageError(
      `'${text}' is not a user`,
      'a user is UID or UID:GROUP, in numbers: 1000:1000',
    );
  }
  return { uid, gid };
}

/** The URI of a backend, as it is. @throws UsageError for one that names no kind of backend. */
export function parseBackendUri(text: string): string {
  if (/^(sim|sim:[A-Za-z0-9][A-Za-z0-9._-]{0,31}|device|qmp:.+|ssh:\/\/.+)$/.test(text))
    return text;
  throw new UsageError(`'${text}' is not a backend`, 'there are sim, sim:NAME and device');
}
