/** Programs of our own that are processes of their own: they outlive the command that starts them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { SystemError } from '../abi/errno.js';

/** How long one may take until it says that it is ready, milliseconds. */
const START_TIMEOUT_MS = 20_000;

export interface Started {
  child: ChildProcess;
  /** What it has said on descriptor 3 before it closed that: `ready`, an error as JSON, or nothing when it died. */
  said: string;
}

export interface StartOptions {
  /** The name of its bundle. */
  program: string;
  args: readonly string[];
  /** What it is, for messages. */
  what: string;
  /** Given what it reads, which stays open until that is ended; nothing when left out. */
  onInput?: (input: Writable) => void;
  /** Aborting ends it (EINTR). */
  signal?: AbortSignal | undefined;
}

/** Starts one, and waits for what it says. @throws SystemError ETIMEDOUT, EINTR; ENOENT when it is not built. */
export function startOwn(options: StartOptions): Promise<Started> {
  const { program, args, what, onInput, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [findProgram(program, what), ...args], {
      detached: true,
      cwd: '/',
      env: ownEnvironment(),
      stdio: [onInput ? 'pipe' : 'ignore', 'ignore', 'ignore', 'pipe'],
    });
    const ready = child.stdio[3];
    let said = '';
    const giveUp = (error: SystemError) => {
      child.kill('SIGKILL');
      settle(() => reject(error));
    };
    const timer = setTimeout(() => {
      giveUp(new SystemError('ETIMEDOUT', { message: `${what} does not start` }));
    }, START_TIMEOUT_MS);
    const interrupt = () => giveUp(new SystemError('EINTR'));
    const settle = (action: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', interrupt);
      action();
    };
    signal?.addEventListener('abort', interrupt);
    child.on('error', (error) => settle(() => reject(error)));
    ready?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    ready?.on('end', () => settle(() => resolve({ child, said: said.trim() })));
    if (child.stdin) {
      // One that dies early closes it, and says so by what it does not say.
      child.stdin.on('error', () => undefined);
      onInput?.(child.stdin);
    }
    child.unref();
    if (signal?.aborted) interrupt();
  });
}

/** The commands' environment without what would change its behaviour behind the user's back. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_EXTRA_CA_CERTS: _certificates, ...kept } = process.env;
  return kept;
}

function findProgram(program: string, what: string): string {
  let directory = import.meta.dirname;
  for (;;) {
    for (const candidate of [join(directory, program), join(directory, 'dist', program)]) {
      if (existsSync(candidate)) return candidate;
    }
    const parent = dirname(directory);
    if (parent === directory) {
      throw new SystemError('ENOENT', {
        path: `dist/${program}`,
        message: `the program of ${what} is missing`,
        hint: 'run `npm run build`',
      });
    }
    directory = parent;
  }
}
