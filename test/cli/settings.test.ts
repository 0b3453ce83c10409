import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { configPath, readConfig, resolveSetting, writeConfig } from '../../src/cli/settings.js';
import { runLine, WAYS } from './helpers/io.js';

t.test('flag, environment, file, default: the first that is there', async (t) => {
  const env = { VMMCTL_BACKEND: 'sim:env' };
  const file = { backend: 'sim:file' };
  t.same(resolveSetting('backend', 'x', env, file), { value: 'x', origin: 'flag' });
  t.same(resolveSetting('backend', undefined, env, file), {
    value: 'sim:env',
    origin: 'environment',
  });
  t.same(resolveSetting('backend', undefined, { VMMCTL_BACKEND: '' }, file), {
    value: 'sim:file',
    origin: 'file',
  });
  t.same(resolveSetting('backend', undefined, {}, {}), { value: 'sim', origin: 'default' });
  t.same(resolveSetting('in', undefined, {}, {}), { value: undefined, origin: 'unset' });
});

t.test('the file is written whole, and an empty value takes a key out', async (t) => {
  const env = { XDG_CONFIG_HOME: t.testdir() };
  t.same(readConfig(env), {});
  writeConfig(env, 'backend', 'sim:a');
  writeConfig(env, 'timeout', '2s');
  t.same(readConfig(env), { backend: 'sim:a', timeout: '2s' });
  writeConfig(env, 'backend', '');
  t.same(JSON.parse(readFileSync(configPath(env), 'utf8')), { timeout: '2s' });
});

for (const way of WAYS) {
  t.test(`a command uses the settings (${way})`, async (t) => {
    const env = { XDG_CONFIG_HOME: t.testdir() };
    t.equal((await runLine(['config', 'set', 'backend', 'sim:file'], { env, way })).status, 0);
    t.equal((await runLine(['list'], { env, way })).backend.uri, 'sim:file');
    const more = { ...env, VMMCTL_BACKEND: 'sim:env' };
    t.equal((await runLine(['list'], { env: more, way })).backend.uri, 'sim:env');
    t.equal(
      (await runLine(['list', '-b', 'sim:flag'], { env: more, way })).backend.uri,
      'sim:flag',
    );
    const get = await runLine(['config', 'get', 'backend', '--json'], { env: more, way });
    t.same(JSON.parse(get.out), { key: 'backend', value: 'sim:env', origin: 'environment' });
    const list = await runLine(['config', 'list'], { env, way });
    t.match(list.out, /^backend +sim:file +file$/m);
    t.match(list.out, /^in +- +unset$/m);
  });
}

t.test('wrong keys, values and files are refused', async (t) => {
  const env = { XDG_CONFIG_HOME: t.testdir() };
  t.match(await runLine(['config', 'set', 'bakend', 'sim'], { env }), {
    status: 2,
    err: /did you mean 'backend'\?/,
  });
  t.match(await runLine(['config', 'set', 'backend', 'foo'], { env }), { status: 2 });
  t.match(await runLine(['config', 'set', 'timeout', '5'], { env }), { status: 2 });
  t.match(await runLine(['config', 'get', 'in'], { env }), { status: 3, out: '' });
  mkdirSync(join(env.XDG_CONFIG_HOME, 'vmmctl'));
  const path = configPath(env);
  const unset = (key: string) => `hint: take it out: vmmctl config set ${key} ''`;
  const files: [string, string, string][] = [
    ['{', `${path} is not valid JSON (EINVAL)`, `hint: correct or remove ${path}`],
    ['[]', `${path} is not a JSON object (EINVAL)`, `hint: correct or remove ${path}`],
    ['{"backend":1}', `${path}: backend is not a string (EINVAL)`, unset('backend')],
    ['{"a":"x"}', `${path}: 'a' is no key of the configuration (EINVAL)`, unset('a')],
  ];
  for (const [text, message, hint] of files) {
    writeFileSync(path, text);
    for (const command of ['list', 'config list', 'config get in']) {
      const { status, out, err } = await runLine(command.split(' '), { env });
      t.same({ status, out }, { status: 2, out: '' }, text);
      t.equal(err, `vmmctl: ${command.replace(' in', '')}: ${message}\n${hint}\n`);
    }
    if (text.startsWith('{"')) continue;
    t.match(await runLine(['config', 'set', 'in', 'web1'], { env }), { status: 2 }, text);
    t.equal(readFileSync(path, 'utf8'), text, 'it is left as it was');
  }
});

t.test('a wrong file is mended a key at a time', async (t) => {
  const env = { XDG_CONFIG_HOME: t.testdir() };
  const path = configPath(env);
  writeConfig(env, 'in', 'web1');
  writeFileSync(path, '{"foo":"x","backend":1,"timeout":"abc"}');
  const set = (...words: string[]) => runLine(['config', 'set', ...words], { env });
  t.match(await set('foo', 'y'), { status: 2, err: /'foo' is no key/ });
  t.match(await set('bar', ''), { status: 2, err: /'bar' is no key/ });
  t.match(await set('foo', ''), { status: 0, err: '' });
  t.match(await set('backend', 'sim:a'), { status: 0, err: '' });
  t.same(JSON.parse(readFileSync(path, 'utf8')), { backend: 'sim:a', timeout: 'abc' });
  t.match(await runLine(['list'], { env }), {
    status: 2,
    err: `vmmctl: list: ${path}: timeout: 'abc' is not a duration (EINVAL)
hint: a duration is a number and a unit: 500ms, 2s, 1m, 1h; take it out: vmmctl config set timeout ''
`,
  });
  t.match(await set('timeout', ''), { status: 0 });
  t.match(await runLine(['list'], { env }), { status: 0 });
});

t.test('a wrong value is named by where it stands', async (t) => {
  const variable = { VMMCTL_BACKEND: 'foo' };
  t.match(await runLine(['list'], { env: variable }), {
    status: 2,
    err: /^vmmctl: list: VMMCTL_BACKEND: 'foo' is not a backend/,
  });
  t.match(await runLine(['list', '-b', 'foo'], { env: variable }), {
    err: /^vmmctl: list: --backend: 'foo' is not a backend/,
  });
});

t.test('an --in of the environment does not disturb commands of the host', async (t) => {
  t.equal((await runLine(['list'], { env: { VMMCTL_IN: 'web1' } })).status, 0);
  t.match(await runLine(['list', '--in', 'web1']), { status: 2, err: /--in has no meaning here/ });
  t.equal((await runLine(['list', '--in', 'host'])).status, 0);
});
