/**
 * The right to be the daemon of a host, for the short time in which its socket is put in place. The lock is a
 * file with the holder's process number, which appears complete or not at all (a hard link to a file that was
 * written before). A holder that died is recognised by its number, and replaced. Since numbers begin anew, the time of its
 * start stands there too, where the system tells it.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { SystemError } from '../abi/errno.js';

/** How long to wait for another starter, milliseconds. */
const PATIENCE_MS = 5000;

interface Holder {
  pid: number;
  /** Clock ticks from the boot of the machine to the process's start; undefined where there is no /proc. */
  startedAt: string | undefined;
}

/** Takers in this process so far. */
let takers = 0;

/** Takes the lock; the returned function gives it back. @throws SystemError EBUSY when another keeps it too long. */
export async function takeLock(path: string, patienceMs = PATIENCE_MS): Promise<() => void> {
  const own = `${path}.${process.pid}.${++takers}`;
  const giveUpAt = performance.now() + patienceMs;
  writeFileSync(own, holderText(process.pid), { mode: 0o600 });
  try {
    while (!tryLink(own, path)) {
      if (performance.now() > giveUpAt) {
        const holder = readHolder(path);
        const by = holder === undefined ? '' : `, of process ${holder.pid}`;
        throw new SystemError('EBUSY', { path, message: `another start is under way${by}` });
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

function holderText(pid: number): string {
  return [pid, startOf(pid) ?? ''].join(' ').trim();
}

function readHolder(path: string): Holder | undefined {
  try {
    const [number, startedAt] = readFileSync(path, 'utf8').split(' ');
    const pid = Number(number);
    return Number.isInteger(pid) && pid > 0 ? { pid, startedAt } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, startedAt }: Holder): boolean {
  if (!isTaken(pid)) return false;
  const start = startOf(pid);
  return startedAt === undefined || start === undefined || start === startedAt;
}

/** Whether a process has that number. */
function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Field 22 of /proc/PID/stat; the name before it, in parentheses, may hold anything. Source: proc_pid_stat(5). */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[22 - 3];
  } catch {
    return undefined;
  }
}
