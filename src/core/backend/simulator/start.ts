/** Starts the daemon of a simulated host, as a process of its own that outlives the command. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SystemError } from '../../abi/errno.js';
import { type HostPaths, makeDirectories } from '../../daemon/paths.js';
import { errorFromWire, parseObject } from '../../daemon/wire.js';

/** How long a daemon may take until it answers, milliseconds. */
const START_TIMEOUT_MS = 20_000;

/**
 * Starts a daemon and waits until it answers. False when another one was faster, which is no error.
 * @throws SystemError what kept it from starting.
 */
export async function startDaemon(paths: HostPaths, options: object = {}): Promise<boolean> {
  makeDirectories(paths);
  const said = await runDaemon(paths, options);
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

function runDaemon(paths: HostPaths, options: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [daemonProgram(), paths.host, JSON.stringify(options)], {
      detached: true,
      cwd: '/',
      env: daemonEnvironment(),
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    const ready = child.stdio[3];
    let said = '';
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new SystemError('ETIMEDOUT', { message: 'the simulated host does not start' }));
    }, START_TIMEOUT_MS);
    const finish = () => {
      clearTimeout(timer);
      resolve(said.trim());
    };
    child.on('error', reject);
    ready?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    ready?.on('end', finish);
    child.unref();
  });
}

/** The commands' environment without what would change the daemon's behaviour behind the user's back. */
function daemonEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_EXTRA_CA_CERTS: _certificates, ...kept } = process.env;
  return kept;
}

function daemonProgram(): string {
  let directory = import.meta.dirname;
  for (;;) {
    for (const candidate of [
      join(directory, 'daemon.cjs'),
      join(directory, 'dist', 'daemon.cjs'),
    ]) {
      if (existsSync(candidate)) return candidate;
    }
    const parent = dirname(directory);
    if (parent === directory) {
      throw new SystemError('ENOENT', {
        path: 'dist/daemon.cjs',
        message: 'the program of the simulated host is missing',
        hint: 'run `npm run build`',
      });
    }
    directory = parent;
  }
}

function lastWords(log: string): string {
  try {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    return `: ${lines[lines.length - 1]}`;
  } catch {
    return '';
  }
}
