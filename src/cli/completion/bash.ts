/** Completion for bash 4 and later; needs nothing of bash-completion. */
import {
  type CommandWords,
  type FlagWords,
  flagNames,
  nextWords,
  quote,
  sharedFlags,
} from './words.js';

export function bashScript(commands: readonly CommandWords[]): string {
  const next = [...nextWords(commands)].map(
    ([before, words]) => `    ${quote(before)}) _vmmctl_reply ${list([...words.keys()])} ;;`,
  );
  const flags = commands.map(
    (each) => `    ${quote(each.words)}) _vmmctl_reply ${list(flagWords(each))} ;;`,
  );
  const args = commands.flatMap((each) => {
    const words = wordsFor(each);
    return words ? [`    ${quote(each.words)}) _vmmctl_reply ${words} ;;`] : [];
  });
  return `# bash completion for vmmctl
_vmmctl_vms() {
  vmmctl __complete vms 2>/dev/null
}

# Adds those of some words that begin as $cur does. compgen would run what a name has of shell in it.
_vmmctl_reply() {
  local known word
  IFS=$' \\t\\n' read -r -d '' -a known <<<"$*"
  for word in "\${known[@]}"; do
    [[ $word == "$cur"* ]] && COMPREPLY+=("$before$word")
  done
}

# Whether the word behind a flag of a command is the flag's value.
_vmmctl_takes_value() {
  case "$1 $2" in
${valueRows(commands)}
    *) return 1 ;;
  esac
}

# Words for the value of a flag of a command; one that is not known is left to the user.
_vmmctl_value() {
  case "$1 $2" in
${valueCases(commands)}
  esac
}

# What follows the words of a command: more of them, its flags, its arguments.
_vmmctl_word() {
  if [[ $cur == -* ]]; then
    case $1 in
${flags.join('\n')}
    esac
    return
  fi
  case $1 in
${next.join('\n')}
  esac
  case $1 in
${args.join('\n')}
  esac
}

_vmmctl() {
  local typed=() line=$COMP_LINE blank word words='' cur before='' kept i last
  COMPREPLY=()
  # bash ends words at = and : too; what no blank stands between is one word.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    blank=\${line%%[![:blank:]]*}
    line=\${line#"$blank"}
    line=\${line#"$word"}
    if [[ $i == 0 || -n $blank ]]; then typed+=("$word"); else typed[\${#typed[@]}-1]+=$word; fi
  done
  last=$((\${#typed[@]} - 1))
  cur=\${typed[last]}
  # The part of it that bash leaves as it is.
  [[ $word =~ ^[=:]+$ ]] && word=''
  kept=\${cur%"$word"}
  for ((i = 1; i < last; i++)); do
    word=\${typed[i]}
    case $word in
      --) return ;;
      -*) _vmmctl_takes_value "\${words//\\// }" "$word" && i=$((i + 1)) ;;
      *)
        case " ${commandList(commands)} " in
          *" \${words:+$words/}$word "* | *" \${words:+$words/}$word/"*) words=\${words:+$words/}$word ;;
        esac ;;
    esac
  done
  words=\${words//\\// }
  if ((i > last)); then
    _vmmctl_value "$words" "\${typed[last-1]}"
  elif [[ $cur == --*=* ]]; then
    before=\${cur%%=*}=
    cur=\${cur#*=}
    _vmmctl_value "$words" "\${before%=}"
  else
    _vmmctl_word "$words"
  fi
  COMPREPLY=("\${COMPREPLY[@]#"$kept"}")
  [[ \${COMPREPLY[*]} == *[=:] ]] && compopt -o nospace 2>/dev/null
  [[ -n \${COMPREPLY[*]} ]] || COMPREPLY=()
}
complete -o default -F _vmmctl vmmctl
`;
}

/** A row of patterns for each set of flags: those that all commands have, and those of each. */
function valueRows(commands: readonly CommandWords[]): string {
  const shared = sharedFlags(commands);
  const rows = [
    shared.flatMap((flag) => patterns('', flag)),
    ...commands.map(({ words, flags }) =>
      flags.filter((flag) => !shared.includes(flag)).flatMap((flag) => patterns(words, flag)),
    ),
  ];
  return rows
    .filter((row) => row.length > 0)
    .map((row) => `    ${row.join(' | ')}) ;;`)
    .join('\n');
}

/** A row for each set of words that a value may be one of. */
function valueCases(commands: readonly CommandWords[]): string {
  const shared = sharedFlags(commands);
  const rows = new Map<string, string[]>();
  const add = (words: string, flag: FlagWords) => {
    const values = wordsFor(flag);
    if (values) rows.set(values, [...(rows.get(values) ?? []), ...patterns(words, flag)]);
  };
  for (const flag of shared) add('', flag);
  for (const { words, flags } of commands) {
    for (const flag of flags) if (!shared.includes(flag)) add(words, flag);
  }
  return [...rows]
    .map(([values, row]) => `    ${row.join(' | ')}) _vmmctl_reply ${values} ;;`)
    .join('\n');
}

/** What a flag with a value looks like behind a command's words, or behind any. */
function patterns(words: string, flag: FlagWords): string[] {
  if (!flag.takesValue) return [];
  const any = words === '' ? '*' : '';
  return flagNames(flag).map((name) => `${any}${quote(`${words} ${name}`)}`);
}

/** Arguments for _vmmctl_reply; undefined where no words are known. */
function wordsFor(what: Pick<CommandWords, 'values' | 'valuesAreVms'>): string | undefined {
  const words = [
    ...(what.valuesAreVms ? ['"$(_vmmctl_vms)"'] : []),
    ...(what.values.length > 0 ? [list(what.values)] : []),
  ];
  return words.length > 0 ? words.join(' ') : undefined;
}

function flagWords(command: CommandWords): string[] {
  return command.flags.map((flag) => `--${flag.name}`);
}

function commandList(commands: readonly CommandWords[]): string {
  return commands.map((each) => each.words.replaceAll(' ', '/')).join(' ');
}

function list(words: readonly string[]): string {
  return quote(words.join(' '));
}
