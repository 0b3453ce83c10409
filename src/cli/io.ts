/**
 * The one object through which a command sees its surroundings: streams, terminals, colour, environment, clock.
 * It is passed in, so that a test can give its own.
 */
import type { Readable, Writable } from 'node:stream';
import { isatty } from 'node:tty';

export type ColorLevel = 0 | 1 | 2 | 3;
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly isTty: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  /** Colours that may be used, as chalk counts them; 0 is none. */
  readonly color: { readonly stdout: ColorLevel; readonly stderr: ColorLevel };
  /** Columns of stdout's terminal. */
  readonly width: number;
  readonly env: Environment;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** That of the process. stdin is opened only when it is asked for. */
export function processIo(): Io {
  const isTty = { stdin: isatty(0), stdout: isatty(1), stderr: isatty(2) };
  return {
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    isTty,
    color: {
      stdout: colorLevel(process.env, isTty.stdout),
      stderr: colorLevel(process.env, isTty.stderr),
    },
    get width() {
      // A terminal that was never told its size says 0.
      return process.stdout.columns || 80;
    },
    env: process.env,
    now: () => Date.now(),
  };
}

/** NO_COLOR, then FORCE_COLOR and CLICOLOR_FORCE, then what the terminal can do. */
export function colorLevel(env: Environment, tty: boolean): ColorLevel {
  if (env.NO_COLOR) return 0;
  const forced = env.FORCE_COLOR;
  if (forced === '0' || forced === 'false') return 0;
  const force = forced !== undefined || (env.CLICOLOR_FORCE ?? '0') !== '0';
  if (!force && (!tty || env.TERM === 'dumb' || env.CLICOLOR === '0')) return 0;
  if (forced === '2' || forced === '3') return forced === '2' ? 2 : 3;
  if (/^(truecolor|24bit)$/.test(env.COLORTERM ?? '')) return 3;
  return /256/.test(env.TERM ?? '') ? 2 : 1;
}
