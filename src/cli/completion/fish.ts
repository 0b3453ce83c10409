/** Completion for fish. */
import {
  type CommandWords,
  type FlagWords,
  nextWords,
  quote,
  sharedFlags,
  valueFlags,
} from './words.js';

export function fishScript(commands: readonly CommandWords[]): string {
  const next = [...nextWords(commands)].flatMap(([before, words]) =>
    [...words].map(
      ([word, summary]) =>
        `complete -c vmmctl -f -n ${condition(before)} -a ${word} -d ${quote(summary)}`,
    ),
  );
  const flags = commands.flatMap((each) =>
    each.flags.map((flag) => `complete -c vmmctl -n ${condition(each.words)} ${flagOptions(flag)}`),
  );
  const args = commands.flatMap((each) => {
    const values = [
      ...(each.valuesAreVms ? ['(__vmmctl_vms)'] : []),
      ...(each.values.length > 0 ? [each.values.join(' ')] : []),
    ];
    return values.map(
      (words) => `complete -c vmmctl -f -n ${condition(each.words)} -a ${quote(words)}`,
    );
  });
  const shared = sharedFlags(commands);
  const early = shared.map((flag) => `complete -c vmmctl -n ${condition('')} ${flagOptions(flag)}`);
  const valued = valueFlags(shared).join(' ');
  const known = commands.map((each) => quote(each.words)).join(' ');
  return `# fish completion for vmmctl
function __vmmctl_vms
    vmmctl __complete vms 2>/dev/null
end

# The words of the command so far, as far as they name one.
function __vmmctl_words
    set -l found ''
    set -l value no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
            continue
        end
        # Flags of all commands whose value is the next word.
        contains -- $word ${valued}; and set value yes
        string match -q -- '-*' $word; and continue
        set -l longer (string trim -- "$found $word")
        for each in ${known}
            if test "$each" = "$longer"; or string match -q -- "$longer *" "$each"
                set found $longer
                break
            end
        end
    end
    echo $found
end

function __vmmctl_at
    test (__vmmctl_words) = "$argv"
end

${[...next, ...early, ...flags, ...args].join('\n')}
`;
}

function condition(words: string): string {
  return quote(words === '' ? '__vmmctl_at ""' : `__vmmctl_at ${words}`);
}

function flagOptions(flag: FlagWords): string {
  const parts = [`-l ${flag.name}`];
  if (flag.char) parts.unshift(`-s ${flag.char}`);
  if (flag.takesValue) parts.push('-x');
  if (flag.valuesAreVms) parts.push("-a '(__vmmctl_vms)'");
  else if (flag.values.length > 0) parts.push(`-a ${quote(flag.values.join(' '))}`);
  return `${parts.join(' ')} -d ${quote(flag.summary)}`;
}
