import t from 'tap';
import { type Host, random, simulatedHost } from '../helpers/host.js';

t.test('vsock connect and listen', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const echo = host.start(['--in', 'web1', 'vsock', 'listen', '7000', '-k', '--exec', 'cat']);
  await echo.waitFor('listening');

  const wrong: [string, number, RegExp, string[]][] = [
    ['no listener', 6, /web1:9 refuses the connection.*\(ECONNRESET\)/, ['connect', 'web1', '9']],
    ['an unknown VM', 3, /no VM 'nobody' \(ENOENT\)/, ['connect', 'nobody', '9']],
    [
      'a CID that nobody has',
      6,
      /no machine has the CID of 99:9 \(EHOSTUNREACH, from ENODEV\)/,
      ['connect', '99', '9'],
    ],
    ['inside an unknown VM', 3, /no VM 'x' \(ENOENT\)/, ['connect', 'host', '9', '--in', 'x']],
    ['port -1', 2, /./, ['connect', 'web1', '-1']],
    ['port 2^32', 2, /'4294967296' is not a port/, ['connect', 'web1', '4294967296']],
    ['port any', 2, /'4294967295' is not a port/, ['connect', 'web1', '4294967295']],
    ['no port', 2, /./, ['connect', 'web1']],
    ['a CID that is none', 2, /is not a CID/, ['connect', '4294967296', '9']],
    ['a name that is none', 2, /is not a CID/, ['connect', 'a b', '9']],
    ['listen on -1', 2, /./, ['listen', '-1']],
    ['listen on 2^32', 2, /is not a port/, ['listen', '4294967296']],
    ['listen on words', 2, /is not a port/, ['listen', 'http']],
    ['a port in use', 4, /7000 is in use \(EADDRINUSE\)/, ['listen', '7000', '--in', 'web1']],
    ['a foreign CID', 1, /no such CID \(EADDRNOTAVAIL\)/, ['listen', '9000', '--cid', '77']],
    ['a privileged port', 5, /22 is privileged \(EACCES\)/, ['listen', '22', '--as', '1000']],
    ['a type that is none', 2, /./, ['connect', 'web1', '9', '--type', 'raw']],
    ['datagrams', 7, /no transport has datagrams \(ENODEV\)/, ['listen', '9', '--type', 'dgram']],
    [
      'datagrams, with patience',
      7,
      /no transport has datagrams/,
      ['connect', 'web1', '9', '--type', 'dgram', '--retry', '1h'],
    ],
    ['--max alone', 2, /--max needs --exec/, ['listen', '9000', '--max', '2']],
    [
      'patience that runs out',
      6,
      /web1:9 could not be reached in 0.3 s \(ETIMEDOUT, from ECONNRESET\)/,
      ['connect', 'web1', '9', '--retry', '300ms'],
    ],
    [
      'patience that --timeout bounds',
      6,
      /in 0.2 s \(ETIMEDOUT/,
      ['connect', 'web1', '9', '--retry', '1h', '--timeout', '200ms'],
    ],
    ['nobody comes', 6, /\(ETIMEDOUT\)/, ['listen', '9001', '--timeout', '200ms']],
  ];
  for (const [name, status, message, args] of wrong) {
    await t.test(`${name}: ${status}`, async (t) => {
      const plain = await host.run(['vsock', ...args]);
      t.match(plain, { status, stdout: Buffer.alloc(0) });
      t.match(plain.stderr, message);
      t.notMatch(plain.stderr, /\n\s+at /);
      const json = await host.run(['vsock', ...args, '--json']);
      t.match(json, { status, stdout: Buffer.alloc(0) });
      t.match(JSON.parse(json.stderr), { error: { code: /^E[A-Z]+$/, message: String } });
    });
  }

  await t.test('privileged ports are for root, in a guest too', async (t) => {
    for (const where of [[], ['--in', 'web1']]) {
      const listen = host.start([...where, 'vsock', 'listen', '22']);
      await listen.waitFor('listening on vsock port 22');
      const to = where.length > 0 ? 'web1' : 'local';
      t.equal((await host.run(['vsock', 'connect', to, '22'], { input: 'x' })).status, 0);
      t.equal((await listen.ended).stdout.toString(), 'x');
    }
  });

  await t.test('any port', async (t) => {
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', 'any']);
    const [, port = ''] = await listen.waitFor(/listening on vsock port (\d+)/);
    t.ok(Number(port) > 1023);
    t.equal((await host.run(['vsock', 'connect', 'web1', port], { input: 'x' })).status, 0);
    t.equal((await listen.ended).stdout.toString(), 'x');
  });

  await t.test('--retry waits for the listener', async (t) => {
    const connect = host.start(['vsock', 'connect', 'web1', '7100', '--retry', '1h'], {
      input: 'patience',
    });
    await host.until(['vsock', 'ping', 'web1', '7000', '-c', '1'], ({ status }) => status === 0);
    const listen = await host.run(['--in', 'web1', 'vsock', 'listen', '7100']);
    t.equal(listen.stdout.toString(), 'patience');
    t.equal((await connect.ended).status, 0);
  });

  await t.test('--local-port and what a program is told', async (t) => {
    const script = 'echo $VSOCK_PEER_CID $VSOCK_PEER_PORT $VSOCK_LOCAL_PORT; exit 7';
    const listen = host.start(['vsock', 'listen', '7101', '--exec', script]);
    await listen.waitFor('listening');
    const [vm] = await host.json<{ cid: number }[]>(['inspect', 'web1']);
    const args = ['--in', 'web1', 'vsock', 'connect', 'host', '7101', '--local-port', '1234'];
    t.equal((await host.run(args)).stdout.toString(), `${vm?.cid} 1234 7101\n`);
    t.equal((await listen.ended).status, 7, 'the status of the program is ours');
  });

  await t.test('statuses of programs', async (t) => {
    for (const [script, status] of [
      ['exit 0', 0],
      ['exit 255', 255],
      ['no-such-command-anywhere', 127],
      ['kill -TERM $$', 143],
    ] as const) {
      const listen = host.start(['vsock', 'listen', '7102', '--exec', script]);
      await listen.waitFor('listening');
      await host.run(['vsock', 'connect', 'local', '7102']);
      t.equal((await listen.ended).status, status, script);
    }
  });

  await t.test('--keep-open takes one after the other', async (t) => {
    const listen = host.start(['vsock', 'listen', '7103', '--keep-open']);
    await listen.waitFor('listening');
    for (const word of ['one', 'two', 'three']) {
      t.equal((await host.run(['vsock', 'connect', 'local', '7103'], { input: word })).status, 0);
      await listen.waitForOutput(word);
    }
    listen.kill();
    t.equal((await listen.ended).stdout.toString(), 'onetwothree');
  });

  await t.test('--max bounds how many are served at a time', async (t) => {
    const script = 'echo in >> count; read go; echo out >> count';
    const listen = host.start(['vsock', 'listen', '7104', '-k', '--max', '2', '--exec', script]);
    await listen.waitFor('listening');
    const clients = Array.from({ length: 3 }, () =>
      host.start(['vsock', 'connect', 'local', '7104'], { openStdin: true }),
    );
    const count = async () => (await host.shell('cat count').ended).stdout.toString();
    await host.until(['vsock', 'list', '--json'], ({ stdout }) => {
      const rows: { state: string; local: { port: number } }[] = JSON.parse(stdout.toString());
      return rows.filter((r) => r.state === 'established' && r.local.port === 7104).length === 3;
    });
    let text = '';
    while (text !== 'in\nin\n') text = await count();
    t.equal(await count(), 'in\nin\n', 'the third waits');
    for (const client of clients) client.stdin.end('go\n');
    for (const client of clients) await client.ended;
    while (text.length < 'in\nout\n'.length * 3) text = await count();
    t.equal(text.split('\n').sort().join(' ').trim(), 'in in in out out out');
    listen.kill();
  });

  await t.test('seqpacket keeps the boundaries of messages', async (t) => {
    const service = ['--in', 'web1', 'vsock', 'listen', '7105', '--type', 'seqpacket', '-k'];
    const listen = host.start([...service, '--exec', 'cat'], {});
    await listen.waitFor('listening');
    const args = ['vsock', 'connect', 'web1', '7105', '--type', 'seqpacket'];
    const data = random(1_000_000);
    const { status, stdout } = await host.run(args, { input: data });
    t.equal(status, 0);
    t.ok(stdout.equals(data));
    const packets = host.start(args, { openStdin: true, env: { DEBUG: 'vmmctl:*' } });
    for (const word of ['one', 'twoo']) {
      packets.stdin.write(word);
      await packets.waitForOutput(word);
    }
    packets.stdin.end();
    const { stderr } = await packets.ended;
    t.match(stderr, /len 3\b[\s\S]*len 4\b/, 'one packet a message');
    const wrong = await host.run(['vsock', 'connect', 'web1', '7105']);
    t.equal(wrong.status, 6, 'a stream does not reach it');
  });
});

t.test('datagrams, as the patch set of 2015 has them', async (t) => {
  const host: Host = await simulatedHost(t);
  await host.run(['sim', 'start', '--profile', 'patchset-2015']);
  await host.run(['create', 'web1']);
  const listen = host.start(['--in', 'web1', 'vsock', 'listen', '5000', '--type', 'dgram']);
  await listen.waitFor('listening');
  const send = ['vsock', 'connect', 'web1', '5000', '--type', 'dgram'];
  t.match(await host.run(send, { input: 'a datagram' }), { status: 0, stderr: '' });
  await listen.waitForOutput('a datagram');
  listen.kill();
  t.equal((await listen.ended).signal, 'SIGTERM');

  const answering = host.start(['--in', 'web1', 'vsock', 'listen', '5001', '--type', 'dgram'], {
    openStdin: true,
  });
  await answering.waitFor('listening');
  const ask = host.start(['vsock', 'connect', 'web1', '5001', '--type', 'dgram'], {
    openStdin: true,
  });
  ask.stdin.write('ping');
  await answering.waitForOutput('ping');
  answering.stdin.write('pong');
  await ask.waitForOutput('pong');
  ask.stdin.end();
  t.equal((await ask.ended).status, 0);
  const other = await host.run(['vsock', 'connect', 'web1', '5001', '--type', 'seqpacket']);
  t.match(other, { status: 1, stderr: /\(ESOCKTNOSUPPORT\)/ });
  const guest = ['--in', 'web1', 'vsock', 'connect', 'host', '9', '--timeout', '200ms'];
  t.match(await host.run(guest), { status: 6, stderr: /ETIMEDOUT/ }, 'only the host connects');
});
