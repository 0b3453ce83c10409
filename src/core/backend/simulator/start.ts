/** Starts the daemon of a simulated host, as a process of its own that outlives the command. */
import { readFileSync } from 'node:fs';
import { SystemError } from '../../abi/errno.js';
import { type HostPaths, makeDirectories } from '../../daemon/paths.js';
import { errorFromWire, parseObject } from '../../daemon/wire.js';
import { startOwn } from '../own-process.js';

/**
 * Starts a daemon and waits until it answers. False when another one was faster, which is no error.
 * @throws SystemError what kept it from starting.
 */
export async function startDaemon(paths: HostPaths, options: object = {}): Promise<boolean> {
  makeDirectories(paths);
  const { said } = await startOwn({
    program: 'daemon.cjs',
    args: [paths.host, JSON.stringify(options)],
    what: 'the simulated host',
  });
  if (said === 'ready') return true;
  if (said === '') {
    throw new SystemError('EIO', {
      message: 'the simulated host ended while it started',
      hint: `its last words may be in ${paths.log}${lastWords(paths.log)}`,
    });
  }
  const error = errorFromWire(parseObject(said));
  if (error.code !== 'EADDRINUSE') throw error;
  return false;
}

function lastWords(log: string): string {
  try {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    return `: ${lines[lines.length - 1]}`;
  } catch {
    return '';
  }
}
