/** A real kernel as the guest of the simulated host that reboots, or is killed, while it talks. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import {
  type Host,
  isAlive,
  type Running,
  type RunOptions,
  simulatedHost,
  until,
} from '../helpers/host.js';
import {
  bootGuest,
  held,
  kernelOf,
  kernelProcesses,
  type RealGuest,
  requireRealGuest,
  testNothingHeld,
  untilGone,
} from './real-guest.js';

t.setTimeout(600_000);

interface SocketRow {
  state: string;
  local: { port: number };
  peer: { port: number } | null;
}

/** Streams without an end: by who connects, and by who says something. Resolves with the host's programs. */
async function startStreams(host: Host, guest: RealGuest): Promise<Running[]> {
  const [taken, said] = [{ to: '/dev/null' }, { from: '/dev/zero' }];
  const socat = (from: string, to: string) => guest.start(`exec socat -u -b 262144 ${from} ${to}`);
  const connect = (port: number, ends: RunOptions) =>
    host.start(['vsock', 'connect', 'web1', `${port}`, '--retry', '30s'], ends);
  const listen = (port: number, ends: RunOptions) =>
    host.start(['vsock', 'listen', `${port}`], ends);
  socat('OPEN:/dev/zero', 'VSOCK-LISTEN:7000,fork');
  socat('VSOCK-LISTEN:7001,fork', 'OPEN:/dev/null');
  const peers = [
    connect(7000, taken),
    connect(7001, said),
    listen(5000, taken),
    listen(5001, said),
  ];
  await Promise.all(peers.slice(2).map((peer) => peer.waitFor('listening')));
  socat('OPEN:/dev/zero', 'VSOCK-CONNECT:2:5000');
  socat('VSOCK-CONNECT:2:5001', 'OPEN:/dev/null');
  await until('all are connected', async () => {
    const sockets = await host.json<SocketRow[]>(['vsock', 'list']);
    const connected = sockets.filter(({ state }) => state === 'established');
    return [7000, 7001, 5000, 5001].every((port) =>
      connected.some(({ local, peer }) => local.port === port || peer?.port === port),
    );
  });
  return peers;
}

t.test('a guest that reboots, or is killed, in the middle', async (t) => {
  if (!requireRealGuest(t)) return;
  const host = await simulatedHost(t);
  await host.json(['create', 'web1', '--memory', '256M']);
  const daemon = await host.daemon();
  // What is loaded at the first export stays.
  t.match(await host.run(['boot', 'web1', '--uml', '--init', 'true']), { status: 0 });
  const before = held(daemon);
  const streams = (guest: RealGuest) => startStreams(host, guest);

  await t.test('it reboots', async (t) => {
    const guest = await bootGuest(host, 'web1');
    const peers = await streams(guest);
    guest.start('echo b >/proc/sysrq-trigger');
    for (const peer of peers) t.match(await peer.ended, { status: 6 }, 'its peer is told');
    t.match(await guest.run('echo again'), { status: 0, out: 'again\n' });
    t.match(await guest.stop(), { status: 143 });
  });

  await t.test('its kernel is killed', async (t) => {
    const guest = await bootGuest(host, 'web1');
    const peers = await streams(guest);
    process.kill(kernelOf(host, guest), 'SIGKILL');
    for (const peer of peers) t.match(await peer.ended, { status: 6 }, 'its peer is told');
    t.match(await guest.command.ended, { status: 1, stderr: /by SIGKILL before/ });
  });

  await t.test('the command that booted it is killed', async (t) => {
    const guest = await bootGuest(host, 'web1');
    const peers = await streams(guest);
    guest.command.kill('SIGKILL');
    for (const peer of peers) t.match(await peer.ended, { status: 6 }, 'its peer is told');
    await untilGone(host, 'web1');
    await until('no process is left', () => kernelProcesses(host).length === 0);
  });

  await t.test('its VM is reset', async (t) => {
    const guest = await bootGuest(host, 'web1');
    const peers = await streams(guest);
    t.match(await host.run(['reset', 'web1']), { status: 0 });
    for (const peer of peers) t.match(await peer.ended, { status: 6 }, 'its peer is told');
    t.match(await guest.command.ended, { status: 1, stderr: /was suspended: reset \(ECANCELED\)/ });
    await untilGone(host, 'web1');
    t.same(kernelProcesses(host), [], 'no process is left');
  });

  await t.test('two are booted at once', async (t) => {
    const words = ['boot', 'web1', '--uml', '--init', 'test -e /dev/vsock'];
    const both = await Promise.all([host.run(words), host.run(words)]);
    t.same(
      both.map(({ status }) => status).sort(),
      [0, 4],
      'one has a vsock, and the other one no guest',
    );
  });

  t.ok(isAlive(daemon), 'the simulated host goes on');
  t.equal(await host.daemon(), daemon);
  await testNothingHeld(t, daemon, before);

  for (const [end, status] of [
    [['sim', 'stop'], 6],
    [['destroy', 'web1'], 3],
  ] as const) {
    await t.test(`vmmctl ${end.join(' ')}`, async (t) => {
      const guest = await bootGuest(host, 'web1');
      t.match(await host.run(end), { status: 0 });
      t.match(await guest.command.ended, { status });
      t.same(kernelProcesses(host), [], 'no process is left');
    });
  }
  const left = readdirSync(host.runtime).filter((name) => name.startsWith('boot-'));
  t.same(left, [], 'no file is left');
});
