/** Two real kernels as guests of one simulated host, and what they have to say to each other. */
import { writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Host, random } from '../helpers/host.js';
import {
  guestProgram,
  held,
  requireRealGuest,
  sha256,
  testNothingHeld,
  untilGone,
} from './real-guest.js';
import { bootSibling, bothWays, type Sibling, siblingHost } from './siblings.js';

const LARGE = 100 * 2 ** 20;
const MANY = 10_000;

t.setTimeout(600_000);

t.test('two real guests', async (t) => {
  if (!requireRealGuest(t)) return;
  const host = await siblingHost(t);
  const daemon = await host.daemon();
  const pair = await Promise.all([bootSibling(host, 'web1'), bootSibling(host, 'web2')]);
  const before = held(daemon);

  await t.test('100 MiB each way, at once', (t) => testLarge(t, host, pair));
  await t.test('10,000 connections each way, at once', (t) => testMany(t, host, pair));
  await testNothingHeld(t, daemon, before);
  await t.test('a simulated one beside them', (t) => testSimulated(t, host, pair));
  for (const { vm, stop } of pair) {
    t.match(await stop(), { status: 143 });
    await untilGone(host, vm);
  }
});

async function testLarge(t: Test, host: Host, pair: [Sibling, Sibling]): Promise<void> {
  const bytes = random(LARGE);
  const wanted = sha256(bytes);
  writeFileSync(host.path('large'), bytes);
  const move = async ([from, to]: [Sibling, Sibling]) => {
    const taking = to.start('socat -d -d -u -b 262144 VSOCK-LISTEN:7200 - | sha256sum');
    await taking.waitForOutput('listening on');
    const begin = performance.now();
    const sent = await from.run(`socat -u -b 262144 OPEN:large VSOCK-CONNECT:${to.cid}:7200`);
    t.same(sent, { status: 0, out: '' });
    t.match((await taking.ended).stdout.toString(), wanted, `${from.vm} to ${to.vm}`);
    const speed = LARGE / 1000 / (performance.now() - begin);
    t.comment(`${from.vm} to ${to.vm}: ${Math.round(speed)} MB/s`);
  };
  await Promise.all(bothWays(pair).map(move));
}

async function testMany(t: Test, host: Host, pair: [Sibling, Sibling]): Promise<void> {
  const program = guestProgram(host);
  const call = async ([from, to]: [Sibling, Sibling]) => {
    const serving = to.start(`exec ${program} serve 7300`);
    await serving.waitForOutput('listening');
    const begin = performance.now();
    const { out } = await from.run(`${program} call ${to.cid} 7300 ${MANY}`);
    t.equal(out, `${MANY} connections\n`, `${from.vm} to ${to.vm}`);
    const speed = (MANY * 1000) / (performance.now() - begin);
    t.comment(`${from.vm} to ${to.vm}: ${Math.round(speed)} connections/s`);
    await to.run('pkill -f serve');
    await serving.ended;
  };
  await Promise.all(bothWays(pair).map(call));
}

async function testSimulated(t: Test, host: Host, [web1, web2]: Sibling[]): Promise<void> {
  if (web1 === undefined || web2 === undefined) throw new Error('there are two');
  const listener = host.start(['--in', 'sim1', 'vsock', 'listen', '7001', '--exec', 'cat']);
  await listener.waitFor('listening');
  const answer = await web2.run('echo hello | socat -t 60 - VSOCK-CONNECT:5:7001');
  t.same(answer, { status: 0, out: 'hello\n' }, 'to a simulated one');
  web1.start('exec socat -t 60 VSOCK-LISTEN:7002 EXEC:cat');
  const target = ['--in', 'sim1', 'vsock', 'connect', `${web1.cid}`, '7002', '--retry', '30s'];
  const back = await host.run(target, { input: 'hello' });
  t.equal(back.stdout.toString(), 'hello', 'from a simulated one');
}
