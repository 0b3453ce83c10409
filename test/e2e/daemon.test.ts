import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { type Host, isAlive, openFiles, simulatedHost, until } from '../helpers/host.js';

interface Status {
  running: boolean;
  pid: number;
  startedAt: string;
  options: Record<string, unknown>;
  logFile: string;
}

const status = (host: Host, ...more: string[]) => host.json<Status>(['sim', 'status', ...more]);

t.test('many starters at once end with one daemon', async (t) => {
  for (const count of [2, 10]) {
    const host = await simulatedHost(t);
    const lists = Array.from({ length: count }, (_, i) => host.run(['create', `vm${i}`]));
    for (const { status, stderr } of await Promise.all(lists))
      t.match({ status, stderr }, { status: 0, stderr: '' });
    t.equal((await host.json<object[]>(['list'])).length, count);
    const log = (await host.run(['sim', 'log'])).stdout.toString();
    t.equal(log.match(/started, process/g)?.length, 1);
  }
});

t.test('it holds nothing that its first caller had open', async (t) => {
  const host = await simulatedHost(t);
  const { status } = await host.shell('exec 40>lock 200>lock; flock 200; vmmctl create web1').ended;
  t.equal(status, 0);
  t.match(await host.run(['list', '--quiet']), { stdout: Buffer.from('web1\n') });
  t.same(
    openFiles(await host.daemon()).filter((path) => path.endsWith('/lock')),
    [],
  );
  t.match(await host.shell('flock --nonblock lock true').ended, { status: 0 });
});

t.test('start, status, stop, restart, log', async (t) => {
  const host = await simulatedHost(t);
  t.match(await status(host), { running: false, pid: null });
  t.match(await host.run(['sim', 'log']), { status: 3, stderr: /has no log \(ENOENT\)/ });
  t.match(await host.run(['sim', 'stop']), { status: 0, stderr: /did not run/ });
  const start = ['sim', 'start', '--seed', '42', '--max-vms', '2', '--idle', '1h'];
  t.match(await host.run(start), { status: 0, stderr: /started \(process \d+\)/ });
  t.match(await host.run(start), { status: 0, stderr: /runs already/ });
  t.match(await host.run(['sim', 'start', '--seed', '43']), {
    status: 4,
    stderr: /it runs already, with seed 42 \(EBUSY\)/,
  });
  t.equal((await host.run(['sim', 'start', '--seed', '9999999999'])).status, 2);
  t.equal((await host.run(['sim', 'start', '--profile', 'linux-2.4'])).status, 2);
  await host.run(['create', 'web1', '--cid', '8', '--label', 'a=b']);
  const before = await status(host);
  const vms = await host.json(['list']);
  t.match(await host.run(['sim', 'restart']), { status: 0, stderr: /restarted/ });
  const after = await status(host);
  t.not(after.pid, before.pid);
  t.same(after.options, before.options, 'with the options that it had, and the seed');
  t.same(await host.json(['list']), vms);
  t.match(await host.run(['sim', 'stop']), { status: 0, stderr: /stopped/ });
  await until('the process is gone', () => !isAlive(after.pid));
  t.match(await status(host), { running: false });
  t.match((await host.run(['sim', 'log'])).stdout.toString(), /ends: stopped\n$/);
  t.same(await host.json(['list']), vms, 'it starts by itself');
  t.same((await status(host)).options, before.options);
});

t.test('the log as JSON, and for a while', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const lines = (await host.run(['sim', 'log'])).stdout.toString().trimEnd().split('\n');
  const entries = await host.json<{ time: string; text: string }[]>(['sim', 'log']);
  t.same(
    entries.map(({ time, text }) => `${time} ${text}`),
    lines,
  );
  const followed = ['sim', 'log', '--follow', '--lines', '1', '--json'];
  const follow = host.start(followed);
  await follow.waitForOutput('}\n');
  await host.run(['sim', 'restart']);
  await follow.waitForOutput('ends: ');
  follow.kill();
  const documents = (await follow.ended).stdout.toString().trimEnd().split('\n');
  t.same(JSON.parse(documents[0] ?? ''), entries.at(-1));
  t.match(JSON.parse(documents.at(-1) ?? ''), { time: /Z$/, text: String });

  const { logFile } = await status(host);
  writeFileSync(logFile, 'no time\nand no e');
  t.same(await host.json(['sim', 'log', '--lines', '2']), [
    { time: null, text: 'no time' },
    { time: null, text: 'and no e' },
  ]);
  const late = await host.run(['sim', 'log', '--follow', '--timeout', '500ms']);
  t.match(late, { status: 6, stderr: /not done within 500ms \(ETIMEDOUT\)\n/ });
  t.equal(late.stdout.toString(), 'no time\n', 'a line that is still being written is no line');
});

t.test('a seed makes automatic ports repeatable', async (t) => {
  const ports: string[] = [];
  for (const seed of ['7', '7', '8']) {
    const host = await simulatedHost(t);
    await host.run(['sim', 'start', '--seed', seed]);
    const listen = host.start(['vsock', 'listen', 'any']);
    ports.push((await listen.waitFor(/port (\d+)/))[1] ?? '');
  }
  t.equal(ports[0], ports[1]);
  t.not(ports[0], ports[2]);
});

t.test('two hosts side by side', async (t) => {
  const host = await simulatedHost(t);
  for (const name of ['a', 'b']) await host.run(['create', `vm-${name}`, '-b', `sim:${name}`]);
  t.match(await host.json(['list', '-b', 'sim:a']), [{ name: 'vm-a' }]);
  t.match(await host.json(['list', '-b', 'sim:b']), [{ name: 'vm-b' }]);
  t.not((await status(host, '-b', 'sim:a')).pid, (await status(host, '-b', 'sim:b')).pid);
  await host.run(['sim', 'stop', '-b', 'sim:a']);
  t.match(await status(host, '-b', 'sim:b'), { running: true });
  t.equal((await host.run(['list', '-b', 'sim:../x'])).status, 2);
  t.equal((await host.run(['sim', 'status', '-b', 'device'])).status, 2);
});

t.test('it ends by itself when nothing is left in it, and not before', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['sim', 'start', '--idle', '1500ms']);
  await host.run(['create', 'web1']);
  const { pid } = await status(host);
  // A second host, which is as impatient and empty, shows that the time has passed.
  const passed = async () => {
    await host.run(['sim', 'start', '--idle', '1600ms', '-b', 'sim:other']);
    const { pid } = await status(host, '-b', 'sim:other');
    // It may have ended before it could be asked.
    if (pid !== null) await until('the other one ends', () => !isAlive(pid));
  };
  await passed();
  t.ok(isAlive(pid), 'a VM keeps it');
  const watch = host.start(['list', '--watch']);
  await watch.waitForOutput('web1');
  await host.run(['destroy', 'web1']);
  await passed();
  t.ok(isAlive(pid), 'a client keeps it');
  watch.kill();
  await until('it ends', () => !isAlive(pid));
  t.match(await status(host), { running: false });
  t.equal((await host.shell(`ls ${host.runtime}`).ended).stdout.toString(), '');
});

t.test('a daemon of another version', async (t) => {
  const host = await simulatedHost(t);
  mkdirSync(host.runtime, { recursive: true, mode: 0o700 });
  const script = `
    const line = 'VMMCTL/2 error ' + JSON.stringify({ code: 'EPROTONOSUPPORT', version: '9.0.0', pid: process.pid });
    const server = require('node:net').createServer((c) => { c.on('error', () => {}); c.end(line + '\\n'); });
    require('node:fs').rmSync(process.argv[1], { force: true });
    server.listen(process.argv[1], () => console.error('ready'));`;
  const fake = async () => {
    const server = host.program(process.execPath, ['-e', script, `${host.runtime}/sim.sock`]);
    await server.waitFor('ready');
    return server;
  };
  const server = await fake();
  for (const command of [['list'], ['create', 'x'], ['sim', 'status'], ['sim', 'start']]) {
    const { status, stderr } = await host.run(command);
    t.equal(status, 1, command.join(' '));
    t.match(
      stderr,
      /another version of vmmctl \(9\.0\.0\) \(EPROTONOSUPPORT\)\nhint: .*sim restart/,
    );
  }
  t.equal((await host.run(['sim', 'restart'])).status, 0);
  t.equal((await server.ended).signal, 'SIGTERM');
  t.match(await status(host), { running: true });
  await host.run(['sim', 'stop']);
  const again = await fake();
  t.match(await host.run(['sim', 'stop']), { status: 0, stderr: /stopped/ });
  await again.ended;
  t.match(await status(host), { running: false });
});

t.test('something else that answers on its socket', async (t) => {
  const host = await simulatedHost(t);
  mkdirSync(host.runtime, { recursive: true, mode: 0o700 });
  const script = `
    const server = require('node:net').createServer((c) => { c.on('error', () => {}); c.end(process.argv[2]); });
    require('node:fs').rmSync(process.argv[1], { force: true });
    server.listen(process.argv[1], () => console.error('ready'));`;
  for (const [said, code] of [
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'EPROTO'],
    ['', 'ECONNRESET'],
    ['VMMCTL/1 ok {\n', 'EPROTO'],
    ['x'.repeat(100_000), 'EPROTO'],
  ] as const) {
    const socket = `${host.runtime}/sim.sock`;
    const server = host.program(process.execPath, ['-e', script, socket, said]);
    await server.waitFor('ready');
    const { status, stderr } = await host.run(['list']);
    t.not(status, 0);
    t.match(stderr, new RegExp(`\\(${code}\\)\\n`));
    t.notMatch(stderr, /\n\s+at /);
    server.kill();
    await server.ended;
  }
});

t.test('places that are not ours alone', async (t) => {
  const refused: [string, number, RegExp, (host: Host) => Record<string, string>][] = [
    [
      'a directory that others can read',
      5,
      /is open to other users \(EACCES\)\nhint: /,
      (host) => {
        mkdirSync(host.runtime, { recursive: true, mode: 0o700 });
        chmodSync(host.runtime, 0o755);
        return {};
      },
    ],
    [
      'a link',
      5,
      /is not a directory \(EACCES\)/,
      (host) => {
        mkdirSync(host.path('r'), { recursive: true });
        mkdirSync(host.path('elsewhere'), { mode: 0o700 });
        symlinkSync(host.path('elsewhere'), host.path('r/vmmctl'));
        return {};
      },
    ],
    [
      'a file instead of the socket',
      5,
      /sim\.sock is not a socket of yours \(EACCES\)/,
      (host) => {
        mkdirSync(host.runtime, { recursive: true, mode: 0o700 });
        writeFileSync(`${host.runtime}/sim.sock`, '');
        return {};
      },
    ],
    [
      'a path that is too long',
      1,
      /longer than \d+ bytes \(ENAMETOOLONG\)\nhint: set XDG_RUNTIME_DIR/,
      (host) => ({ XDG_RUNTIME_DIR: host.path('x'.repeat(120)) }),
    ],
    [
      'a file instead of the directory',
      1,
      /\(ENOTDIR\)|\(EEXIST\)/,
      (host) => {
        writeFileSync(host.path('file'), '');
        return { XDG_RUNTIME_DIR: host.path('file') };
      },
    ],
  ];
  for (const [name, expected, message, prepare] of refused) {
    await t.test(name, async (t) => {
      const host = await simulatedHost(t);
      const { status, stderr } = await host.run(['list'], { env: prepare(host) });
      t.match(stderr, message);
      t.equal(status, expected);
      t.notMatch(stderr, /\n\s+at /);
    });
  }

  await t.test('a relative XDG_RUNTIME_DIR is ignored', async (t) => {
    const host = await simulatedHost(t);
    const env = { XDG_RUNTIME_DIR: 'here', VMMCTL_BACKEND: `sim:t${process.pid}` };
    const found = await host.run(['sim', 'status', '--json'], { env });
    t.match(JSON.parse(found.stdout.toString()).socket, /^\/tmp\/vmmctl-\d+\//);
  });
});
