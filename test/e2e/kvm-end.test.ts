/** How VMs of KVM end, and what is left of them. */
import t from 'tap';
import { isAlive, until } from '../helpers/host.js';
import { requireKvm } from '../helpers/kvm.js';
import { kvmHost, runsAs, untilState } from '../helpers/kvm-host.js';

t.test('destroyed while it runs', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host, holder } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  const pid = await holder('a');
  const running = host.start(['run', 'a', ...runsAs('loops')]);
  await untilState(host, 'running');
  t.equal((await host.run(['destroy', 'a'])).status, 0);
  t.match(await running.ended, { status: 7, stderr: /was destroyed \(ENXIO\)/ });
  await until('its process is gone', () => !isAlive(pid));
});

t.test('an ephemeral VM ends with its command, also with kill -9', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host, sockets } = await kvmHost(t);
  const script = 'echo $VMMCTL_VM; vmmctl list --quiet; exit 42';
  const ended = await host.run(['create', 'b', '--ephemeral', '--', 'sh', '-c', script]);
  t.match(ended, { status: 42, stderr: '' });
  t.equal(ended.stdout.toString(), 'b\nb\n');
  t.same(sockets(), []);
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const held = host.start(['create', 'b', '--ephemeral'], { openStdin: true });
    await held.waitForOutput('b\n');
    t.match(await host.json(['list']), [{ name: 'b', lifetime: 'ephemeral' }]);
    held.kill(signal);
    t.equal((await held.ended).signal, signal);
    await until('it is gone', () => sockets().length === 0);
  }
  t.same(await host.json(['list']), []);
});

t.test('a process that was killed leaves nothing in the way', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host, holder, sockets } = await kvmHost(t);
  for (const [words, wanted] of [
    [['list'], 0],
    [['destroy', 'a'], 3],
    [['create', 'a', '--memory', '64K'], 0],
  ] as const) {
    await host.run(['create', 'a', '--memory', '64K']);
    const pid = await holder('a');
    process.kill(pid, 'SIGKILL');
    await until('it is gone', () => !isAlive(pid));
    t.same(sockets(), ['a.sock']);
    t.equal((await host.run(words)).status, wanted, words.join(' '));
    t.same(sockets(), words[0] === 'create' ? ['a.sock'] : []);
  }
});

t.test('SIGTERM ends the process of a VM, whether it runs or not', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host, holder, sockets } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  const pid = await holder('a');
  const running = host.start(['run', 'a', ...runsAs('loops')]);
  await untilState(host, 'running');
  process.kill(pid, 'SIGTERM');
  await until('it is gone', () => !isAlive(pid));
  t.match(await running.ended, { status: /[67]/ });
  t.same(sockets(), []);
});
