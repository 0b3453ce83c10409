/** What a completion script knows of the commands. */

export interface FlagWords {
  name: string;
  char: string | undefined;
  summary: string;
  takesValue: boolean;
  /** What its value is one of; empty when that is not known. */
  values: readonly string[];
  valuesAreVms: boolean;
}

export interface CommandWords {
  /** As typed: `sim start`. */
  words: string;
  summary: string;
  flags: readonly FlagWords[];
  /** What its arguments are one of, or may be. */
  values: readonly string[];
  /** Names of VMs may stand among them. */
  valuesAreVms: boolean;
}

/** The next words after some words, with their summaries where they end a command. */
export function nextWords(commands: readonly CommandWords[]): Map<string, Map<string, string>> {
  const next = new Map<string, Map<string, string>>();
  for (const { words, summary } of commands) {
    const parts = words.split(' ');
    parts.forEach((part, i) => {
      const before = parts.slice(0, i).join(' ');
      const known = next.get(before) ?? new Map<string, string>();
      next.set(before, known);
      const last = i === parts.length - 1;
      if (last || !known.has(part)) known.set(part, last ? summary : `commands of ${part}`);
    });
  }
  return next;
}

/** The flags that each command has; they may stand before the command's words too. */
export function sharedFlags(commands: readonly CommandWords[]): readonly FlagWords[] {
  const [first, ...others] = commands;
  return (first?.flags ?? []).filter((flag) => others.every(({ flags }) => flags.includes(flag)));
}

/** `--backend` and `-b`. */
export function flagNames(flag: FlagWords): string[] {
  return [`--${flag.name}`, ...(flag.char ? [`-${flag.char}`] : [])];
}

/** Those of some flags whose value is the next word. */
export function valueFlags(flags: readonly FlagWords[]): string[] {
  return flags.filter((flag) => flag.takesValue).flatMap(flagNames);
}

/** For a single-quoted string of a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
