/** Completion for zsh. */
import {
  type CommandWords,
  type FlagWords,
  nextWords,
  quote,
  sharedFlags,
  valueFlags,
} from './words.js';

export function zshScript(commands: readonly CommandWords[]): string {
  const next = [...nextWords(commands)].map(([before, words]) => {
    const rows = [...words].map(([word, summary]) => quote(`${escapeColon(word)}:${summary}`));
    return `    ${quote(before)})\n      next=(${rows.join(' ')}) ;;`;
  });
  const shared = sharedFlags(commands);
  const specs = [
    specsCase('', shared.map(flagSpec)),
    ...commands.map((each) => specsCase(each.words, [...each.flags.map(flagSpec), argSpec(each)])),
  ];
  const known = commands.map((each) => quote(each.words)).join(' ');
  const valued = valueFlags(shared).join(' ');
  return `#compdef vmmctl
# zsh completion for vmmctl
_vmmctl_vms() {
  local -a names
  names=(\${(f)"$(vmmctl __complete vms 2>/dev/null)"})
  compadd -a names
}

_vmmctl() {
  local found='' longer word i used=1
  local -a known next specs valued
  known=(${known})
  # Flags of all commands whose value is the next word.
  valued=(${valued})
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    (( \${valued[(Ie)$word]} )) && (( i++ ))
    [[ $word == -* ]] && continue
    longer=\${found:+$found }$word
    if (( \${known[(Ie)$longer]} )) || [[ -n \${(M)known:#$longer *} ]]; then
      found=$longer
      used=$i
    fi
  done
  case $found in
${next.join('\n')}
  esac
  if (( \${#next} && i == CURRENT )) && [[ \${words[CURRENT]} != -* ]]; then
    _describe 'command' next
  fi
  case $found in
${specs.join('\n')}
  esac
  (( \${#specs} )) || return 0
  shift $((used - 1)) words
  (( CURRENT -= used - 1 ))
  _arguments -s -S : $specs
}

if [[ $funcstack[1] == _vmmctl ]]; then
  _vmmctl "$@"
else
  compdef _vmmctl vmmctl
fi
`;
}

function specsCase(words: string, specs: readonly string[]): string {
  const lines = specs.map((spec) => `        ${spec}\n`);
  return `    ${quote(words)})\n      specs=(\n${lines.join('')}      ) ;;`;
}

function flagSpec(flag: FlagWords): string {
  const text = flag.summary.replaceAll(/[[\]:]/g, (char) => `\\${char}`);
  const values = flag.valuesAreVms
    ? '_vmmctl_vms'
    : flag.values.length > 0
      ? `(${flag.values.join(' ')})`
      : ' ';
  const value = flag.takesValue ? `:${flag.name}:${values}` : '';
  const long = quote(`--${flag.name}${flag.takesValue ? '=' : ''}[${text}]${value}`);
  const short = flag.char
    ? ` ${quote(`-${flag.char}${flag.takesValue ? '+' : ''}[${text}]${value}`)}`
    : '';
  return `${long}${short}`;
}

function argSpec(command: CommandWords): string {
  const { values, valuesAreVms } = command;
  if (valuesAreVms && values.length > 0) {
    return quote(`*:VM or word:{ _vmmctl_vms; compadd ${values.join(' ')} }`);
  }
  if (valuesAreVms) return quote('*:VM:_vmmctl_vms');
  if (values.length > 0) return quote(`*:word:(${values.join(' ')})`);
  return quote('*::word:_default');
}

function escapeColon(word: string): string {
  return word.replaceAll(':', '\\:');
}
