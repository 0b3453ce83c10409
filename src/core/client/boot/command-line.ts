/** A program with its arguments, as it is started and as it is written for a shell. */

export interface CommandLine {
  /** Variables that are set for it, besides those that it inherits. */
  env: Readonly<Record<string, string>>;
  program: string;
  args: readonly string[];
  /** A descriptor that is a socket, and takes what belongs to standard error. */
  logFd?: number | undefined;
}

/** As a line for a shell, without its newline. */
export function shellLine({ env, program, args }: CommandLine): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${shellWord(value)}`);
  return [...variables, ...[program, ...args].map(shellWord)].join(' ');
}

/** A word of the shell, quoted where it has to be. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : shellQuoted(text);
}

/** A word of the shell in quotes. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
