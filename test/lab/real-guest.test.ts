/** A real kernel as the guest of the simulated host: user-mode Linux over vhost-user, booted by `vmmctl boot`. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Host, random, simulatedHost } from '../helpers/host.js';
import { callMany, echoServer } from './hybrid-calls.js';
import {
  bootGuest,
  guestProgram,
  held,
  kernelProcesses,
  type RealGuest,
  requireRealGuest,
  sha256,
  testNothingHeld,
  untilGone,
} from './real-guest.js';

const MIB = 2 ** 20;
const LARGE = 100 * MIB;
const MANY = 10_000;

t.setTimeout(600_000);

t.test('a real guest', async (t) => {
  if (!requireRealGuest(t)) return;
  const host = await simulatedHost(t);
  await host.json(['create', 'web1', '--memory', '512M', '--cid', '42']);
  const guest = await bootGuest(host, 'web1');

  await t.test('it is the VM', (t) => testIdentity(t, host, guest));
  await t.test('connections into it', (t) => testIntoGuest(t, host, guest));
  await t.test('connections out of it', (t) => testOutOfGuest(t, host, guest));
  await t.test('resets', (t) => testResets(t, host, guest));
  await t.test('100 MiB each way', (t) => testLarge(t, host, guest));
  await t.test('10,000 connections each way', (t) => testMany(t, host, guest));
  await t.test('its balloon', (t) => testBalloon(t, host, guest));
  await t.test('its end', (t) => testEnd(t, host, guest));
});

async function testIdentity(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const told = await guest.run(`uname -n; id -u; ${guestProgram(host)} cid`);
  t.same(told, { status: 0, out: 'web1\n0\n42\n' });
  t.match(await host.json(['list']), [{ name: 'web1', state: 'running', cid: 42 }]);
  const [{ exports }] = await host.json<[{ exports: { kind: string }[] }]>(['inspect', 'web1']);
  t.same(
    exports.map(({ kind }) => kind),
    ['hybrid-vsock', 'vhost-user-vsock', 'vhost-user-balloon'],
  );
  t.match(await host.run(['--in', 'web1', 'vsock', 'list']), { status: 7, stderr: /real kernel/ });
  t.match(await host.run(['boot', 'web1', '--init', 'true']), { status: 4, stderr: /EBUSY/ });
}

async function testIntoGuest(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const echo = guest.start('exec socat -t 60 VSOCK-LISTEN:7000,fork EXEC:cat');
  const connect = (input: string) =>
    host.run(['vsock', 'connect', 'web1', '7000', '--retry', '30s'], { input });
  t.match(await connect('hello'), { status: 0, stdout: Buffer.from('hello') });
  t.match(await connect(''), { status: 0, stdout: Buffer.from('') });
  const number = await host.run(['vsock', 'cat', '42:7000'], { input: 'by CID' });
  t.equal(number.stdout.toString(), 'by CID');
  await t.test('its answer comes after the end of what was said', async (t) => {
    const count = guest.start('exec socat -t 60 VSOCK-LISTEN:7001 EXEC:"wc -c"');
    const said = await host.run(['vsock', 'connect', 'web1', '7001', '--retry', '30s'], {
      input: random(100_000),
    });
    t.equal(said.stdout.toString().trim(), '100000');
    await count.ended;
  });
  t.match(await host.run(['vsock', 'connect', 'web1', '7999']), {
    status: 6,
    stderr: /refuses the connection/,
  });
  echo.kill();
}

async function testOutOfGuest(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const listener = host.start(['vsock', 'listen', '5000', '--exec', 'cat; echo $VSOCK_PEER_CID']);
  await listener.waitFor('listening');
  const answer = await guest.run('echo hello | socat -t 60 - VSOCK-CONNECT:2:5000');
  t.same(answer, { status: 0, out: 'hello\n42\n' }, 'both halves, and its CID');
  t.match(await listener.ended, { status: 0 });
  const refused = await guest.run('socat - VSOCK-CONNECT:2:5999 </dev/null');
  t.match(refused, { status: 1, out: /Connection reset by peer/ });
  const unknown = await guest.run('socat - VSOCK-CONNECT:77:1,connect-timeout=1 </dev/null');
  t.not(unknown.status, 0, 'nobody has that CID');
}

async function testResets(t: Test, host: Host, guest: RealGuest): Promise<void> {
  await t.test('a program of the guest that is killed', async (t) => {
    const taking = guest.start('exec socat -u VSOCK-LISTEN:7100 EXEC:"sleep 600"');
    const args = ['vsock', 'connect', 'web1', '7100', '--retry', '30s'];
    const ours = host.start(args, { from: '/dev/zero' });
    await guest.run('until pgrep -x sleep; do :; done; pkill -9 -f LISTEN:7100; pkill -x sleep');
    t.match(await ours.ended, { status: 6 }, 'not all that was said was heard');
    await taking.ended;
  });
  await t.test('a program of the host that is killed', async (t) => {
    const ours = host.start(['vsock', 'listen', '5001'], { openStdin: true });
    await ours.waitFor('listening');
    const theirs = guest.run('socat -u VSOCK-CONNECT:2:5001 - >/tmp/heard; wc -c </tmp/heard');
    ours.stdin.write('said');
    await guest.run('until [ -s /tmp/heard ]; do :; done');
    ours.kill('SIGKILL');
    t.match(await theirs, { status: 0, out: /^4$/m });
  });
}

async function testLarge(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const bytes = random(LARGE);
  const wanted = sha256(bytes);
  writeFileSync(host.path('large'), bytes);
  const measured = (name: string, ms: number) =>
    t.comment(`${name}: ${Math.round(LARGE / 1000 / ms)} MB/s`);

  const taking = guest.run('socat -u -b 262144 VSOCK-LISTEN:7200 - | sha256sum');
  const begin = performance.now();
  const target = ['vsock', 'cat', 'file:large', 'web1:7200'];
  await host.until(target, ({ status }) => status === 0);
  t.match((await taking).out, wanted);
  measured('into the guest', performance.now() - begin);

  const listener = host.start(['vsock', 'listen', '5200'], { to: host.path('got') });
  await listener.waitFor('listening');
  const sending = performance.now();
  const { status } = await guest.run('socat -u -b 262144 OPEN:large VSOCK-CONNECT:2:5200');
  t.equal(status, 0);
  t.match(await listener.ended, { status: 0 });
  measured('out of the guest', performance.now() - sending);
  const sum = await host.program('sha256sum', ['got']).ended;
  t.match(sum.stdout.toString(), wanted);
}

async function testMany(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const program = guestProgram(host);
  const path = `${host.runtime}/web1.vsock`;
  const daemon = await host.daemon();
  const before = held(daemon);
  const measured = (name: string, ms: number) =>
    t.comment(`${name}: ${Math.round((MANY * 1000) / ms)} connections/s`);

  const serving = guest.start(`exec ${program} serve 7300`);
  await serving.waitForOutput('listening');
  let begin = performance.now();
  t.equal(await callMany(path, 7300, MANY), MANY, 'into the guest');
  measured('into the guest', performance.now() - begin);
  await guest.run('pkill -f serve');
  await serving.ended;

  const server = await echoServer(path, 5300);
  t.teardown(() => server.close());
  begin = performance.now();
  const { out } = await guest.run(`${program} call 2 5300 ${MANY}`);
  t.equal(out, `${MANY} connections\n`, 'out of the guest');
  measured('out of the guest', performance.now() - begin);
  await testNothingHeld(t, daemon, before);
}

interface Balloon {
  target: number;
  actual: number;
  unit: number;
  guestStats: { memoryTotal: number } | null;
}

async function testBalloon(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const balloon = async () => (await host.json<[Balloon]>(['balloon', 'web1']))[0];
  const total = async () =>
    Number((await guest.run("awk '/MemTotal/ { print $2 }' /proc/meminfo")).out);
  t.match(await balloon(), { target: 0, actual: 0, unit: 4096 });
  const whole = await total();
  t.match(await host.run(['balloon', 'set', 'web1', '128M', '--wait']), { status: 0 });
  t.match(await balloon(), { target: 128 * MIB, actual: 128 * MIB });
  t.equal(whole - (await total()), 128 * 1024, 'the guest has so much less');
  t.match(await host.run(['balloon', 'set', 'web1', '0', '--wait']), { status: 0 });
  t.equal(await total(), whole, 'and has it back');
}

async function testEnd(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const idle = host.start(['vsock', 'connect', 'web1', '99'], { openStdin: true });
  idle.stdin.write('echo connected\n');
  await idle.waitForOutput('connected');
  const ended = await guest.stop();
  t.match(ended, { status: 143 });
  t.match(await idle.ended, { status: 6 }, 'its peer is told');
  await untilGone(host, 'web1');
  t.same(kernelProcesses(host), []);
  const left = readdirSync(host.runtime);
  t.same(
    left.filter((name) => /boot-|vhost/.test(name)),
    [],
    'no file is left',
  );
  t.match(await host.run(['--in', 'web1', 'vsock', 'list']), { status: 0 });
}

t.test('what the command says of it', async (t) => {
  if (!requireRealGuest(t)) return;
  const host = await simulatedHost(t);
  await host.json(['create', 'web1', '--memory', '256M']);
  const boot = (init: string, ...flags: string[]) =>
    host.run(['boot', 'web1', '--uml', ...flags, '--init', init]);
  const told = await boot(
    'uname -r; pwd; echo $VMMCTL_VM $VMMCTL_CID; echo error >&2; exit 7',
    '-q',
  );
  t.match(told, { status: 7 });
  t.match(told.stdout.toString(), /^\d+\.\d+\.\d+\S*\n\/tmp\/ve\S+\nweb1 3\n$/);
  t.equal(told.stderr, 'error\n', 'nothing of the kernel');
  const readOnly = await boot(`touch ${host.path('new')}; touch /tmp/own && echo mine`);
  t.match(readOnly.stderr, /Read-only file system/);
  t.equal(readOnly.stdout.toString(), 'mine\n');
  t.notOk(existsSync(host.path('new')));
  t.match(
    (await boot('exit 0', '-v')).stderr,
    /linux\.uml .*\n(?:.|\n)*Linux version/,
    'all of the kernel',
  );
  t.match(await boot('echo o >/proc/sysrq-trigger; sleep 60'), { status: 0 });
  t.match(await boot('echo c >/proc/sysrq-trigger; sleep 60'), {
    status: 1,
    stderr: /Kernel panic(?:.|\n)*before the guest's command did \(EIO\)/,
  });
});

t.test('a shell on a terminal', async (t) => {
  if (!requireRealGuest(t)) return;
  const host = await simulatedHost(t);
  await host.json(['create', 'web1', '--memory', '256M']);
  writeFileSync(
    host.path('session'),
    'before=$(stty -g); vmmctl boot web1; told=$?; [ "$before" = "$(stty -g)" ] && echo "as before, $told"',
  );
  const terminal = host.program(
    'socat',
    ['-t', '60', '-', 'EXEC:sh session,pty,setsid,ctty,stderr'],
    {
      openStdin: true,
      env: { SHELL: '/bin/bash', TERM: 'dumb' },
    },
  );
  await terminal.waitForOutput('root@web1:');
  // No other program: one that is just being started could miss it.
  const told = `trap "echo interrupted \\$((1+1)) times; exit" INT`;
  terminal.stdin.write(`tty; sh -c '${told}; echo wait$((1+1)); read line'\r`);
  await terminal.waitForOutput('/dev/tty0');
  await terminal.waitForOutput('wait2');
  // Ctrl-C is for the program in the guest.
  terminal.stdin.write('\x03');
  await terminal.waitForOutput('interrupted 2 times');
  terminal.stdin.write('exit 5\r');
  await terminal.waitForOutput('as before, 5');
  terminal.stdin.end();
  await terminal.ended;
});
