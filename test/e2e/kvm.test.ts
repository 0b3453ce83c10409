/** Commands on VMs of KVM, which this machine's own kernel runs. */
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { allExamples, manExamples } from '../docs/examples.js';
import { isAlive, openFiles, until } from '../helpers/host.js';
import { IMAGES, requireKvm } from '../helpers/kvm.js';
import { exits, kvmHost, runsAs, untilState } from '../helpers/kvm-host.js';

t.test('a VM from its creation to its end', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host, sockets, holder } = await kvmHost(t);
  t.same(await host.json(['list']), []);
  const create = ['create', 'web/1', '--memory', '16M', '--cpus', '2', '--label', 'tier=web'];
  const created = await host.json(create);
  t.match(created, { name: 'web/1', state: 'created', cpus: 2, memory: 16 * 2 ** 20, cid: null });
  t.match(created, { lifetime: 'persistent', labels: { tier: 'web' }, createdAt: /Z$/ });
  t.same(await host.json(['list']), [created]);
  t.match(await host.run(create), { status: 4, stderr: /already a VM 'web\/1' \(EEXIST\)/ });
  const pid = await holder('web/1');
  t.ok(isAlive(pid));

  const { status, exits: seen } = await exits(host, ['web/1', ...runsAs('writes')]);
  t.equal(status, 0);
  t.match(seen, [
    { exit: 'IO', vcpu: 0, direction: 'OUT', port: 0x3f8, data: '41' },
    { exit: 'IO', vcpu: 0, direction: 'OUT', port: 0x3f8, data: '0a' },
    { exit: 'HLT', vcpu: 0 },
  ]);
  t.match(await host.json(['list']), [{ state: 'suspended', reason: 'halt' }]);
  t.match(await host.json(['inspect', 'web/1']), [
    {
      counters: { KVM_EXIT_IO: 2, KVM_EXIT_HLT: 1 },
      capabilities: { KVM_CAP_USER_MEMORY: 1 },
      memoryMap: [{ address: 0, size: 16 * 2 ** 20 }],
    },
  ]);
  const page = await host.run(['inspect', 'web/1']);
  t.match(page.stdout.toString(), /KVM_EXIT_HLT/);

  t.match(await host.run(['destroy', 'web/1', 'nobody']), {
    status: 3,
    stderr: /no VM 'nobody' \(ENOENT\)/,
  });
  t.same(await host.json(['list']), []);
  await until('its process is gone', () => !isAlive(pid));
  t.same(sockets(), []);
  t.match(await host.run(['inspect', 'web/1']), { status: 3, stderr: /no VM 'web\/1'/ });
});

t.test('the examples of the manual', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host } = await kvmHost(t);
  const page = manExamples(readFileSync('man/vmmctl-device.7', 'utf8'));
  const first = page.findIndex((line) => line.startsWith('printf'));
  for (const line of page.slice(first, first + 4)) {
    const { status, stdout, stderr } = await host.shell(line).ended;
    t.equal(status, 0, `${line}: ${stderr}`);
    if (line.includes(' run ')) t.match(stdout.toString(), /port=0x3f8 .*data=41(.|\n)*HLT/);
  }
  writeFileSync(host.path('boot.bin'), IMAGES.writes);
  const run = 'vmmctl run web1 --backend device --image boot.bin --at 0x1000 --timeout 2s';
  t.ok((await allExamples()).has(run));
  await host.json(['create', 'web1']);
  t.match(await host.shell(run.replace('2s', '1m')).ended, { status: 0 });
});

t.test('what the guest reads, and where an image may be', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  const echo = await exits(host, ['a', ...runsAs('echoes'), '--input', '0x60=0x5a']);
  t.match(echo.exits, [
    { direction: 'IN', port: 0x60 },
    { direction: 'OUT', port: 0x61, data: '5a' },
    { exit: 'HLT' },
  ]);
  const mmio = await exits(host, ['a', ...runsAs('mmio', '0')]);
  t.match(mmio.exits, [
    { exit: 'MMIO', phys_addr: 0xb8000, is_write: false },
    { exit: 'MMIO', phys_addr: 0xb8001, is_write: true, data: '00' },
    { exit: 'HLT' },
  ]);
  const outside = await host.run(['run', 'a', ...runsAs('writes', '0xfff1')]);
  t.match(outside, { stderr: /16 bytes at 0xfff1 do not lie in the VM's memory \(EINVAL\)/ });
  t.match(await host.run(['run', 'a', '--vcpu', '1']), { stderr: /no vCPU 1 \(EINVAL\)/ });
  t.match(await host.run(['create', 'b', '--cpus', '60000']), { stderr: /no vCPU \d+ \(EINVAL\)/ });
  t.match(await host.run(['create', 'c', '--cid', '5']), { status: 7, stderr: /EOPNOTSUPP/ });
  t.match(await host.json(['list']), [{ name: 'a' }], 'nothing is left of those');
});

t.test('a guest that loops for ever ends with --timeout, Ctrl-C, and kill -9', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  const loop = ['run', 'a', ...runsAs('loops')];
  const late = await host.run([...loop, '--timeout', '300ms']);
  t.match(late, { status: 6, stderr: /ETIMEDOUT/ });
  t.match(await host.json(['list']), [{ state: 'suspended', reason: 'paused' }]);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    const running = host.start(loop);
    await untilState(host, 'running');
    t.match(await host.run(['run', 'a']), { status: 4, stderr: /somebody runs vCPU 0 already/ });
    running.kill(signal);
    t.equal((await running.ended).signal, signal);
    await untilState(host, 'suspended');
  }
  const again = await exits(host, ['a', ...runsAs('writes')]);
  t.match(again.exits, [{ exit: 'IO' }, { exit: 'IO' }, { exit: 'HLT' }], 'it is as good as new');
});

t.test('what the guest reads is given also when that exit is the last one', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  const input = ['--input', '0x60=0x5a'];
  const first = await exits(host, ['a', ...runsAs('echoes'), ...input, '--count', '1']);
  t.match(first.exits, [{ direction: 'IN', port: 0x60 }]);
  const rest = await exits(host, ['a', '--input', '0x60=0x11']);
  t.match(rest.exits, [{ direction: 'OUT', port: 0x61, data: '5a' }, { exit: 'HLT' }]);
  await exits(host, ['a', ...runsAs('echoesDevice'), '--count', '2']);
  const zeros = await exits(host, ['a']);
  t.match(zeros.exits, [{ exit: 'MMIO', is_write: true, data: '00' }, { exit: 'HLT' }]);
});

t.test('the process of a VM holds nothing that its creator had open', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host, holder } = await kvmHost(t);
  const create = 'exec 40>lock 200>lock; vmmctl create a --memory 64K';
  t.match(await host.shell(create).ended, { status: 0 });
  t.same(
    openFiles(await holder('a')).filter((path) => path.endsWith('/lock')),
    [],
  );
});

t.test('what KVM has no use for is refused', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  for (const words of [
    '--reset',
    '--cpuset-size 8',
    '--abi 13',
    '--compare 13,15',
    '--program -',
  ]) {
    const refused = await host.run(['run', 'a', ...words.split(' ')]);
    const flag = words.split(' ')[0];
    t.match(refused, { status: 7, stderr: `KVM has no ${flag} (EOPNOTSUPP)` }, words);
  }
  t.match(await host.run(['stats', 'a', '--vcpu', '0']), { status: 7, stderr: /leave --vcpu out/ });
});

t.test('--count ends a guest that exits for ever, and the next run goes on', async (t) => {
  if (!(await requireKvm(t))) return;
  const { host } = await kvmHost(t);
  await host.json(['create', 'a', '--memory', '64K']);
  for (const args of [runsAs('exits'), []]) {
    const counted = await exits(host, ['a', ...args, '--count', '20']);
    t.equal(counted.status, 0, counted.stderr);
    t.equal(counted.exits.filter(({ port }) => port === 0x80).length, 20);
  }
});
