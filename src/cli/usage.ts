/** Says in one line what is wrong with a command line that a parser refused, and what was likely meant. */
import { UsageError } from './errors.js';
import { endOfFlags, type Grammar, type RawInput } from './fast-parse.js';
import { closest } from './suggest.js';

/** What oclif's parser found wrong. */
export type Problem =
  | { kind: 'unknown-flags'; names: string[] }
  | { kind: 'unexpected-args'; words: string[] }
  | { kind: 'missing-args'; names: string[] }
  | { kind: 'other'; message: string };

export function usageError(problem: Problem, grammar: Grammar, command: string): UsageError {
  const help = `see 'vmmctl ${command} --help'`;
  switch (problem.kind) {
    case 'unknown-flags':
      return unknownFlag(problem.names[0] ?? '', grammar, help);
    case 'unexpected-args':
      return new UsageError(`unexpected argument '${problem.words[0] ?? ''}'`, help);
    case 'missing-args':
      return new UsageError(
        `${problem.names.map((name) => name.toUpperCase()).join(' and ')} is missing`,
        help,
      );
    default:
      return otherProblem(problem.message, help);
  }
}

/**
 * Flags that oclif's parser would misread: names that every object inherits, which it takes for flags, and a
 * value given to a flag that takes none, which it takes for an argument.
 */
export function checkFlagNames(
  argv: readonly string[],
  grammar: Grammar,
  command: string,
): UsageError | undefined {
  for (const token of argv.slice(0, endOfFlags(argv))) {
    if (!token.startsWith('--')) continue;
    const [name = '', value] = token.slice(2).split(/=(.*)/s);
    const flag = Object.hasOwn(grammar.flags, name) ? grammar.flags[name] : undefined;
    const help = `see 'vmmctl ${command} --help'`;
    if (!flag) return unknownFlag(token, grammar, help);
    if (flag.type === 'boolean' && value !== undefined) {
      return new UsageError(`--${name} takes no value`, help);
    }
  }
  return undefined;
}

/** Flags that may not be given together. */
export function checkExclusive(
  { flags }: RawInput,
  grammar: Grammar,
  command: string,
): UsageError | undefined {
  for (const name of Object.keys(flags)) {
    const other = grammar.flags[name]?.exclusive?.find((each) => flags[each] !== undefined);
    if (other === undefined) continue;
    const help = `see 'vmmctl ${command} --help'`;
    return new UsageError(`--${name} and --${other} exclude each other`, help);
  }
  return undefined;
}

function unknownFlag(token: string, grammar: Grammar, help: string): UsageError {
  const typed = token.split('=')[0] ?? token;
  const long = typed.startsWith('--');
  const near = long
    ? closest(typed.slice(2), visibleFlags(grammar)).map((name) => `--${name}`)
    : [];
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : help;
  return new UsageError(`unknown flag ${typed}`, hint);
}

function visibleFlags(grammar: Grammar): string[] {
  return Object.keys(grammar.flags).filter((name) => !grammar.flags[name]?.hidden);
}

/** oclif's own words, without the lines that it adds below. */
function otherProblem(message: string, help: string): UsageError {
  const lines = message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('See more help'));
  const text = lines.join(' ').replace('The following error occurred: ', '');
  const choice = /^Expected (?:--\S+?=)?(.*) to be one of: (.*)$/s.exec(text);
  if (!choice) return new UsageError(text, help);
  const near = closest(choice[1] ?? '', (choice[2] ?? '').split(', '));
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : help;
  return new UsageError(text.charAt(0).toLowerCase() + text.slice(1), hint);
}
