/** The backend of this machine's own nodes, as far as it can be tried on any machine; the rest is in the labs. */
import { cpSync, mkdirSync } from 'node:fs';
import t from 'tap';
import { simulatedHost } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';

t.test('without koffi the device backend says what is missing, and all else works', async (t) => {
  const host = await simulatedHost(t);
  const bare = host.path('bare');
  mkdirSync(bare);
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(part, `${bare}/${part}`, { recursive: true });
  const program = `${bare}/bin/vmmctl.cjs`;
  const run = (...args: string[]) => host.program(process.execPath, [program, ...args]).ended;

  const { status, stdout, stderr } = await run('-b', 'device', 'vsock', 'list');
  t.strictSame([status, stdout.toString()], [7, '']);
  t.match(stderr, /need the package koffi.* \(EOPNOTSUPP\)\nhint: .*--backend sim\n$/);
  t.equal((await run('list')).status, 0, 'the simulated host needs none');
  const doctor = await run('doctor', '--json');
  t.equal(doctor.status, 0, doctor.stderr);
  t.match(doctor.stdout.toString(), /"name":"koffi","state":"missing"/);
});

t.test('what has no meaning on a machine of its own is refused', async (t) => {
  const host = await simulatedHost(t);
  const cases: [string[], number, RegExp][] = [
    [['--in', 'web1', 'vsock', 'list'], 7, /--in is for the simulated host/],
    [['--as', '65534', 'vsock', 'list'], 7, /run vmmctl as that user/],
    [['vsock', 'connect', 'web1', '22'], 3, /has no names of VMs/],
  ];
  for (const [args, status, message] of cases) {
    const ended = await host.run(['-b', 'device', ...args]);
    t.equal(ended.status, status, args.join(' '));
    t.match(ended.stderr, message);
  }
});

t.test('a connection whose end goes to a terminal ends well', async (t) => {
  if (!requireTool(t, 'script')) return;
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const listener = host.shell('printf "hello\\n" | vmmctl --in web1 vsock listen 7000');
  await listener.waitFor('listening');
  const command = 'vmmctl vsock connect web1 7000 </dev/null';
  const { status, stdout } = await host.program('script', ['-qec', command, '/dev/null']).ended;
  t.strictSame([status, stdout.toString()], [0, 'hello\r\n']);
});

t.test('many connections at once are no reason for a warning', async (t) => {
  if (!requireTool(t, 'socat')) return;
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const echo = host.start([
    '--in',
    'web1',
    'vsock',
    'listen',
    '7000',
    '--keep-open',
    '--exec',
    'cat',
  ]);
  const forwarder = host.start(['vsock', 'cat', 'unix-listen:forwarded', 'web1:7000', '--fork']);
  await Promise.all([echo.waitFor('listening'), forwarder.waitFor('listening')]);
  const clients = 'for i in $(seq 20); do echo $i | socat -t 30 - UNIX:forwarded & done; wait';
  const { stdout } = await host.shell(clients).ended;
  t.equal(stdout.toString().trim().split('\n').length, 20);
  forwarder.kill();
  const { stderr } = await forwarder.ended;
  t.equal(stderr, 'listening on unix-listen:forwarded\n');
});
