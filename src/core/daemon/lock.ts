/**
 * The right to be the daemon of a host, for the short time in which its socket is put in place. The lock is a
 * file with the holder's process number, which appears complete or not at all (a hard link to a file that was
 * written before). A holder that died is recognised by its number, and replaced.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { SystemError } from '../abi/errno.js';

/** How long to wait for another starter, milliseconds. */
const PATIENCE_MS = 5000;

/** Takers in this process so far. */
let takers = 0;

/** Takes the lock; the returned function gives it back. @throws SystemError EBUSY when another keeps it too long. */
export async function takeLock(path: string, patienceMs = PATIENCE_MS): Promise<() => void> {
  const own = `${path}.${process.pid}.${++takers}`;
  const giveUpAt = performance.now() + patienceMs;
  writeFileSync(own, String(process.pid), { mode: 0o600 });
  try {
    while (!tryLink(own, path)) {
      if (performance.now() > giveUpAt) {
        throw new SystemError('EBUSY', { path, message: 'another start is under way' });
      }
      breakIfDead(path);
      await delay(10);
    }
  } finally {
    rmSync(own, { force: true });
  }
  return () => rmSync(path, { force: true });
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a dead holder's lock away. Whoever took a living one's by mistake puts it back. */
function breakIfDead(path: string): void {
  const holder = readHolder(path);
  if (holder === undefined || isAlive(holder)) return;
  const aside = `${path}.dead.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const taken = readHolder(aside);
  if (taken !== undefined && isAlive(taken)) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function readHolder(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
