/**
 * One question to a vsock implementation, and how it is put: against the port alone, bounded in time, with ports of
 * its own, and leaving nothing open.
 */
import { SystemError } from '../../src/core/abi/errno.js';
import type { Machine } from '../../src/core/backend/port.js';
import { Bench } from './bench.js';

export interface Case {
  readonly name: string;
  /** Whether it asks what a user without capabilities may do. */
  readonly unprivileged: boolean;
  /** What happened, as the port shows it: no times, and no number that was taken automatically. */
  run(machine: Machine): Promise<string>;
}

export interface CaseOptions {
  unprivileged?: boolean;
  /** When an answer is not waited for any longer, milliseconds. */
  limitMs?: number;
}

/** The time of a case that is not known to take longer; a kernel that is emulated is slow. */
const LIMIT_MS = 20_000;
/** How many ports a case has to itself, from where. */
const PORTS = 16;
const FIRST_PORT = 20_000;

let cases = 0;

export function conformanceCase(
  name: string,
  ask: (bench: Bench) => Promise<string>,
  options: CaseOptions = {},
): Case {
  const port = FIRST_PORT + PORTS * cases++;
  const { unprivileged = false, limitMs = LIMIT_MS } = options;
  const run = async (machine: Machine): Promise<string> => {
    const bench = new Bench(machine, port);
    const answer = ask(bench).catch(describeFailure);
    try {
      return await Promise.race([answer, over(limitMs, bench)]);
    } finally {
      bench.finish();
      // What it opened must be closed before the next case, but a close that hangs must not hang the suite.
      await Promise.race([bench.closeAll(), over(limitMs, bench)]);
      bench.finish();
    }
  };
  return { name, unprivileged, run };
}

/** Resolves when the time is over, unless the bench is finished before. */
function over(limitMs: number, bench: Bench): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('hangs'), limitMs);
    bench.atFinish(() => clearTimeout(timer));
  });
}

function describeFailure(error: unknown): string {
  if (error instanceof SystemError) return `fails: ${error.syscall ?? 'call'} ${error.code}`;
  return `fails: ${String(error)}`;
}
