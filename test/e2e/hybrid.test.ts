import { connect, type Socket } from 'node:net';
import t from 'tap';
import { random, simulatedHost } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

/** All that comes until the other side closes. */
function rest(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (part) => {
      text += part.toString('latin1');
    });
    socket.on('error', () => resolve(text));
    socket.on('end', () => resolve(text));
  });
}

t.test('the Unix socket of a VM', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const [vm] = await host.json<{ exports: { kind: string; path: string }[] }[]>([
    'inspect',
    'web1',
  ]);
  const path = vm?.exports[0]?.path ?? '';
  t.equal(path, `${host.runtime}/web1.vsock`);
  const echo = host.start(['--in', 'web1', 'vsock', 'listen', '7000', '-k', '--exec', 'cat']);
  await echo.waitFor('listening');

  await t.test('CONNECT, OK, and a stream with both halves', async (t) => {
    const socket = await dial(path);
    const said = rest(socket);
    socket.end('CONNECT 7000\nhello');
    t.match(await said, /^OK \d+\nhello$/);
  });

  await t.test('the line may come in pieces, in any case, with a carriage return', async (t) => {
    const socket = await dial(path);
    const said = rest(socket);
    for (const part of ['con', 'nect 70', '00\r', '\nhello']) {
      socket.write(part);
      await new Promise((next) => setImmediate(next));
    }
    socket.end();
    t.match(await said, /^OK \d+\nhello$/);
  });

  await t.test('refused: closed without an answer', async (t) => {
    const lines = ['CONNECT 9\n', 'CONNECT\n', 'GET / HTTP/1.1\r\n\r\n', 'CONNECT 4294967296\n'];
    for (const line of [...lines, `${'x'.repeat(100)}\n`, 'y'.repeat(1000), '\n', '\0\0\n']) {
      const socket = await dial(path);
      const said = rest(socket);
      socket.write(line);
      t.equal(await said, '', JSON.stringify(line.slice(0, 20)));
      socket.destroy();
    }
  });

  await t.test('clients that leave do no harm', async (t) => {
    for (const text of ['', 'CONN', 'CONNECT 7000', 'CONNECT 7000\n']) {
      const socket = await dial(path);
      socket.write(text);
      socket.destroy();
    }
    for (let i = 0; i < 50; i++) {
      const socket = await dial(path);
      socket.on('error', () => undefined);
      socket.end(random(40));
    }
    t.equal((await host.run(['vsock', 'ping', 'web1', '7000', '-c', '1'])).status, 0);
  });

  await t.test('a peer that is destroyed closes the stream', async (t) => {
    await host.run(['create', 'brief']);
    const listen = host.start(['--in', 'brief', 'vsock', 'listen', '7000'], { openStdin: true });
    await listen.waitFor('listening');
    const socket = await dial(`${host.runtime}/brief.vsock`);
    const said = rest(socket);
    socket.write('CONNECT 7000\nhello');
    await listen.waitForOutput('hello');
    await host.run(['destroy', 'brief']);
    t.match(await said, /^OK \d+\n$/);
    t.equal((await listen.ended).status, 6);
  });

  await t.test('socat reaches a guest', async (t) => {
    if (!requireTool(t, 'socat')) return;
    const line = `{ printf 'CONNECT 7000\\n'; head -c 3000000 in; } | socat -t 30 - UNIX-CONNECT:${path} | tail -c 3000000 | cmp - in`;
    await host.shell('head -c 3000000 /dev/urandom > in').ended;
    t.match(await host.shell(line).ended, { status: 0, stderr: '' });
  });

  await t.test('a guest reaches socat', async (t) => {
    if (!requireTool(t, 'socat')) return;
    const connectHost = ['--in', 'web1', 'vsock', 'connect', 'host', '6000'];
    t.match(await host.run(connectHost), { status: 6, stderr: /refuses/ }, 'nobody listens');
    const socat = host.program('socat', ['-t', '30', `UNIX-LISTEN:${path}_6000,fork`, 'EXEC:cat']);
    const data = random(2_000_000);
    const { status, stdout } = await host.run([...connectHost, '--retry', '1m'], { input: data });
    t.equal(status, 0);
    t.ok(stdout.equals(data));
    socat.kill();
    await socat.ended;
  });

  await t.test('a listener of vmmctl comes first', async (t) => {
    const listen = host.start(['vsock', 'listen', '6001']);
    await listen.waitFor('listening');
    await host.run(['--in', 'web1', 'vsock', 'connect', 'host', '6001'], { input: 'x' });
    t.equal((await listen.ended).stdout.toString(), 'x');
  });

  await t.test('a name that is no file name has only the socket of its CID', async (t) => {
    await host.run(['create', 'a/b', '--cid', '40']);
    const [odd] = await host.json<{ exports: { path: string }[] }[]>(['inspect', 'a/b']);
    t.equal(odd?.exports[0]?.path, `${host.runtime}/cid-40.vsock`);
    t.match(await host.run(['create', 'a']), { status: 4, stderr: /\(EEXIST\)/ });
  });
});
