/** What happens when stdout or stderr can't be written to any more, and how the last bytes get out. */
import type { Writable } from 'node:stream';
import { renderError, STATUS } from './errors.js';

/** Before anything else: a closed pipe ends the process quietly, as SIGPIPE would; a full disk with one line. */
export function guardOutput(json: () => boolean): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(STATUS.brokenPipe);
    const line = renderError(error, { context: 'stdout', json: json() });
    process.stderr.write(line, () => process.exit(STATUS.failed));
  });
  process.stderr.on('error', () => process.exit(STATUS.brokenPipe));
}

/** Settles when everything written so far has left the process. */
export function flush(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
