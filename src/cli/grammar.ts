/** The grammar of a command: its flags with the global ones, its arguments, and what comes after `--`. */
import { endOfFlags, type Grammar } from './fast-parse.js';
import { GLOBAL_FLAGS } from './flags.js';

export function grammarOf(command: Grammar): Grammar {
  return { flags: { ...GLOBAL_FLAGS, ...command.flags }, args: command.args };
}

/**
 * Takes what follows `--` away from the parser where it is a command to be run: oclif sorts the words of
 * `-- cp a b a` by their first place and would run something else.
 */
export function splitRest(
  command: { rest: boolean },
  argv: readonly string[],
): { own: string[]; rest: string[] } {
  if (!command.rest) return { own: [...argv], rest: [] };
  const end = endOfFlags(argv);
  return { own: argv.slice(0, end), rest: argv.slice(end + 1) };
}

/** `vsock:connect` as it is typed. */
export function wordsOf(id: string): string {
  return id.replaceAll(':', ' ');
}
