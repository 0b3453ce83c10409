import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

interface Row {
  type: string;
  state: string;
  local: { cid: number; port: number };
  peer: { cid: number; port: number } | null;
  recvQueue: number;
  sendQueue: number;
  credit: number | null;
  bufAlloc: number;
  owner: number;
}

t.test('vsock list, ping and perf', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1', '--cid', '9']);
  t.same(await host.json(['vsock', 'list']), []);

  const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7000']);
  await listen.waitFor('listening');
  const rows = () => host.json<Row[]>(['--in', 'web1', 'vsock', 'list']);
  t.same(await rows(), [
    {
      type: 'stream',
      state: 'listen',
      local: { cid: 0xffffffff, port: 7000 },
      peer: null,
      recvQueue: 0,
      sendQueue: 128,
      credit: null,
      bufAlloc: 262144,
      owner: 9,
    },
  ]);
  t.same(await host.json(['vsock', 'list']), [], 'the host has none of its own');
  const table = await host.run(['--in', 'web1', 'vsock', 'list']);
  t.match(table.stdout.toString(), /^TYPE +STATE +RECV-Q +SEND-Q +CREDIT +LOCAL +PEER\n/);
  t.match(table.stdout.toString(), /\nstream +listen +0 +128 +- +\*:7000 +\*\n$/);

  await t.test('a reader that is stopped shows in queues and credit', async (t) => {
    const connect = host.shell('exec vmmctl vsock connect web1 7000 --local-port 1234 < /dev/zero');
    await host.until(['--in', 'web1', 'vsock', 'list', '--json'], ({ stdout }) =>
      /"established"/.test(stdout.toString()),
    );
    listen.kill('SIGSTOP');
    const full = (text: string) => {
      const [row] = JSON.parse(text) as Row[];
      return row?.credit === 0 && row.sendQueue > 0;
    };
    await host.until(['vsock', 'list', '--json'], ({ stdout }) => full(stdout.toString()));
    const [sender] = await host.json<Row[]>(['vsock', 'list']);
    t.match(sender, {
      type: 'stream',
      state: 'established',
      local: { port: 1234 },
      peer: { cid: 9, port: 7000 },
      sendQueue: 262144,
      credit: 0,
      owner: 2,
    });
    const [receiver] = await rows();
    t.match(receiver, { state: 'established', peer: { cid: 2, port: 1234 } });
    t.ok((receiver?.recvQueue ?? 0) > 0);
    const listening = await host.json(['--in', 'web1', 'vsock', 'list', '--listening']);
    t.same(listening, [], 'the listener has closed');
    connect.kill('SIGKILL');
    listen.kill('SIGKILL');
    await Promise.all([connect.ended, listen.ended]);
    await host.until(['--in', 'web1', 'vsock', 'list', '--json'], ({ stdout }) =>
      stdout.equals(Buffer.from('[]\n')),
    );
  });

  await t.test('ping', async (t) => {
    const service = host.start(['--in', 'web1', 'vsock', 'listen', '7000', '-k', '--exec', 'cat']);
    await service.waitFor('listening');
    const quick = ['--interval', '1ms', '--count', '3'];
    const open = await host.run(['vsock', 'ping', 'web1', '7000', ...quick]);
    t.match(open, { status: 0, stderr: '' });
    t.match(open.stdout.toString(), /^(web1:7000 seq=\d open [\d.]+ ms\n){3}3 of 3 open, min/);
    const json = await host.json<{ sent: number; open: number; trips: object[] }>([
      ...['vsock', 'ping', 'web1', '7000', ...quick],
    ]);
    t.match(json, { sent: 3, open: 3, minMs: Number, trips: { length: 3 } });
    t.match(json.trips[2], { sequence: 3, answer: 'open', ms: Number });

    const refused = await host.run(['vsock', 'ping', 'web1', '9', ...quick]);
    t.match(refused, { status: 6, stderr: /web1:9 refuses.*\(ECONNRESET\)/ });
    const nobody = await host.run(['vsock', 'ping', '77', '9', '-c', '1']);
    t.match(nobody, { status: 6, stderr: /can't be reached \(EHOSTUNREACH\)/ });
    const silent = ['vsock', 'ping', 'web1', '9', '-c', '1', '--json'];
    const failed = await host.run(silent);
    t.equal(failed.stdout.length, 0);
    t.match(JSON.parse(failed.stderr), { error: { code: 'ECONNRESET' } });
    t.match(await host.run(['vsock', 'ping', 'web1', '7000', '-q', '-c', '1']), {
      status: 0,
      stdout: Buffer.alloc(0),
    });
    t.equal((await host.run(['vsock', 'ping', 'nobody', '7000'])).status, 3);
    t.equal((await host.run(['vsock', 'ping', 'web1', '7000', '-c', '0'])).status, 2);
  });

  await t.test('perf', async (t) => {
    const echo = host.start(['--in', 'web1', 'vsock', 'listen', '7001', '-k', '--exec', 'cat']);
    await echo.waitFor('listening');
    const perf = ['vsock', 'perf', 'web1', '7001'];
    t.match(await host.json([...perf, '--size', '3000001']), {
      sent: 3000001,
      received: 3000001,
      ms: Number,
      sentPerSecond: Number,
      receivedPerSecond: Number,
    });
    const timed = await host.run([...perf, '--for', '100ms']);
    t.match(timed, { status: 0, stderr: '' });
    t.match(
      timed.stdout.toString(),
      /^sent [\d.]+[KMG]? in [\d.]+ s, [\d.]+[KMG]?\/s\nreceived .*\/s\n$/,
    );
    const quiet = await host.run([...perf, '--size', '0', '-q']);
    t.match(quiet, { status: 0, stdout: Buffer.from('0 0\n') });

    const deaf = host.start(['--in', 'web1', 'vsock', 'listen', '7002', '--exec', 'true']);
    await deaf.waitFor('listening');
    t.match(await host.run(['vsock', 'perf', 'web1', '7002']), {
      status: 6,
      stderr: /EPIPE|ECONNRESET/,
    });
    const silent = host.start(['--in', 'web1', 'vsock', 'listen', '7003'], { openStdin: true });
    await silent.waitFor('listening');
    const late = ['vsock', 'perf', 'web1', '7003', '--size', '10', '--timeout', '300ms'];
    t.match(await host.run(late), { status: 6, stderr: /ETIMEDOUT/ });
    t.equal((await host.run(['vsock', 'perf', 'nobody', '7000'])).status, 3);
    t.equal((await host.run([...perf, '--size', '1', '--for', '1s'])).status, 2);
  });
});
