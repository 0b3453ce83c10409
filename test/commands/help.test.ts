import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { CommandClass } from '../../src/cli/command.js';
import { completionScript, SHELLS } from '../../src/cli/completion/script.js';
import { TOPICS } from '../../src/cli/topics.js';
import { loaders } from '../../src/commands/index.js';
import { runLine } from '../cli/helpers/io.js';

const FAKE_HOST = fileURLToPath(new URL('../cli/fixtures/fake-host.js', import.meta.url));
const commands: Record<string, CommandClass> = {};
for (const [id, load] of Object.entries(loaders)) {
  commands[id] = Object.assign((await load()).default as CommandClass, { id });
}

t.test('every command says what it is and has two examples with long flags', async (t) => {
  for (const [id, command] of Object.entries(commands)) {
    t.ok(command.summary, id);
    t.ok(command.examples.length >= 2, `${id} has examples`);
    for (const { description, command: line } of command.examples) {
      t.ok(description, id);
      const words = `vmmctl ${id.replaceAll(':', ' ')}`;
      // A global flag may stand before the command.
      t.match(line.replace('--in web1 ', ''), words, id);
      // Another program's flags are its own affair.
      if (line.startsWith('vmmctl')) t.notMatch(line, / -[a-z] /, `${id}: long flags in '${line}'`);
    }
    for (const [name, flag] of Object.entries(command.flags)) t.ok(flag.summary, `${id} --${name}`);
  }
});

t.test('-h and --help show the help of a command, help WORDS too', async (t) => {
  const expected = vmmctl('list', '--help');
  t.equal(expected.status, 0);
  t.match(expected.stdout, /^list the VMs\n\nUSAGE\n {2}\$ vmmctl list \[--watch\]/);
  t.match(expected.stdout, /EXAMPLES.*DESCRIPTION.*FLAGS.*GLOBAL FLAGS/s);
  t.equal(vmmctl('list', '-h').stdout, expected.stdout);
  t.equal(vmmctl('help', 'list').stdout, expected.stdout);
  t.match(vmmctl('help', 'sim', 'start').stdout, 'vmmctl sim start [--profile');
  t.match(vmmctl('sim').stdout, 'sim restart');
  t.match(vmmctl('help', 'sim').stdout, 'sim restart');
  // A command with commands below it shows both.
  t.match(vmmctl('balloon', '--help').stdout, /vmmctl balloon \[VM...\].*balloon watch/s);
  t.equal(vmmctl('help', 'balloon').stdout, vmmctl('balloon', '-h').stdout);
  const root = vmmctl();
  t.match(root, { status: 0, stdout: /COMMANDS.*exit-codes/s, stderr: '' });
  t.equal(vmmctl('--help').stdout, root.stdout);
  t.equal(vmmctl('help').stdout, root.stdout);
});

t.test('help is about topics too, and about nothing unknown', async (t) => {
  for (const [name, { text }] of Object.entries(TOPICS)) {
    t.equal((await runLine(['help', name])).out, `${text}\n`, name);
  }
  t.match(await runLine(['help', 'lst']), {
    status: 2,
    out: '',
    err: /did you mean 'vmmctl list'\?/,
  });
});

t.test('a topic with something behind it is a mistake, and no help', async (t) => {
  for (const line of [
    'guestprop --vm web1 get /x',
    'vsock web1:22',
    'sim --json',
    '-q sim -- start',
  ]) {
    const ran = await runLine(line.split(' '));
    t.match(ran, { status: 2, out: '', err: /stands where a command of '\w+' is expected/ }, line);
  }
  t.match(vmmctl('sim', '-q', '--help'), { status: 0, stdout: /sim restart/ });
});

t.test('--version names vmmctl, Node and the platform in one line', async (t) => {
  for (const flag of ['--version', '-V']) {
    t.match((await runLine([flag])).out, /^vmmctl\/\d+\.\d+\.\d+ \w+-\w+ node-v\d+\.\d+\.\d+\n$/);
  }
});

t.test('the scripts of completion know every command and flag', async (t) => {
  for (const shell of SHELLS) {
    const { out, status } = await runLine(['completion', shell]);
    t.equal(status, 0);
    t.equal(out, completionScript(shell, commands));
    for (const [id, command] of Object.entries(commands)) {
      if (command.hidden) continue;
      t.match(out, id.replaceAll(':', ' '), id);
      for (const name of Object.keys(command.flags)) t.match(out, name, `${id} --${name}`);
    }
  }
});

t.test('bash completes words, flags, values and names', async (t) => {
  const script = completionScript('bash', commands);
  const complete = (line: string, name = 'web1') => {
    // bash ends words at these too.
    const words = line.split(' ').flatMap((word) => word.split(/([=:]+)/));
    if (/[=:]$/.test(line)) words.pop();
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const source = `vmmctl() { echo '${name}'; }\n${script}
COMP_LINE='${line}'; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _vmmctl; echo "\${COMPREPLY[*]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', source], { encoding: 'utf8' });
    t.equal(stderr, '', line);
    return stdout.trim();
  };
  t.equal(complete('vmmctl si'), 'sim');
  t.equal(complete('vmmctl sim st'), 'start stop status');
  t.equal(complete('vmmctl list --form'), '--format');
  t.equal(complete('vmmctl sim start --profile lin'), 'linux-6.12 linux-6.1');
  t.equal(complete('vmmctl destroy w'), 'web1');
  t.equal(complete('vmmctl --json destroy w'), 'web1');
  t.equal(complete('vmmctl list --in w'), 'web1');
  t.equal(complete('vmmctl create w'), '');
  t.equal(complete('vmmctl completion z'), 'zsh');
  t.equal(complete('vmmctl help exit'), 'exit-codes');
  t.equal(complete('vmmctl events raise w'), 'web1');
  t.equal(complete('vmmctl events raise web1 cpu'), 'cpu-hotplug');
  t.equal(complete('vmmctl events wait --mask vr'), 'vrdp');
  t.equal(complete('vmmctl guestprop set --vm w'), 'web1');
  t.equal(complete('vmmctl guestprop set --flags TRANSI'), 'TRANSIENT');
  t.equal(complete('vmmctl hgcm call VBoxGuestP'), 'VBoxGuestPropSvc');
  t.equal(complete('vmmctl create x -- --j'), '');
  t.equal(complete('vmmctl balloon '), 'set watch web1', 'words that go on, and names');
  t.equal(complete('vmmctl balloon w'), 'watch web1');
  t.equal(complete('vmmctl balloon web1 w'), 'watch web1');
  t.equal(complete('vmmctl balloon set w'), 'web1');
  t.equal(complete('vmmctl heartbeat set web1 --o'), '--on --off');
  t.equal(complete('vmmctl sim fault w'), 'web1');
  t.equal(complete('vmmctl sim fault web1 agent-'), 'agent-stop agent-refuse agent-lag=');
  t.equal(complete('vmmctl -b sim balloon w'), 'watch web1', 'sim is no command there');
  t.equal(complete('vmmctl --backend sim:test balloon w'), 'watch web1');
  t.equal(complete('vmmctl --backend=sim balloon w'), 'watch web1');
  t.equal(complete('vmmctl --in list balloon w'), 'watch web1');
  t.equal(complete('vmmctl balloon --in set w'), 'watch web1');
  t.equal(complete('vmmctl --in w'), 'web1', 'before the command');
  t.equal(complete('vmmctl --in=w'), 'web1');
  t.equal(complete('vmmctl list --in='), 'web1');
  const bold = '$(date>&2)';
  t.equal(complete('vmmctl list --in ', bold), bold, 'a name is not run');
  t.equal(complete('vmmctl guestprop set --flags=TRANSI'), 'TRANSIENT');
  t.equal(complete('vmmctl list --watch --form'), '--format', 'a flag without a value here');
  t.equal(complete('vmmctl hgcm call x 1 u3'), 'u32:');
  t.equal(complete('vmmctl hgcm call x 1 u32:'), '');
  t.equal(complete('vmmctl config get t'), 'timeout');
  t.equal(complete('vmmctl config set b'), 'backend');
});

t.test('the hidden command for completion fails in silence', async (t) => {
  t.match(await runLine(['__complete', 'vms']), { status: 0, err: '' });
});

function vmmctl(...argv: string[]) {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', NO_COLOR: '1' };
  return spawnSync(process.execPath, [FAKE_HOST, ...argv], { encoding: 'utf8', env });
}
