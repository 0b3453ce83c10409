/** Which command the first words of a command line name, and what is meant when they name none. */
import { UsageError } from './errors.js';
import { GLOBAL_FLAGS } from './flags.js';
import { closest } from './suggest.js';

export interface Found {
  /** Words joined by `:`, as in the table of commands. */
  id: string;
  argv: string[];
}

/** Longest id, in words. */
const MAX_WORDS = 3;

/**
 * Global flags may stand before the command's words; they are moved behind them. Undefined when no command is
 * named, which is a request for help, for a topic or by mistake.
 */
export function findCommand(ids: readonly string[], argv: readonly string[]): Found | undefined {
  const { leading, rest } = splitLeadingFlags(argv);
  const words = leadingWords(rest);
  for (let count = Math.min(words.length, MAX_WORDS); count > 0; count--) {
    const id = words.slice(0, count).join(':');
    if (ids.includes(id)) return { id, argv: [...leading, ...rest.slice(count)] };
  }
  return undefined;
}

/** The words that stand for the command, without the flags before them. */
export function commandWords(argv: readonly string[]): string[] {
  return leadingWords(splitLeadingFlags(argv).rest);
}

/** What stands behind those words; undefined when nothing does. */
export function wordBehind(argv: readonly string[]): string | undefined {
  const { rest } = splitLeadingFlags(argv);
  return rest[leadingWords(rest).length];
}

/** The topic that the words name, such as `vsock`, if commands stand below it. */
export function findTopic(ids: readonly string[], words: readonly string[]): string | undefined {
  const topic = words.join(':');
  return words.length > 0 && ids.some((id) => id.startsWith(`${topic}:`)) ? topic : undefined;
}

/** For words that name no command: which ones are close. */
export function unknownCommand(ids: readonly string[], words: readonly string[]): UsageError {
  let known = 0;
  while (findTopic(ids, words.slice(0, known + 1)) !== undefined) known += 1;
  const typed = words.slice(0, known + 1).join(' ');
  const depth = known + 1;
  const names = ids.map((id) => id.split(':').slice(0, depth).join(' '));
  const near = closest(typed, [...new Set(names)]).map((name) => `'vmmctl ${name}'`);
  const help = ['vmmctl', ...words.slice(0, known), '--help'].join(' ');
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `see '${help}'`;
  return new UsageError(`unknown command '${typed}'`, hint);
}

function leadingWords(argv: readonly string[]): string[] {
  const end = argv.findIndex((token) => token.startsWith('-') || token.includes(':'));
  return argv.slice(0, end < 0 ? undefined : end);
}

function splitLeadingFlags(argv: readonly string[]): { leading: string[]; rest: string[] } {
  let end = 0;
  while (end < argv.length) {
    const taken = globalFlagLength(argv[end] ?? '');
    if (taken === 0 || end + taken > argv.length) break;
    end += taken;
  }
  return { leading: argv.slice(0, end), rest: argv.slice(end) };
}

/** How many words a global flag takes with its value; 0 when it is none. */
function globalFlagLength(token: string): number {
  for (const [name, flag] of Object.entries(GLOBAL_FLAGS)) {
    const takesValue = flag.type === 'option';
    if (token === `--${name}` || (flag.char && token === `-${flag.char}`))
      return takesValue ? 2 : 1;
    if (takesValue && token.startsWith(`--${name}=`)) return 1;
  }
  return 0;
}
