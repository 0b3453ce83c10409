/** Runs a program in our place: its status becomes ours, signals that come to us go to it. */
import { spawn } from 'node:child_process';
import { CodeError, STATUS, StatusError } from '../cli/errors.js';
import { type Interrupts, signalStatus } from '../cli/interrupts.js';

export interface ProgramOptions {
  env: Record<string, string | undefined>;
  interrupts: Interrupts;
}

/**
 * Gives the exit status: the program's own, or 128 and the signal's number.
 * @throws StatusError 127 when it is not found, 126 when it can't be run.
 */
export async function runProgram(
  argv: readonly string[],
  { env, interrupts }: ProgramOptions,
): Promise<number> {
  const [program = '', ...words] = argv;
  if (interrupts.received) return signalStatus(interrupts.received);
  const child = spawn(program, words, { stdio: 'inherit', env });
  interrupts.delegate((name) => {
    // A terminal sends Ctrl-C to all programs in the foreground, so the program has it already.
    if (name !== 'SIGINT' || !process.stdin.isTTY) child.kill(name);
  });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(signal ? signalStatus(signal) : (code ?? 0)));
    });
  } catch (error) {
    throw notStarted(program, (error as NodeJS.ErrnoException).code);
  } finally {
    interrupts.delegate(undefined);
  }
}

function notStarted(program: string, code = 'EIO'): StatusError {
  if (code === 'ENOENT') {
    return new StatusError(
      STATUS.commandNotFound,
      new CodeError(code, `command '${program}' is not found`),
    );
  }
  return new StatusError(
    STATUS.commandNotExecutable,
    new CodeError(code, `command '${program}' can't be run`),
  );
}
