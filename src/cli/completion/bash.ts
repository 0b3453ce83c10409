/** Completion for bash 4 and later; needs nothing of bash-completion. */
import { type CommandWords, nextWords, quote } from './words.js';

export function bashScript(commands: readonly CommandWords[]): string {
  const next = [...nextWords(commands)].map(
    ([before, words]) =>
      `    ${quote(before)}) COMPREPLY=($(compgen -W ${list([...words.keys()])} -- "$cur")) ;;`,
  );
  const flags = commands.map(
    (each) =>
      `    ${quote(each.words)}) COMPREPLY=($(compgen -W ${list(flagWords(each))} -- "$cur")) ;;`,
  );
  const args = commands.flatMap((each) => {
    const replies = [
      ...(each.valuesAreVms ? ['"$(_vmmctl_vms)"'] : []),
      ...(each.values.length > 0 ? [list(each.values)] : []),
    ].map((words) => `COMPREPLY+=($(compgen -W ${words} -- "$cur"))`);
    return replies.length > 0 ? [`    ${quote(each.words)}) ${replies.join('; ')} ;;`] : [];
  });
  return `# bash completion for vmmctl
_vmmctl_vms() {
  vmmctl __complete vms 2>/dev/null
}

_vmmctl() {
  local cur prev word words='' i
  COMPREPLY=()
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in --) return ;; -*) continue ;; esac
    case " ${commandList(commands)} " in
      *" \${words:+$words/}$word "* | *" \${words:+$words/}$word/"*) words=\${words:+$words/}$word ;;
    esac
  done
  words=\${words//\\// }
  case $prev in
${valueCases(commands)}
  esac
  if [[ $cur == -* ]]; then
    case $words in
${flags.join('\n')}
    esac
    return
  fi
  case $words in
${next.join('\n')}
  esac
  case $words in
${args.join('\n')}
  esac
}
complete -o default -F _vmmctl vmmctl
`;
}

/** What follows a flag that takes a value; a value that is not known is left to the user. */
function valueCases(commands: readonly CommandWords[]): string {
  const seen = new Map<string, string>();
  for (const flag of commands.flatMap((each) => each.flags)) {
    if (!flag.takesValue || seen.has(flag.name)) continue;
    const names = [`--${flag.name}`, ...(flag.char ? [`-${flag.char}`] : [])].join('|');
    const words = flag.valuesAreVms ? '"$(_vmmctl_vms)"' : list(flag.values);
    const reply = `COMPREPLY=($(compgen -W ${words} -- "$cur"));`;
    const some = flag.valuesAreVms || flag.values.length > 0;
    seen.set(flag.name, `    ${names}) ${some ? `${reply} ` : ''}return ;;`);
  }
  return [...seen.values()].join('\n');
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
