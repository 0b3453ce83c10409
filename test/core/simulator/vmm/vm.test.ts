import t from 'tap';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { cpuCount, memoryBytes, resetVm, saveVm } from '../../../../src/core/simulator/vmm/vm.js';
import { allocMemseg, mapMemseg, user, vmmHost } from '../../../helpers/vmm.js';

t.test('the vCPUs of a VM are the product of its topology', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  vm.topology = { sockets: 2, cores: 3, threads: 4, maxcpus: 64 };
  t.equal(cpuCount(vm), 24);
});

t.test(
  'the memory of a VM is what is mapped of segments without a name, else their size',
  async (t) => {
    const vmm = vmmHost();
    const vm = vmm.create('a', 'persistent', ROOT);
    t.equal(memoryBytes(vm), 0);
    const node = vmm.openVm('a', ROOT, 'rw');
    allocMemseg(node, 1, 8192n);
    allocMemseg(node, 0, 0x10000n);
    allocMemseg(node, 8, 4096n, 'bootrom');
    t.equal(memoryBytes(vm), 0x12000);
    mapMemseg(node, { gpa: 0n, len: 0x3000n });
    mapMemseg(node, { gpa: 0x100000n, segid: 8, len: 0x1000n });
    t.equal(memoryBytes(vm), 0x3000);
  },
);

t.test('a reset VM has its memory, but no device has its own mapped', async (t) => {
  const vmm = vmmHost();
  const vm = vmm.create('a', 'persistent', ROOT);
  const node = vmm.openVm('a', ROOT, 'rw');
  allocMemseg(node, 0, 4096n);
  allocMemseg(node, 8, 4096n, 'bootrom');
  mapMemseg(node, { gpa: 0x8000n, segid: 8, len: 0x1000n });
  mapMemseg(node, { gpa: 0n, len: 0x1000n });
  resetVm(vm);
  t.match(vm.memmaps, [{ gpa: 0n, segid: 0 }]);
  t.equal(vm.memmaps.length, 1);
  t.equal(vm.memsegs.size, 2);
});

t.test('a reset VM has no vCPUs and no reason, but its topology', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  vm.topology = { sockets: 2, cores: 1, threads: 1, maxcpus: 64 };
  vm.activeCpus.add(0);
  vm.suspendedCpus.add(0);
  vm.suspendReason = 3;
  vm.state = 'suspended';
  resetVm(vm);
  t.match(vm, { state: 'created', suspendReason: 0, topology: { sockets: 2 } });
  t.equal(vm.activeCpus.size + vm.suspendedCpus.size, 0);
});

t.test('what is saved of a VM survives JSON', async (t) => {
  const vmm = vmmHost();
  const creator = user(1, { capabilities: new Set(['PRIV_VMM_CREATE']) });
  const vm = vmm.create('a', 'persistent', creator);
  const node = vmm.openVm('a', ROOT, 'rw');
  allocMemseg(node, 0, 2n ** 62n);
  mapMemseg(node, { gpa: 2n ** 40n, len: 2n ** 60n });
  const saved = saveVm(vm);
  t.strictSame(JSON.parse(JSON.stringify(saved)), saved);
  t.strictSame(saved.creator.capabilities, ['PRIV_VMM_CREATE']);
  t.equal(saved.memsegs[0]?.len, String(2n ** 62n));
  const other = vmmHost().restore(saved);
  t.strictSame(other.memmaps, vm.memmaps);
  const { memmaps: _, ...older } = saved;
  t.strictSame(vmmHost().restore(older).memmaps, [], 'older versions saved none');
  t.equal(saveVm(vmm.create('b', 'persistent', ROOT)).creator.capabilities, 'all');
});
