/** Debian's own kernel as the guest of the simulated host: QEMU over vhost-user-vsock-pci, booted by `vmmctl boot`. */
import { writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Host, random, simulatedHost } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';
import { debianKernel } from './debian-kernel.js';
import { requireQemu } from './qemu.js';
import {
  bootGuest,
  guestProgram,
  type RealGuest,
  rootInitramfs,
  sha256,
  untilGone,
} from './real-guest.js';

const MIB = 2 ** 20;
const LARGE = 10 * MIB;
const MANY = 200;

t.setTimeout(600_000);

t.test('a real guest in QEMU', async (t) => {
  if (!requireQemu(t) || !requireTool(t, 'socat')) return;
  const host = await simulatedHost(t);
  await host.json(['create', 'web1', '--memory', '512M', '--cid', '42']);
  const kernel = debianKernel('6.12');
  const initrd = rootInitramfs(host, kernel);
  const flags = ['--qemu', '--accel', 'tcg', '--kernel', kernel.image, '--initrd', initrd];
  const boot = () => bootGuest(host, 'web1', { flags });
  const guest = await boot();

  await t.test('it is the VM', async (t) => {
    const told = await guest.run(`uname -n; id -u; ${guestProgram(host)} cid`);
    t.same(told, { status: 0, out: 'web1\n0\n42\n' });
    t.match((await guest.run('uname -r')).out, /^6\.12\./);
    t.match(await host.json(['list']), [{ name: 'web1', state: 'running', cid: 42 }]);
    t.match(await host.run(['--in', 'web1', 'vsock', 'list']), { status: 7 });
  });
  await t.test('connections both ways', (t) => testConnections(t, host, guest));
  await t.test('10 MiB each way', (t) => testLarge(t, host, guest));
  await t.test('its kernel is killed', async (t) => {
    const idle = host.start(['vsock', 'connect', 'web1', '99'], { openStdin: true });
    idle.stdin.write('echo connected\n');
    await idle.waitForOutput('connected');
    guest.command.kill('SIGKILL');
    t.match(await idle.ended, { status: 6 }, 'its peer is told');
    await untilGone(host, 'web1');
  });
  await t.test('the next one is served, and ends in order', async (t) => {
    const next = await boot();
    t.match(await next.run('echo again'), { status: 0, out: 'again\n' });
    t.match(await next.stop(), { status: 143 });
    await untilGone(host, 'web1');
    t.match(await host.run(['--in', 'web1', 'vsock', 'list']), { status: 0 });
  });
  await t.test('the status of its command, and what it writes', async (t) => {
    const init = 'echo out; echo error >&2; exit 7';
    const told = await host.run(['boot', 'web1', ...flags, '-q', '--init', init]);
    t.match(told, { status: 7, stderr: 'error\n' });
    t.equal(told.stdout.toString(), 'out\n');
  });
});

async function testConnections(t: Test, host: Host, guest: RealGuest): Promise<void> {
  guest.start('exec socat -t 60 VSOCK-LISTEN:7000 EXEC:"wc -c"');
  const said = await host.run(['vsock', 'connect', 'web1', '7000', '--retry', '30s'], {
    input: random(100_000),
  });
  t.equal(said.stdout.toString().trim(), '100000', 'the answer comes after the end');
  const listener = host.start(['vsock', 'listen', '5000', '--exec', 'cat; echo $VSOCK_PEER_CID']);
  await listener.waitFor('listening');
  const answer = await guest.run('echo hello | socat -t 60 - VSOCK-CONNECT:2:5000');
  t.same(answer, { status: 0, out: 'hello\n42\n' });
  t.match(await host.run(['vsock', 'connect', 'web1', '7999']), { status: 6 });
  t.match(await guest.run('socat - VSOCK-CONNECT:2:5999 </dev/null'), {
    status: 1,
    out: /Connection reset by peer/,
  });
  const many = host.start(['vsock', 'listen', '5300', '--keep-open', '--exec', 'cat']);
  await many.waitFor('listening');
  const { out } = await guest.run(`${guestProgram(host)} call 2 5300 ${MANY}`);
  t.equal(out, `${MANY} connections\n`);
  many.kill();
}

async function testLarge(t: Test, host: Host, guest: RealGuest): Promise<void> {
  const bytes = random(LARGE);
  writeFileSync(host.path('large'), bytes);
  const taking = guest.run('socat -u -b 262144 VSOCK-LISTEN:7200 - | sha256sum');
  await host.until(['vsock', 'cat', 'file:large', 'web1:7200'], ({ status }) => status === 0);
  t.match((await taking).out, sha256(bytes), 'into the guest');
  const listener = host.start(['vsock', 'listen', '5200'], { to: host.path('got') });
  await listener.waitFor('listening');
  t.equal((await guest.run('socat -u -b 262144 OPEN:large VSOCK-CONNECT:2:5200')).status, 0);
  t.match(await listener.ended, { status: 0 });
  const sum = await host.program('sha256sum', ['got']).ended;
  t.match(sum.stdout.toString(), sha256(bytes), 'out of the guest');
}
