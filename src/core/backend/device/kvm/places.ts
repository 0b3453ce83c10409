/**
 * The sockets of the processes that hold VMs of KVM, one a VM. A socket is the claim to the VM's name; one that nobody
 * answers on is left over from a process that was killed, and its VM is gone.
 */
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { SystemError } from '../../../abi/errno.js';
import { takeLock } from '../../../daemon/lock.js';
import { checkPrivate, MAX_SOCKET_PATH } from '../../../daemon/paths.js';

const SUFFIX = '.sock';
/** Before the hash of a name that is too long for a socket's path; no encoded name begins so. */
const HASHED = '=';
const HASH_DIGITS = 32;

/** The path of a VM's socket. @throws SystemError ENAMETOOLONG when the directory's path leaves no room for any. */
export function socketPath(directory: string, name: string): string {
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS);
  for (const file of [encodeURIComponent(Buffer.from(name).toString()), `${HASHED}${hash}`]) {
    const path = join(directory, `${file}${SUFFIX}`);
    if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path;
  }
  throw new SystemError('ENAMETOOLONG', {
    path: directory,
    message: `the path of a VM's socket is longer than ${MAX_SOCKET_PATH} bytes`,
    hint: 'set XDG_RUNTIME_DIR to a shorter directory',
  });
}

/** The name of the VM whose socket it is, as far as the path tells. */
export function nameOfSocket(path: string): string {
  const file = basename(path, SUFFIX);
  try {
    return decodeURIComponent(file);
  } catch {
    return file;
  }
}

/** The sockets that are there. @throws SystemError EACCES when the directory is not ours alone. */
export function socketPaths(directory: string): string[] {
  try {
    checkPrivate(dirname(directory));
    checkPrivate(directory);
    const files = readdirSync(directory).filter((file) => file.endsWith(SUFFIX));
    return files.map((file) => join(directory, file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Listens on a VM's socket. @throws SystemError EEXIST when a process holds a VM of that name. */
export async function claim(server: Server, path: string): Promise<void> {
  const release = await takeLock(lockPath(path));
  try {
    if (await answers(path)) throw new SystemError('EEXIST');
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } finally {
    release();
  }
}

/** Removes a socket that nobody answers on; under the lock, since somebody may be about to take its place. */
export async function removeStale(path: string): Promise<void> {
  const release = await takeLock(lockPath(path));
  try {
    if (!(await answers(path))) rmSync(path, { force: true });
  } finally {
    release();
  }
}

function lockPath(path: string): string {
  return `${path}.lock`;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
