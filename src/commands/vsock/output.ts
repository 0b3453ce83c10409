/** What becomes of a relay whose own stdout can't be written to. */
import type { Io } from '../../cli/io.js';
import { OutputError } from '../../core/relay/end.js';

/**
 * Treats it as any other failure of stdout: a closed pipe ends the process quietly, a full disk with one line.
 * The relay writes past the process's own stream for stdout, which therefore has to be told.
 */
export async function blameOutput(io: Io, error: unknown): Promise<never> {
  if (!(error instanceof OutputError)) throw error;
  io.stdout.emit('error', error.cause);
  // The process ends from there.
  return new Promise(() => undefined);
}
