/**
 * The bridge to oclif: its configuration, parser and help. It becomes a bundle of its own that is loaded only
 * when needed, so nothing of vmmctl that has an identity (a class, a table) may be imported here but types.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandHelp, Config, Help, Parser, settings } from '@oclif/core';
import type { Grammar, RawInput } from './fast-parse.js';
import type { Problem } from './usage.js';

/** How to start oclif over our commands. */
export interface OclifOptions {
  /** Where package.json is. */
  root: string;
  /** The file that exports COMMANDS, the table that oclif finds commands in. */
  target: string;
  /** Carried to the command that oclif runs. */
  invocation: unknown;
}

/** Usage without the flags that all commands have, examples right after it, the whole description. */
class VmmctlCommandHelp extends CommandHelp {
  override sections(): ReturnType<CommandHelp['sections']> {
    const sections = super.sections();
    const first = ['USAGE', 'EXAMPLES', 'DESCRIPTION'];
    const rank = (header: string) =>
      first.includes(header) ? first.indexOf(header) : first.length;
    return sections.sort((a, b) => rank(a.header) - rank(b.header));
  }

  protected override defaultUsage(): string {
    const args = Object.entries(this.command.args).map(([name, { multiple, required }]) => {
      const word = name.toUpperCase() + (multiple ? '...' : '');
      return required ? word : `[${word}]`;
    });
    const flags = Object.entries(this.command.flags)
      .filter(([, flag]) => !flag.hidden && flag.helpGroup === undefined)
      .map(([name, flag]) => {
        if (flag.type === 'boolean') return `[--${name}]`;
        const value = flag.helpValue ?? flag.options?.join('|') ?? 'VALUE';
        return `[--${name} ${value}]${flag.multiple ? '...' : ''}`;
      });
    return [this.command.id, ...args, ...flags].join(' ');
  }

  protected override description(): string | undefined {
    const { description } = this.command;
    return description && this.wrap(description.replaceAll('\n', ' '));
  }
}

class VmmctlHelp extends Help {
  override CommandHelpClass = VmmctlCommandHelp;
}

/** Runs a command as oclif does, `argv` without the command's words; gives its exit status. */
export async function runCommand(
  id: string,
  argv: string[],
  options: OclifOptions,
): Promise<number> {
  const config = await loadConfig(options);
  return config.runCommand<number>(id, argv);
}

/** Shows the help of a command, of a topic, or (without words) of all. */
export async function showHelp(words: readonly string[], options: OclifOptions): Promise<void> {
  const config = await loadConfig(options);
  const help = new VmmctlHelp(config, {
    ...config.pjson.oclif.helpOptions,
    flagSortOrder: 'none',
  });
  await help.showHelp(words.length > 0 ? [words.join(':')] : []);
}

/** Parses with oclif's parser; values stay the texts that were typed. */
export async function parse(
  grammar: Grammar,
  argv: string[],
): Promise<{ input: RawInput } | { problem: Problem }> {
  try {
    const { flags, args } = await Parser.parse(argv, parserInput(grammar));
    return { input: { flags, args } as RawInput };
  } catch (error) {
    return { problem: problemOf(error) };
  }
}

/** The grammar without what we do ourselves: environment, defaults, conversion, which flags exclude each other. */
function parserInput(grammar: Grammar): Parameters<typeof Parser.parse>[1] {
  const flags = Object.entries(grammar.flags).map(([name, flag]) => {
    const { env: _env, default: _default, read: _read, exclusive: _exclusive, ...rest } = flag;
    return [name, { ...rest, name }];
  });
  const args = Object.entries(grammar.args).map(([name, { read: _read, ...rest }]) => [
    name,
    // Without ignoreStdin oclif would take a missing argument from standard input.
    { ...rest, name, ignoreStdin: true, parse: async (text: string) => text },
  ]);
  return { flags: Object.fromEntries(flags), args: Object.fromEntries(args), strict: true };
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof Error)) return { kind: 'other', message: String(error) };
  if (error.name === 'TypeError') throw error;
  const { flags, args } = error as { flags?: string[]; args?: (string | { name: string })[] };
  if (flags) return { kind: 'unknown-flags', names: flags };
  if (!args) return { kind: 'other', message: error.message };
  const words = args.filter((arg) => typeof arg === 'string');
  if (words.length > 0) return { kind: 'unexpected-args', words };
  const names = args.map((arg) => (typeof arg === 'string' ? arg : arg.name));
  return { kind: 'missing-args', names };
}

async function loadConfig(options: OclifOptions): Promise<Config> {
  settings.tsnodeEnabled = false;
  const pjson = JSON.parse(readFileSync(join(options.root, 'package.json'), 'utf8'));
  pjson.oclif.commands = { strategy: 'explicit', target: options.target, identifier: 'COMMANDS' };
  return Config.load({ root: options.root, pjson, invocation: options.invocation } as Parameters<
    typeof Config.load
  >[0]);
}
