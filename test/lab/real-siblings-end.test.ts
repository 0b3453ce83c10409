/** Two real kernels as guests of one simulated host: one reboots, or is killed, while they talk. */
import t, { type Test } from 'tap';
import { isAlive, type Running } from '../helpers/host.js';
import { held, kernelOf, requireRealGuest, testNothingHeld, untilGone } from './real-guest.js';
import { bootSibling, bothWays, type Sibling, siblingHost } from './siblings.js';

t.setTimeout(600_000);

t.test('a sibling that reboots, or is killed, in the middle', async (t) => {
  if (!requireRealGuest(t)) return;
  const host = await siblingHost(t);
  const daemon = await host.daemon();
  const web2 = await bootSibling(host, 'web2');
  // What is loaded at the first export stays.
  t.match(await host.run(['boot', 'web1', '--uml', '--init', 'true']), { status: 0 });
  const before = held(daemon);

  await t.test('it reboots', async (t) => {
    const web1 = await bootSibling(host, 'web1');
    const peers = await startStreams(web1, web2);
    web1.start('echo b >/proc/sysrq-trigger');
    await testTold(t, peers);
    await testConnection(t, [web1, web2], 'when it is back');
    t.match(await web1.stop(), { status: 143 });
    await untilGone(host, 'web1');
  });
  await t.test('its kernel is killed', async (t) => {
    const web1 = await bootSibling(host, 'web1');
    const peers = await startStreams(web1, web2);
    process.kill(kernelOf(host, web1), 'SIGKILL');
    await testTold(t, peers);
    t.match(await web1.command.ended, { status: 1, stderr: /by SIGKILL before/ });
    await untilGone(host, 'web1');
  });
  await t.test('the next one is served', async (t) => {
    const web1 = await bootSibling(host, 'web1');
    await testConnection(t, [web1, web2], 'after its end');
    t.match(await web1.stop(), { status: 143 });
    await untilGone(host, 'web1');
  });
  t.ok(isAlive(daemon), 'the simulated host goes on');
  await testNothingHeld(t, daemon, before);
  t.match(await web2.run('echo still'), { out: 'still\n' });
  await web2.stop();
});

/** What socat does at one end of a stream without an end. */
const says = (address: string) => `socat -d -d -u -b 262144 OPEN:/dev/zero ${address}`;
const hears = (address: string) => `socat -d -d -u -b 262144 ${address} OPEN:/dev/null`;

/** Streams by who connects, and by who says something. Resolves with the peer's programs. */
async function startStreams(guest: Sibling, peer: Sibling): Promise<Running[]> {
  const started: Running[] = [];
  const start = async (port: number, ours: typeof says, theirs: typeof says) => {
    const waiting = guest.start(ours(`VSOCK-LISTEN:${port}`));
    const listening = peer.start(theirs(`VSOCK-LISTEN:${port}`));
    await Promise.all([waiting, listening].map((each) => each.waitForOutput('listening on')));
    guest.start(ours(`VSOCK-CONNECT:${peer.cid}:${port}`));
    started.push(peer.start(theirs(`VSOCK-CONNECT:${guest.cid}:${port}`)), listening);
  };
  await Promise.all([start(7400, says, hears), start(7500, hears, says)]);
  const moving = 'starting data transfer loop';
  await Promise.all(started.map((each) => each.waitForOutput(moving)));
  return started;
}

/** All of a guest's programs have seen that the others are gone: readers an end, writers an error. */
async function testTold(t: Test, peers: readonly Running[]): Promise<void> {
  for (const peer of peers) {
    const said = (await peer.ended).stdout.toString();
    t.match(said, /status of the script: [01]\n$/, 'its peer is told');
  }
}

async function testConnection(t: Test, pair: [Sibling, Sibling], when: string): Promise<void> {
  for (const [from, to] of bothWays(pair)) {
    const serving = to.start('exec socat -d -d -t 60 VSOCK-LISTEN:7600 EXEC:cat');
    await serving.waitForOutput('listening on');
    const answer = await from.run(`echo hello | socat -t 60 - VSOCK-CONNECT:${to.cid}:7600`);
    t.same(answer, { status: 0, out: 'hello\n' }, `${from.vm} to ${to.vm}, ${when}`);
    await serving.ended;
  }
}
