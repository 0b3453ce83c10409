import { existsSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import t from 'tap';
import { simulatedHost, until } from '../helpers/host.js';

t.test('what waits ends when nobody reads it any more', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  // What reads has its line, or wants none; nothing more is ever written.
  const pipelines: Readonly<Record<string, string>> = {
    'heartbeat watch web1 --interval 1h': 'head -1',
    'balloon watch web1 --interval 1h': 'head -1',
    'balloon watch web1 --interval 1h --json': 'head -1',
    'list --watch --json': 'head -1',
    'list --watch --label a=b': 'true',
    'sim log --follow --lines 1': 'head -1',
    'sim log --follow --lines 0 --json': 'true',
    'vsock capture --port 9999': 'true',
    'vsock capture --port 9999 --write -': 'head -c 4',
    '--in web1 events wait --mask cpu-hotplug': 'true',
    "guestprop wait --vm web1 '/none/*'": 'true',
    "--in web1 guestprop wait '/none/*'": 'true',
    'vmci events': 'true',
    'vmci receive 5000': 'true',
    'vmci doorbell wait 5000': 'true',
  };
  for (const [command, reader] of Object.entries(pipelines)) {
    const line = `vmmctl ${command} --quiet | ${reader} > read; echo \${PIPESTATUS[0]}`;
    const { stdout, stderr } = await host.shell(line).ended;
    t.match({ stdout: stdout.toString(), stderr }, { stdout: '141\n', stderr: '' }, command);
  }

  await t.test('a socket as stdout', async (t) => {
    const watch = host.start(['heartbeat', 'watch', '--interval', '1h']);
    await watch.waitForOutput('web1');
    (watch.stdout as Socket).destroy();
    t.match(await watch.ended, { status: 141, stderr: '' });
  });

  await t.test('a capture into a file needs no reader', async (t) => {
    const line = 'vmmctl vsock capture --write got.pcap --count 1 2> said | true';
    const capture = host.shell(line);
    await until('it listens', () => text(host.path('said')).includes('listening'));
    await host.run(['vsock', 'ping', 'web1', '9', '--count', '1']);
    t.equal((await capture.ended).status, 0);
  });
});

function text(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
