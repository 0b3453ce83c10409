/** Completion scripts, made from the table of commands. */
import type { CommandClass } from '../command.js';
import { type FlagTable, GLOBAL_FLAGS } from '../flags.js';
import { TOPICS } from '../topics.js';
import { bashScript } from './bash.js';
import { fishScript } from './fish.js';
import type { CommandWords, FlagWords } from './words.js';
import { zshScript } from './zsh.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Commands whose arguments name VMs that are there. */
const TAKES_NEW_NAME = new Set(['create']);

export function completionScript(
  shell: Shell,
  commands: Readonly<Record<string, CommandClass>>,
): string {
  const words = Object.entries(commands)
    .filter(([, command]) => !command.hidden)
    .map(([id, command]) => commandWords(id, command));
  if (shell === 'bash') return bashScript(words);
  return shell === 'zsh' ? zshScript(words) : fishScript(words);
}

const SHARED = flagsOf(GLOBAL_FLAGS);

function commandWords(id: string, command: CommandClass): CommandWords {
  const args = Object.entries(command.args);
  const values =
    id === 'help' ? Object.keys(TOPICS) : args.flatMap(([, arg]) => arg.options ?? arg.words ?? []);
  return {
    words: id.replaceAll(':', ' '),
    summary: command.summary,
    flags: [...flagsOf(command.flags), ...SHARED],
    values,
    valuesAreVms:
      !TAKES_NEW_NAME.has(id) && args.some(([name]) => /^(name|vm|cid|handle)$/.test(name)),
  };
}

function flagsOf(table: FlagTable): FlagWords[] {
  return Object.entries(table)
    .filter(([, flag]) => !flag.hidden)
    .map(([name, flag]) => ({
      name,
      char: flag.char,
      summary: flag.summary,
      takesValue: flag.type === 'option',
      values: flag.options ?? flag.words ?? [],
      valuesAreVms: name === 'in' || name === 'vm',
    }));
}
