import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

t.test('statuses of create, destroy, list and inspect', async (t) => {
  const host = await simulatedHost(t);
  const names = ['x'.repeat(230), '', 'a b', '..', 'x/../y', 'a\tb', 'a\u0001', '3', 'host', 'a:b'];
  for (const name of [...names, '-', '/a', 'a/', 'any', 'exec']) {
    for (const command of ['create', 'destroy', 'inspect']) {
      const { status, stdout } = await host.run([command, name]);
      t.equal(status, 2, `${command} ${JSON.stringify(name.slice(0, 10))}`);
      t.equal(stdout.length, 0);
    }
  }
  for (const cid of ['0', '1', '2', '4294967295', '4294967296', '-1', 'x']) {
    t.equal((await host.run(['create', 'web1', '--cid', cid])).status, 2, `--cid ${cid}`);
  }
  t.same(await host.json(['list']), []);

  t.match(await host.run(['create', 'web1', '--cid', '5', '--memory', '1G', '--cpus', '2']), {
    status: 0,
    stdout: Buffer.from('web1\n'),
    stderr: '',
  });
  t.match(await host.run(['create', 'web1']), { status: 4, stderr: /\(EEXIST\)/ });
  t.match(await host.run(['create', 'web2', '--cid', '5']), {
    status: 4,
    stderr: /CID 5 is in use \(EADDRINUSE\)/,
  });
  t.match(await host.run(['destroy', 'nobody', 'web1']), {
    status: 3,
    stderr: /no VM 'nobody' \(ENOENT, from EINVAL\)/,
  });
  const gone = await host.run(['inspect', 'web1']);
  t.match(gone, { status: 3, stderr: /no VM 'web1' \(ENOENT\)/ });
  t.equal(gone.stdout.toString(), '', 'and no empty list');
  t.same(await host.json(['list']), [], 'nothing is left of the one whose CID was in use');
  t.equal((await host.run(['destroy'])).status, 2);
  t.equal((await host.run(['list', '--in', 'web1'])).status, 2);
});

t.test('an ephemeral VM and its program', async (t) => {
  const host = await simulatedHost(t);
  const status = async (...command: string[]) =>
    (await host.run(['create', 'brief', '--ephemeral', '--', ...command])).status;
  t.equal(await status('true'), 0);
  t.equal(await status('sh', '-c', 'exit 42'), 42);
  t.equal(await status('no-such-program'), 127);
  t.equal(await status('/'), 126);
  t.equal(await status('sh', '-c', 'kill -KILL $$'), 137);
  const script = 'echo $VMMCTL_VM $VMMCTL_CID; vmmctl list --format "{{.name}} {{.lifetime}}"';
  const { stdout } = await host.run(['create', 'brief', '--ephemeral', '--', 'sh', '-c', script]);
  t.equal(stdout.toString(), 'brief 3\nbrief ephemeral\n');
  const daemon = await host.daemon();
  t.equal(await status('sh', '-c', `kill -9 ${daemon}; exit 5`), 5, 'whatever became of the host');
  await host.run(['create', 'brief']);
  t.equal(await status('true'), 125, 'we failed before it started');
});

t.test('users and jails', async (t) => {
  const host = await simulatedHost(t);
  t.match(await host.run(['create', 'web1', '--as', '1000']), {
    status: 5,
    stderr: /^vmmctl: create: \/dev\/vmmctl: .*\(EACCES\)\n/,
  });
  t.equal((await host.run(['create', 'inside', '--jail', 'a'])).status, 0);
  t.equal((await host.run(['create', 'deep', '--jail', 'a/b'])).status, 0);
  const visible = async (...as: string[]) => {
    const { stdout } = await host.run(['list', '--quiet', ...as]);
    return stdout.toString().split('\n').filter(Boolean);
  };
  t.same(await visible(), ['a/b/deep', 'a/inside'], 'the host sees all, with their jails');
  t.same(await visible('--jail', 'a'), ['b/deep', 'inside']);
  t.same(await visible('--jail', 'a/b'), ['deep']);
  t.same(await visible('--jail', 'c'), [], 'a sibling sees none');
  t.equal((await host.run(['inspect', 'inside', '--jail', 'c'])).status, 3);
  t.match(await host.run(['create', 'inside', '--jail', 'a']), { status: 4, stderr: /EEXIST/ });
  t.match(await host.run(['create', 'inside', '--jail', 'c']), { status: 4, stderr: /EEXIST/ });
  const listen = host.start(['--in', 'inside', '--jail', 'a', 'vsock', 'listen', '7000']);
  await listen.waitFor('listening');
  const connect = ['vsock', 'connect', 'inside', '7000', '--jail', 'a'];
  t.equal((await host.run(connect, { input: 'x' })).status, 0);
  t.equal((await listen.ended).stdout.toString(), 'x');
  t.match(await host.json(['inspect', 'a/b/deep']), [{ name: 'a/b/deep' }]);
  t.equal((await host.run(['destroy', 'b/deep', '--jail', 'a'])).status, 0, 'a parent may');
  t.equal((await host.run(['destroy', '--all'])).status, 0);
  t.same(await visible(), []);
});

t.test('list --watch tells each change once', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const watch = host.start(['list', '--watch', '--json']);
  await watch.waitForOutput('web1');
  await host.run(['create', 'web2', '--label', 'tier=web']);
  await watch.waitForOutput('tier');
  await host.run(['inspect', 'web2']);
  await host.run(['destroy', 'web1']);
  await host.run(['destroy', 'web2']);
  await watch.waitForOutput('\n[]\n');
  watch.kill();
  const lines = (await watch.ended).stdout.toString().trim().split('\n');
  lines.forEach((line, i) => {
    t.not(line, lines[i - 1], 'not the same as before');
  });
  t.match(JSON.parse(lines.at(-2) ?? ''), [{ name: 'web2', labels: { tier: 'web' } }]);
});
