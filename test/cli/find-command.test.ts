import t from 'tap';
import { findCommand, findTopic, unknownCommand } from '../../src/cli/find-command.js';
import { closest, editDistance } from '../../src/cli/suggest.js';

const IDS = ['list', 'create', 'balloon', 'balloon:set', 'vsock:connect', 'vmci:queue:create'];

t.test('a command is found by its words, the longest first', async (t) => {
  const lines: [string, string | undefined, string][] = [
    ['list', 'list', ''],
    ['list --json x', 'list', '--json x'],
    ['balloon set web1', 'balloon:set', 'web1'],
    ['balloon web1', 'balloon', 'web1'],
    ['vmci queue create 4K', 'vmci:queue:create', '4K'],
    ['vsock connect web1 22', 'vsock:connect', 'web1 22'],
    ['vsock', undefined, ''],
    ['vsock:connect', undefined, ''],
    ['nope', undefined, ''],
    ['', undefined, ''],
    ['-- list', undefined, ''],
  ];
  for (const [line, id, rest] of lines) {
    const found = findCommand(IDS, line.split(' ').filter(Boolean));
    t.equal(found?.id, id, line);
    if (found) t.equal(found.argv.join(' '), rest, line);
  }
});

t.test('global flags may stand before the command', async (t) => {
  const argv = '-b sim:x --json --in=web1 vsock connect 3 22'.split(' ');
  t.same(findCommand(IDS, argv), {
    id: 'vsock:connect',
    argv: ['-b', 'sim:x', '--json', '--in=web1', '3', '22'],
  });
  t.equal(findCommand(IDS, ['--columns', 'a', 'list']), undefined);
  t.equal(findCommand(IDS, ['-b']), undefined);
});

t.test('words that name no command get near ones named', async (t) => {
  const hint = (line: string) => unknownCommand(IDS, line.split(' ')).hint;
  t.equal(hint('lst'), "did you mean 'vmmctl list'?");
  t.equal(hint('vsock conect 3 22'), "did you mean 'vmmctl vsock connect'?");
  t.equal(hint('zzzzzz'), "see 'vmmctl --help'");
  t.equal(unknownCommand(IDS, ['vsock', 'zzzzzz']).message, "unknown command 'vsock zzzzzz'");
  t.equal(hint('vsock zzzzzz'), "see 'vmmctl vsock --help'");
  t.equal(findTopic(IDS, ['vmci', 'queue']), 'vmci:queue');
  t.equal(findTopic(IDS, ['list']), undefined);
});

t.test('distance counts single mistakes', async (t) => {
  t.equal(editDistance('list', 'list'), 0);
  t.equal(editDistance('lsit', 'list'), 1, 'a swap');
  t.equal(editDistance('lis', 'list'), 1);
  t.equal(editDistance('', 'list'), 4);
  t.same(closest('formt', ['format', 'json', 'sort']), ['format']);
  t.same(closest('x', ['format']), []);
});
