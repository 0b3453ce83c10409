import t from 'tap';
import { isAlive, simulatedHost, until } from '../helpers/host.js';

const ONE_LINE = /^vmmctl: [^\n]+\n(hint: [^\n]+\n)?$/;

t.test('a peer that goes away', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1', '--cid', '7', '--cpus', '2', '--label', 'tier=web']);

  await t.test('a listener that closes half-way: 6 and one line', async (t) => {
    for (const by of ['exit 0', 'kill -9 $$']) {
      const listen = host.start([
        ...['--in', 'web1', 'vsock', 'listen', '7000', '--exec', `head -c 1000000 | wc -c; ${by}`],
      ]);
      await listen.waitFor('listening');
      const send = host.shell('head -c 100M /dev/urandom | vmmctl vsock cat web1:7000; exit $?');
      const { status, stderr, stdout } = await send.ended;
      t.ok(status === 6 || status === 141, `status ${status}`);
      t.match(stderr, ONE_LINE);
      t.equal(stdout.toString(), '1000000\n', 'what it had said before arrives');
      t.equal((await listen.ended).status, by === 'exit 0' ? 0 : 137);
    }
  });

  await t.test('a file that was not read to its end', async (t) => {
    await host.shell('head -c 10M /dev/zero > big').ended;
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7000', '--exec', 'head -c 9']);
    await listen.waitFor('listening');
    const send = await host.run(['vsock', 'connect', 'web1', '7000'], { from: host.path('big') });
    t.equal(send.status, 6);
    t.match(send.stderr, /the peer closed before it had taken all bytes \(EPIPE\)\n$/);
  });

  await t.test('a listener that is killed', async (t) => {
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7001'], {
      to: host.path('got'),
    });
    await listen.waitFor('listening');
    const send = host.shell('vmmctl vsock connect web1 7001 < /dev/zero');
    await until('bytes arrive', () => host.shell('test -s got').ended.then((e) => e.status === 0));
    listen.kill('SIGKILL');
    const { status, stderr } = await send.ended;
    t.equal(status, 6);
    t.match(stderr, ONE_LINE);
  });

  await t.test('a VM that is destroyed', async (t) => {
    await host.run(['create', 'web9']);
    const listen = host.start(['--in', 'web9', 'vsock', 'listen', '7001'], { openStdin: true });
    await listen.waitFor('listening');
    const connect = host.start(['vsock', 'connect', 'web9', '7001'], { openStdin: true });
    connect.stdin.write('hello');
    await listen.waitForOutput('hello');
    const waiting = host.start(['--in', 'web9', 'vsock', 'listen', '7002']);
    await waiting.waitFor('listening');
    await host.run(['destroy', 'web9']);
    for (const process of [connect, listen, waiting]) {
      const { status, stderr } = await process.ended;
      t.equal(status, 6);
      t.match(stderr, /\(ECONNRESET\)\n$/);
    }
  });

  await t.test('stdout that is closed early ends it quietly', async (t) => {
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7002', '-k', '--exec', 'yes']);
    await listen.waitFor('listening');
    for (const command of ['connect web1 7002', 'cat web1:7002']) {
      const line = `vmmctl vsock ${command} | head -c 10; echo "status \${PIPESTATUS[0]}"`;
      const { stdout, stderr } = await host.shell(line).ended;
      t.equal(stdout.toString(), 'y\ny\ny\ny\ny\nstatus 141\n');
      t.equal(stderr, '');
    }
    listen.kill();
  });

  await t.test('stdout on a full disk: one line and 1', async (t) => {
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7003', '-k', '--exec', 'yes']);
    await listen.waitFor('listening');
    const full = await host.shell('vmmctl vsock connect web1 7003 > /dev/full').ended;
    t.equal(full.status, 1);
    t.match(full.stderr, /^vmmctl: stdout: .*\(ENOSPC\)\n$/);
    listen.kill();
  });

  await t.test('the simulated host itself: 6, and what stays comes back', async (t) => {
    const ephemeral = host.start(['create', 'brief', '--ephemeral'], { openStdin: true });
    await ephemeral.waitForOutput('brief');
    const before = await host.json<object[]>(['list']);
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7004'], {
      to: host.path('half'),
    });
    await listen.waitFor('listening');
    const connect = host.shell('exec vmmctl vsock connect web1 7004 < /dev/zero');
    await until('bytes flow', () => host.shell('test -s half').ended.then((e) => e.status === 0));
    const daemon = await host.daemon();
    process.kill(daemon, 'SIGKILL');
    for (const client of [listen, connect]) {
      const { status, stderr } = await client.ended;
      t.equal(status, 6);
      t.match(stderr, /the simulated host is gone \(ECONNRESET\)\n/);
      t.notMatch(stderr, /\n\s+at /, 'no stack trace');
    }
    await until('it is gone', () => !isAlive(daemon));
    const after = await host.json<{ name: string }[]>(['list']);
    t.same(
      after,
      before.filter((vm) => (vm as { name: string }).name !== 'brief'),
    );
    t.match(after, [{ name: 'web1', cid: 7, cpus: 2, labels: { tier: 'web' } }]);
    const { stdout } = await host.shell(`ls ${host.runtime}`).ended;
    t.notMatch(stdout.toString(), /brief/, 'no socket of it is left');
    ephemeral.stdin.end();
  });
});
