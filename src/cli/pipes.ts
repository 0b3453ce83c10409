/** What happens when stdout or stderr can't be written to any more, and how the last bytes get out. */
import { fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { renderError, STATUS } from './errors.js';

const STDOUT = 1;
/** What is over by then need not load what it takes to look, milliseconds. */
const LOOK_AFTER_MS = 100;

/** Before anything else: a closed pipe ends the process quietly, as SIGPIPE would; a full disk with one line. */
export function guardOutput(json: () => boolean): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(STATUS.brokenPipe);
    const line = renderError(error, { context: 'stdout', json: json() });
    process.stderr.write(line, () => process.exit(STATUS.failed));
  });
  process.stderr.on('error', () => process.exit(STATUS.brokenPipe));
}

/**
 * Ends the process as a closed pipe does, when nobody can read stdout any more, though nothing is written.
 * @param hangUp resolves when the other end of a descriptor is gone; where it fails, the next write shows it.
 */
export function guardReader(hangUp: (fd: number) => Promise<void>): void {
  const stdout = fstatSync(STDOUT);
  if (!stdout.isFIFO() && !stdout.isSocket()) return;
  const look = () => {
    hangUp(STDOUT).then(
      () => process.exit(STATUS.brokenPipe),
      () => undefined,
    );
  };
  setTimeout(look, LOOK_AFTER_MS).unref();
}

/** Settles when everything written so far has left the process. */
export function flush(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
