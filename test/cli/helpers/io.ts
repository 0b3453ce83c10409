/** Surroundings for commands under test: streams that remember, a clock that stands, no environment. */
import { PassThrough, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Interrupts } from '../../../src/cli/interrupts.js';
import type { ColorLevel, Io } from '../../../src/cli/io.js';
import { run, type Surroundings } from '../../../src/main.js';
import { FakeBackend } from './fake-backend.js';

export interface TestIo extends Io {
  readonly stdin: PassThrough;
  readonly out: () => string;
  readonly err: () => string;
}

export interface TestIoOptions {
  env?: Record<string, string>;
  tty?: boolean;
  color?: ColorLevel;
  width?: number;
}

export const NOW = Date.parse('2026-01-02T03:04:05.000Z');

export function testIo(options: TestIoOptions = {}): TestIo {
  const { env = {}, tty = false, color = 0, width = 80 } = options;
  const stdout = new Sink();
  const stderr = new Sink();
  return {
    stdin: new PassThrough(),
    stdout,
    stderr,
    isTty: { stdin: tty, stdout: tty, stderr: tty },
    color: { stdout: color, stderr: color },
    width,
    env: { HOME: '/nonexistent', ...env },
    now: () => NOW,
    out: () => stdout.text,
    err: () => stderr.text,
  };
}

/** Both ways to run a command: the short one, and that over oclif. */
export const WAYS = ['fast', 'oclif'] as const;
export type Way = (typeof WAYS)[number];

export interface Ran {
  status: number;
  out: string;
  err: string;
  backend: FakeBackend;
}

/** Runs a command line against a fake host. */
export async function runLine(
  argv: readonly string[],
  options: TestIoOptions & Partial<Surroundings> & { way?: Way; backend?: FakeBackend } = {},
): Promise<Ran> {
  const { way = 'fast', backend = new FakeBackend(), env = {}, ...rest } = options;
  const io = testIo({ ...rest, env: way === 'oclif' ? { ...env, VMMCTL_NO_FAST: '1' } : env });
  const surroundings: Surroundings = {
    io,
    interrupts: new Interrupts(),
    places: places(),
    connect: async (uri, connectOptions) => backend.connected(uri, connectOptions),
    endWithReader: () => undefined,
    ...rest,
  };
  const status = await run(argv, surroundings);
  return { status, out: io.out(), err: io.err(), backend };
}

/** Where oclif finds the unbundled build. */
export function places(): Surroundings['places'] {
  return {
    root: fileURLToPath(new URL('../../../../', import.meta.url)),
    self: fileURLToPath(new URL('../../../src/main.js', import.meta.url)),
  };
}

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
