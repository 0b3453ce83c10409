/** Where a simulated host keeps its sockets and its state, and the checks that these places are ours. */
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { SystemError } from '../abi/errno.js';
import { sunPathSize } from '../abi/sun-path.js';

/** The longest path of a Unix socket, bytes, without the terminator. */
export const MAX_SOCKET_PATH = sunPathSize(process.platform) - 1;

export interface HostPaths {
  readonly host: string;
  /** Sockets; gone after a reboot. */
  readonly runtime: string;
  /** What outlives the process. */
  readonly state: string;
  readonly socket: string;
  readonly lock: string;
  readonly log: string;
  readonly journal: string;
  readonly options: string;
}

/** @throws SystemError EINVAL for a host name that could not be a directory's. */
export function hostPaths(host: string, env: NodeJS.ProcessEnv = process.env): HostPaths {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/.test(host)) {
    throw new SystemError('EINVAL', {
      message: `'${host}' cannot name a simulated host`,
      hint: 'use up to 32 letters, digits, dots, dashes or underscores',
    });
  }
  const runtime = join(runtimeBase(env), host);
  const states = absolute(env.XDG_STATE_HOME) ?? join(homedir(), '.local', 'state');
  const state = join(states, 'vmmctl', host);
  const socket = join(runtime, 'sim.sock');
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH) {
    throw new SystemError('ENAMETOOLONG', {
      path: socket,
      message: `the path of the simulated host's socket is longer than ${MAX_SOCKET_PATH} bytes`,
      hint: 'set XDG_RUNTIME_DIR to a shorter directory',
    });
  }
  return {
    host,
    runtime,
    state,
    socket,
    lock: join(runtime, 'sim.lock'),
    log: join(state, 'sim.log'),
    journal: join(state, 'vms.journal'),
    options: join(state, 'options.json'),
  };
}

/** Where the processes that hold VMs of KVM have their sockets; no simulated host can have that name. */
export function kvmDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(runtimeBase(env), '.kvm');
}

/** Makes that directory, 0700. @throws SystemError EACCES when it, or the one it is in, is not ours alone. */
export function makeRuntimeDirectory(directory: string): void {
  mkdirSync(dirname(dirname(directory)), { recursive: true });
  for (const each of [dirname(directory), directory]) makePrivate(each);
}

function runtimeBase(env: NodeJS.ProcessEnv): string {
  const directory = absolute(env.XDG_RUNTIME_DIR);
  if (directory !== undefined) return join(directory, 'vmmctl');
  return join('/tmp', `vmmctl-${ownUid()}`);
}

/** A relative path is to be ignored, as the XDG Base Directory Specification says. */
function absolute(directory: string | undefined): string | undefined {
  return directory !== undefined && isAbsolute(directory) ? directory : undefined;
}

/** Makes the directories, 0700, and refuses ones that are not ours alone. */
export function makeDirectories(paths: HostPaths): void {
  makeRuntimeDirectory(paths.runtime);
  mkdirSync(dirname(paths.state), { recursive: true, mode: 0o700 });
  makePrivate(paths.state);
}

function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
    chmodSync(directory, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw asSystemError(error, directory);
  }
  checkPrivate(directory);
}

/** @throws SystemError EACCES when a directory is not ours alone: a link, another owner, open to others. */
export function checkPrivate(directory: string): void {
  const status = lstatSync(directory);
  const refuse = (why: string) => {
    throw new SystemError('EACCES', {
      path: directory,
      message: `${directory} ${why}`,
      hint: 'vmmctl trusts only a directory that is yours alone (mode 0700); remove it or set XDG_RUNTIME_DIR',
    });
  };
  if (!status.isDirectory()) refuse('is not a directory');
  if (status.uid !== ownUid()) refuse('belongs to another user');
  if ((status.mode & 0o077) !== 0) refuse('is open to other users');
}

/**
 * Whether the daemon's socket is there.
 * @throws SystemError EACCES when something is in its place that is no socket of ours.
 */
export function checkSocket(paths: HostPaths): boolean {
  let status: ReturnType<typeof lstatSync>;
  try {
    checkPrivate(dirname(paths.runtime));
    checkPrivate(paths.runtime);
    status = lstatSync(paths.socket);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  if (status.isSocket() && status.uid === ownUid()) return true;
  throw new SystemError('EACCES', {
    path: paths.socket,
    message: `${paths.socket} is not a socket of yours`,
    hint: 'somebody put it there; remove it and try again',
  });
}

function ownUid(): number {
  return process.getuid?.() ?? 0;
}

function asSystemError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'EACCES' && code !== 'EPERM' && code !== 'ENOENT') return error;
  return new SystemError(code, {
    path,
    message: `cannot make the directory ${path}`,
    cause: error,
  });
}
