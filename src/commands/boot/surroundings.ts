/** What a guest gets of the surroundings of the command that boots it: terminal and environment. */
import type { ReadStream, WriteStream } from 'node:tty';
import type { Environment, Io } from '../../cli/io.js';

/** Variables that are as they are here. */
const INHERITED = ['HOME', 'LANG', 'LC_ALL', 'TERM', 'TZ'];
/** What the guest's first process needs to find its programs. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function guestEnvironment(
  env: Environment,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const path = env.PATH ? `${env.PATH}:${SYSTEM_PATH}` : SYSTEM_PATH;
  return { PATH: path, ...Object.fromEntries(inherited), ...own };
}

/** Undefined where there is no terminal, or one that doesn't know its size. */
export function terminalSize({ isTty, stdout }: Io): { rows: number; columns: number } | undefined {
  if (!isTty.stdout) return undefined;
  const { rows, columns } = stdout as Partial<WriteStream>;
  return rows && columns ? { rows, columns } : undefined;
}

/**
 * Hands what is typed to the guest as it is, where we have a terminal. Kernels do so too, but one that is killed does not
 * put things back.
 * @returns puts things back.
 */
export function rawTerminal({ isTty, stdin }: Io): () => void {
  if (!isTty.stdin || !isTty.stdout) return () => undefined;
  const terminal = stdin as Partial<ReadStream>;
  terminal.setRawMode?.(true);
  return () => terminal.setRawMode?.(false);
}
