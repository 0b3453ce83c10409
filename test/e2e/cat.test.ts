import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { random, simulatedHost } from '../helpers/host.js';

/** Sends to a TCP port of this machine, and gives what came back; nothing when the connection is cut. */
function tcpTalk(port: number, data: Uint8Array): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.on('data', (part) => parts.push(part));
    socket.on('end', () => resolve(Buffer.concat(parts)));
    socket.on('error', () => resolve(Buffer.alloc(0)));
    socket.end(data);
  });
}

t.test('vsock cat', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const echo = host.start(['--in', 'web1', 'vsock', 'listen', '7000', '-k', '--exec', 'cat']);
  await echo.waitFor('listening');

  await t.test('bad endpoints: 2', async (t) => {
    const bad = ['', 'web1', 'web1:', 'web1:x', ':7', 'a:b:c', 'tcp:host', 'tcp:h:70000', '9'];
    for (const text of [...bad, 'unix:', 'exec:', 'vsock-listen:-1', 'web1:4294967296', 'a b:1']) {
      t.equal((await host.run(['vsock', 'cat', text])).status, 2, text);
    }
    t.equal((await host.run(['vsock', 'cat', '-', '-'])).status, 2);
    t.equal((await host.run(['vsock', 'cat', 'web1:7000', '--fork'])).status, 2);
    t.equal((await host.run(['vsock', 'cat', 'tcp-listen:0', '-', '--fork'])).status, 2);
  });

  await t.test('endpoints that are not there', async (t) => {
    const missing: [string, number, RegExp][] = [
      ['web1:9', 6, /refuses/],
      ['nobody:9', 3, /no VM 'nobody'/],
      ['unix:none', 3, /unix:none does not exist/],
      ['unix-listen:none/x', 3, /unix-listen:none.x: there is no such directory \(ENOENT\)/],
      [`unix:${'x'.repeat(108)}`, 1, /at most 107 bytes \(ENAMETOOLONG\)/],
      [`unix-listen:${'x'.repeat(108)}`, 1, /at most 107 bytes \(ENAMETOOLONG\)/],
      ['file:none', 3, /none/],
      ['tcp:127.0.0.1:1', 6, /refuses/],
    ];
    for (const [text, status, message] of missing) {
      const { status: is, stderr } = await host.run(['vsock', 'cat', text]);
      t.equal(is, status, text);
      t.match(stderr, message);
      t.equal(stderr.match(/^vmmctl: /gm)?.length, 1);
    }
  });

  await t.test('to a guest, through stdin and stdout', async (t) => {
    const data = random(3_000_000);
    for (const args of [['web1:7000'], ['web1:7000', '-'], ['-', 'web1:7000'], ['3:7000']]) {
      const { status, stdout, stderr } = await host.run(['vsock', 'cat', ...args], { input: data });
      t.equal(status, 0);
      t.ok(stdout.equals(data), args.join(' '));
      t.equal(stderr, '');
    }
  });

  await t.test('as the ProxyCommand of ssh: the server speaks first', async (t) => {
    const script = 'echo SSH-2.0-test; read hello; echo "welcome $hello"';
    const server = host.start(['--in', 'web1', 'vsock', 'listen', '22', '-k', '--exec', script]);
    await server.waitFor('listening');
    const client = host.start(['vsock', 'cat', 'web1:22'], { openStdin: true });
    await client.waitForOutput('SSH-2.0-test');
    client.stdin.write('SSH-2.0-me\n');
    const { status, stdout } = await client.ended;
    t.equal(status, 0);
    t.equal(stdout.toString(), 'SSH-2.0-test\nwelcome SSH-2.0-me\n');
  });

  await t.test('vsock-listen', async (t) => {
    const cat = host.start(['--in', 'web1', 'vsock', 'cat', 'vsock-listen:7001'], {
      input: 'from inside',
    });
    await cat.waitFor('listening on vsock port 7001');
    const { stdout } = await host.run(['vsock', 'connect', 'web1', '7001'], { input: 'hello' });
    t.equal(stdout.toString(), 'from inside');
    t.equal((await cat.ended).stdout.toString(), 'hello');
  });

  await t.test('a socket with a short name in a deep directory', async (t) => {
    const deep = `${'d'.repeat(60)}/${'e'.repeat(60)}`;
    await host.shell(`mkdir -p ${deep}`).ended;
    for (const end of ['SIGTERM', 'SIGKILL'] as const) {
      const line = `cd ${deep} && exec vmmctl vsock cat unix-listen:u.sock web1:7000 --fork`;
      const listen = host.shell(line);
      await listen.waitFor('listening on unix-listen:u.sock');
      const use = `cd ${deep} && echo over | vmmctl vsock cat unix:u.sock`;
      t.match(await host.shell(use).ended, { status: 0, stdout: Buffer.from('over\n') });
      const second = await host.shell(`cd ${deep} && vmmctl vsock cat unix-listen:u.sock`).ended;
      t.match(second, { status: 4, stderr: /u.sock is in use/ });
      listen.kill(end);
      await listen.ended;
    }
    t.match(await host.shell('ls -d d*').ended, { stdout: Buffer.from(`${'d'.repeat(60)}\n`) });
  });

  await t.test('unix and unix-listen, over a socket that was left behind', async (t) => {
    const left = host.start(['vsock', 'cat', 'unix-listen:u.sock']);
    await left.waitFor('listening on unix-listen:u.sock');
    t.match(await host.run(['vsock', 'cat', 'unix-listen:u.sock']), {
      status: 4,
      stderr: /unix-listen:u.sock is in use \(EADDRINUSE\)/,
    });
    left.kill('SIGKILL');
    await left.ended;
    const listen = host.start(['vsock', 'cat', 'unix-listen:u.sock', 'web1:7000']);
    await listen.waitFor('listening');
    const data = random(500_000);
    const { stdout } = await host.run(['vsock', 'cat', 'unix:u.sock'], { input: data });
    t.ok(stdout.equals(data));
    t.equal((await listen.ended).status, 0);
    t.notOk((await host.shell('ls u.sock 2>/dev/null').ended).stdout.toString());
  });

  await t.test('tcp', async (t) => {
    const got: Buffer[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
      socket.on('data', (part) => got.push(part));
      socket.on('end', () => socket.end('thanks'));
    });
    t.teardown(() => server.close());
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    const address = server.address() as { port: number };
    const cat = ['vsock', 'cat', `tcp:127.0.0.1:${address.port}`];
    const { status, stdout } = await host.run(cat, { input: 'over tcp' });
    t.equal(status, 0);
    t.equal(stdout.toString(), 'thanks');
    t.equal(Buffer.concat(got).toString(), 'over tcp');
  });

  await t.test('tcp-listen is on loopback', async (t) => {
    const cat = host.start(['vsock', 'cat', 'tcp-listen:0', 'web1:7000']);
    const [, address, port] = await cat.waitFor(/listening on tcp (\S+) port (\d+)/);
    t.equal(address, '127.0.0.1');
    t.equal((await tcpTalk(Number(port), Buffer.from('hello'))).toString(), 'hello');
    t.equal((await cat.ended).status, 0);
  });

  await t.test('--fork is a port forwarder', async (t) => {
    const forward = host.start(['vsock', 'cat', 'tcp-listen:0', 'web1:7000', '--fork']);
    const [, port] = await forward.waitFor(/port (\d+)/);
    const data = Array.from({ length: 24 }, (_, i) => random(1 + i * 20_011));
    const answers = await Promise.all(data.map((each) => tcpTalk(Number(port), each)));
    answers.forEach((answer, i) => {
      t.ok(answer.equals(data[i] as Buffer));
    });
    const gone = connect({ host: '127.0.0.1', port: Number(port) });
    gone.on('error', () => undefined);
    await new Promise<void>((next) => gone.once('connect', () => next()));
    gone.resetAndDestroy();
    t.equal((await tcpTalk(Number(port), Buffer.from('again'))).toString(), 'again');
    echo.kill();
    await echo.ended;
    t.equal((await tcpTalk(Number(port), Buffer.from('x'))).length, 0);
    await forward.waitFor(/web1:7000 refuses the connection/);
    forward.kill();
    t.equal((await forward.ended).signal, 'SIGTERM');
  });

  await t.test('exec and file', async (t) => {
    await host.shell('head -c 300000 /dev/urandom > in').ended;
    const run = (...args: string[]) => host.run(['vsock', 'cat', ...args]);
    t.equal((await run('file:in', 'file:copy')).status, 0);
    t.equal((await run('exec:echo one; exec sleep 0.1')).stdout.toString(), 'one\n');
    t.equal((await run('file:in', 'exec:cat > copy2')).status, 0);
    const listen = host.start(['--in', 'web1', 'vsock', 'cat', 'vsock-listen:7002', 'file:copy3']);
    await listen.waitFor('listening');
    t.equal((await run('file:in', 'web1:7002')).status, 0);
    t.equal((await listen.ended).status, 0);
    for (const copy of ['copy', 'copy2', 'copy3']) {
      t.equal((await host.shell(`cmp in ${copy}`).ended).status, 0, copy);
    }
    const fifo = host.shell('mkfifo p; cat in > p & vmmctl vsock cat file:p | cmp - in');
    t.equal((await fifo.ended).status, 0);
  });

  await t.test('--progress', async (t) => {
    const args = ['vsock', 'cat', 'exec:head -c 2048 /dev/zero', '--progress'];
    const { stderr, stdout } = await host.run(args);
    t.equal(stdout.length, 2048);
    t.match(stderr, /^2K sent, 0 received, \d+[KMGT]?\/s\n$/);
  });
});
