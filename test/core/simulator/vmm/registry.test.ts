import t from 'tap';
import { VirtualClock } from '../../../../src/core/simulator/clock.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { DEFAULT_VMM_CONFIG } from '../../../../src/core/simulator/vmm/config.js';
import { Vmm } from '../../../../src/core/simulator/vmm/registry.js';
import { cpuCount, memoryBytes, saveVm } from '../../../../src/core/simulator/vmm/vm.js';
import { allocMemseg, codeOf, jailed, names, user, vmmHost } from '../../../helpers/vmm.js';

t.test('a VM knows who created it, and when', async (t) => {
  const clock = new VirtualClock();
  const vmm = new Vmm({ clock, config: DEFAULT_VMM_CONFIG });
  clock.advance(5000);
  const vm = vmm.create('a', 'ephemeral', user(1000));
  t.equal(vm.createdAtMs, clock.wallMs());
  t.match(vm, { creator: { uid: 1000 }, state: 'created', lifetime: 'ephemeral' });
});

t.test('by default there is no limit', async (t) => {
  const vmm = vmmHost();
  for (let i = 0; i < 500; i++) vmm.create(`vm${i}`, 'persistent', ROOT);
  t.equal(vmm.all().length, 500);
  t.equal(vmm.countOf(0), 500);
});

t.test('a jail sees its own VMs and those of jails in it, not its sibling\u2019s', async (t) => {
  const vmm = vmmHost();
  vmm.create('host', 'persistent', ROOT);
  vmm.create('one', 'persistent', jailed('one'));
  vmm.create('inner', 'persistent', jailed('one/in'));
  vmm.create('two', 'persistent', jailed('two'));
  t.strictSame(names(vmm), ['host', 'one', 'inner', 'two']);
  t.strictSame(names(vmm, jailed('one')), ['one', 'inner']);
  t.strictSame(names(vmm, jailed('one/in')), ['inner']);
  t.strictSame(names(vmm, jailed('two')), ['two']);
  t.equal(vmm.find('inner', jailed('one'))?.name, 'inner');
  t.equal(vmm.find('two', jailed('one')), undefined);
});

t.test('users see each other\u2019s VMs unless see_other_uids is off', async (t) => {
  for (const seeOtherUids of [true, false]) {
    const vmm = vmmHost({ seeOtherUids });
    vmm.create('a', 'ephemeral', user(1000));
    t.strictSame(names(vmm, user(1001)), seeOtherUids ? ['a'] : []);
    t.strictSame(names(vmm, user(1000)), ['a']);
    t.strictSame(names(vmm), ['a']);
  }
});

t.test('destroying suspends with a reason, unless there is one already', async (t) => {
  const vmm = vmmHost();
  const one = vmm.create('a', 'persistent', ROOT);
  const two = vmm.create('b', 'persistent', ROOT);
  two.suspendReason = 2;
  vmm.destroy(one);
  vmm.destroy(two);
  t.match(one, { state: 'destroying', suspendReason: 5 });
  t.match(two, { state: 'destroying', suspendReason: 2 });
});

t.test('a VM that is destroyed twice is destroyed once', async (t) => {
  const vmm = vmmHost();
  const vm = vmm.create('a', 'persistent', ROOT);
  vmm.destroy(vm);
  vmm.destroy(vm);
  t.equal(vmm.countOf(0), 0);
  const events = vmm.takeEvents().map(({ type }) => type);
  t.strictSame(events, ['created', 'destroyed']);
});

t.test('the nodes of a VM\u2019s segments go with it', async (t) => {
  const vmm = vmmHost();
  const vm = vmm.create('a', 'persistent', ROOT);
  allocMemseg(vmm.openVm('a', ROOT, 'rw'), 8, 4096n, 'bootrom');
  t.equal(vmm.paths.size, 2);
  vmm.destroy(vm);
  t.equal(vmm.paths.size, 0);
});

t.test('nodes of segments of two VMs may clash', async (t) => {
  const vmm = vmmHost();
  vmm.create('a', 'persistent', ROOT);
  vmm.create('a.b', 'persistent', ROOT);
  allocMemseg(vmm.openVm('a', ROOT, 'rw'), 8, 4096n, 'b.c');
  t.equal(
    codeOf(() => allocMemseg(vmm.openVm('a.b', ROOT, 'rw'), 8, 4096n, 'c')),
    'EEXIST',
  );
});

t.test('what happened is told once, in order, and changes are told together', async (t) => {
  const vmm = vmmHost();
  const a = vmm.create('a', 'persistent', ROOT);
  const b = vmm.create('b', 'persistent', ROOT);
  const node = vmm.openVm('a', ROOT, 'rw');
  allocMemseg(node, 0, 4096n);
  allocMemseg(node, 1, 4096n);
  vmm.destroy(b);
  const events = vmm.takeEvents();
  t.strictSame(
    events.map(({ type, vm }) => [type, vm.name]),
    [
      ['created', 'a'],
      ['created', 'b'],
      ['changed', 'a'],
      ['destroyed', 'b'],
    ],
  );
  t.equal(events[0]?.vm, a);
  t.strictSame(vmm.takeEvents(), []);
  allocMemseg(node, 2, 4096n);
  t.match(vmm.takeEvents(), [{ type: 'changed' }]);
});

t.test('a call that fails is not told', async (t) => {
  const vmm = vmmHost();
  t.equal(
    codeOf(() => vmm.create('a b', 'persistent', ROOT)),
    'EINVAL',
  );
  t.strictSame(vmm.takeEvents(), []);
});

t.test('a saved VM is restored with its owner, sizes and segments', async (t) => {
  const before = vmmHost({ maxCpu: 8 });
  const creator = user(1000, { capabilities: new Set(['PRIV_VMM_CREATE']), jail: 'one' });
  const vm = before.create('a', 'persistent', creator);
  const node = before.openVm('a', ROOT, 'rw');
  vm.topology = { sockets: 2, cores: 2, threads: 1, maxcpus: 8 };
  allocMemseg(node, 0, 2n ** 60n);
  allocMemseg(node, 8, 4096n, 'bootrom');
  vm.activeCpus.add(0);
  vm.state = 'running';
  const text = JSON.stringify(saveVm(vm));

  const after = vmmHost();
  const restored = after.restore(JSON.parse(text));
  t.match(restored, { name: 'a', lifetime: 'persistent', createdAtMs: vm.createdAtMs });
  t.equal(restored.state, 'created', 'its guest has rebooted');
  t.equal(restored.activeCpus.size, 0);
  t.equal(cpuCount(restored), 4);
  t.equal(memoryBytes(restored), 2 ** 60);
  t.strictSame(restored.creator, creator);
  t.strictSame([...restored.memsegs.values()], [...vm.memsegs.values()]);
  t.equal(after.countOf(1000), 1);
  t.equal(
    codeOf(() => after.restore(JSON.parse(text))),
    'EEXIST',
  );
});

t.test('the limit does not hinder a VM from being restored', async (t) => {
  const vmm = vmmHost({ maxVms: 1 });
  const saved = ['a', 'b'].map((name) => saveVm(vmmHost().create(name, 'persistent', ROOT)));
  for (const one of saved) vmm.restore(one);
  t.equal(vmm.countOf(0), 2);
});

t.test('a saved VM that can\u2019t be is refused and leaves nothing', async (t) => {
  const vmm = vmmHost();
  const saved = saveVm(vmmHost().create('a', 'persistent', ROOT));
  const memsegs = [
    { segid: 0, len: '4096', name: '' },
    { segid: 99, len: '4096', name: '' },
  ];
  t.equal(
    codeOf(() => vmm.restore({ ...saved, memsegs })),
    'EINVAL',
  );
  t.equal(
    codeOf(() => vmm.restore({ ...saved, name: 'x'.repeat(230) })),
    'EINVAL',
  );
  t.equal(vmm.all().length, 0);
  t.equal(vmm.countOf(0), 0);
  t.equal(vmm.paths.size, 0);
});
