/** Descriptors that a process got without having asked for them. */
import { closeSync, readdirSync, readFileSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;
/** Beyond the three of stdio and the one on which a process of ours says that it is ready. */
const FIRST = 4;

/**
 * Closes what the process that started this one had open, a lock or the pipe of a script, so that nobody waits for a process
 * that outlives its command. Node opens its own with O_CLOEXEC, by which they are told apart; call it before anything
 * else opens some. Does nothing where there is no /proc.
 */
export function closeInherited(): void {
  for (const fd of openDescriptors()) {
    if (fd >= FIRST && isInherited(fd)) closeSync(fd);
  }
}

function openDescriptors(): number[] {
  try {
    return readdirSync('/proc/self/fd').map(Number);
  } catch {
    return [];
  }
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    // The one that the directory was read by.
    return false;
  }
}
