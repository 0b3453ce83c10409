import { existsSync } from 'node:fs';
import t from 'tap';
import { type Running, simulatedHost } from '../helpers/host.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

t.test('a signal ends a command in order, and the shell sees it', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const echo = host.start(['--in', 'web1', 'vsock', 'listen', '7000', '-k', '--exec', 'cat']);
  await echo.waitFor('listening');

  const open = { openStdin: true };
  const commands: [string, () => Running, (running: Running) => Promise<unknown>][] = [
    [
      'connect',
      () => host.start(['vsock', 'connect', 'web1', '7000', '--verbose'], open),
      (running) => running.waitFor('connected'),
    ],
    [
      'connect --retry',
      () => host.start(['vsock', 'connect', 'web1', '9', '--retry', '1h', '--verbose'], open),
      () => host.until(['list'], () => true),
    ],
    ['listen', () => host.start(['vsock', 'listen', '8000'], open), (r) => r.waitFor('listening')],
    [
      'listen --exec',
      () => host.start(['vsock', 'listen', '8001', '-k', '--exec', 'cat']),
      (running) => running.waitFor('listening'),
    ],
    [
      'cat',
      () => host.start(['vsock', 'cat', 'web1:7000'], open),
      async (running) => {
        running.stdin.write('hello');
        await running.waitForOutput('hello');
      },
    ],
    [
      'cat --fork',
      () => host.start(['vsock', 'cat', 'tcp-listen:0', 'web1:7000', '--fork']),
      (running) => running.waitFor('listening'),
    ],
    [
      'capture',
      () => host.start(['vsock', 'capture', '--write', 'captured.pcap']),
      (running) => running.waitFor('listening'),
    ],
    [
      'ping',
      () => host.start(['vsock', 'ping', 'web1', '7000', '--count', '1000000']),
      (running) => running.waitForOutput('seq=2'),
    ],
    [
      'list --watch',
      () => host.start(['list', '--watch']),
      (running) => running.waitForOutput('web1'),
    ],
    [
      'sim log --follow',
      () => host.start(['sim', 'log', '--follow']),
      (running) => running.waitForOutput('started'),
    ],
  ];
  for (const [name, start, ready] of commands) {
    for (const signal of SIGNALS) {
      await t.test(`${name}, ${signal}`, async (t) => {
        const running = start();
        await ready(running);
        running.kill(signal);
        const ended = await running.ended;
        t.equal(ended.signal, signal);
        t.notMatch(ended.stderr, /\(E[A-Z]+\)|\n\s+at /, 'and nothing is said about it');
      });
    }
  }

  await t.test('the shell gets 130 and 143', async (t) => {
    const line = 'vmmctl vsock listen 8002 & wait $!; echo $?';
    for (const [signal, status] of [
      ['INT', 130],
      ['TERM', 143],
    ]) {
      // Without job control bash lets background processes ignore SIGINT, so it is given back.
      const running = host.shell(
        `set -m; ${line.replace('& wait $!', `& while ! vmmctl vsock list | grep -q 8002; do :; done; kill -${signal} %1; wait $!`)}`,
      );
      t.match((await running.ended).stdout.toString(), new RegExp(`^${status}$`, 'm'));
    }
  });

  await t.test('an ephemeral VM is destroyed, and its socket is gone', async (t) => {
    for (const signal of [...SIGNALS, 'SIGKILL'] as const) {
      const running = host.start(['create', 'brief', '--ephemeral'], open);
      await running.waitForOutput('brief');
      const [vm] = await host.json<{ exports: { path: string }[] }[]>(['inspect', 'brief']);
      const path = vm?.exports[0]?.path ?? '';
      t.ok(existsSync(path), path);
      running.kill(signal);
      t.equal((await running.ended).signal, signal);
      await host.until(['inspect', 'brief'], ({ status }) => status === 3);
      t.notOk(existsSync(path));
    }
  });

  await t.test('with a program: the signal goes to it, and its status counts', async (t) => {
    const script = 'trap "echo caught; exit 9" TERM; echo ready; while :; do sleep 0.05; done';
    const running = host.start(['create', 'brief', '--ephemeral', '--', 'sh', '-c', script]);
    await running.waitForOutput('ready');
    process.kill(running.pid, 'SIGTERM');
    const { status, stdout } = await running.ended;
    t.equal(status, 9);
    t.equal(stdout.toString(), 'ready\ncaught\n');
    t.equal((await host.run(['inspect', 'brief'])).status, 3);
  });
});
