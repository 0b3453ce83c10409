import t from 'tap';
import { createVm } from '../../../src/core/client/vm.js';
import { destroyVms } from '../../../src/core/client/vm-destroy.js';
import { FakeBackend } from '../../cli/helpers/fake-backend.js';

const request = { name: 'web1', cpus: 2, memory: 2 ** 30, ephemeral: false };

t.test('create makes the calls of the devices, in their order', async (t) => {
  const backend = new FakeBackend();
  const { vm, hold } = await createVm(backend, { ...request, labels: { a: 'b' } });
  t.match(vm, { name: 'web1', cpus: 2, memory: 2 ** 30, cid: 3, lifetime: 'persistent' });
  t.same(vm.labels, { a: 'b' });
  t.equal(hold, undefined);
  t.same(backend.calls, [
    'open /dev/vmmctl',
    'VMMCTL_VM_CREATE',
    'open /dev/vmm/web1',
    'VM_SET_TOPOLOGY',
    'VM_ALLOC_MEMSEG',
    'VM_MMAP_MEMSEG',
    'configure',
    'close /dev/vmmctl',
    'close /dev/vmm/web1',
  ]);
});

t.test('an ephemeral VM lives as long as its node is held', async (t) => {
  const backend = new FakeBackend();
  const { vm, hold } = await createVm(backend, { ...request, ephemeral: true });
  t.equal(vm.lifetime, 'ephemeral');
  t.ok(backend.vms.has('web1'));
  await hold?.close();
  t.notOk(backend.vms.has('web1'));
});

for (const [call, code] of [
  ['open /dev/vmm/web1', 'EACCES'],
  ['VM_SET_TOPOLOGY', 'EINVAL'],
  ['VM_ALLOC_MEMSEG', 'ENOMEM'],
  ['VM_MMAP_MEMSEG', 'ENOSPC'],
  ['configure', 'EADDRINUSE'],
] as const) {
  t.test(`when ${call} fails nothing of the VM stays`, async (t) => {
    const backend = new FakeBackend().failing(call, code);
    await t.rejects(createVm(backend, request), { code });
    t.equal(backend.vms.size, 0);
    t.equal(backend.calls.at(-1), 'close /dev/vmmctl');
  });
}

t.test('a VM that exists is not destroyed by a second create', async (t) => {
  const backend = new FakeBackend().add('web1');
  await t.rejects(createVm(backend, request), { code: 'EEXIST' });
  t.ok(backend.vms.has('web1'));
});

t.test('destroy goes on after a name that is not known', async (t) => {
  const backend = new FakeBackend().add('a').add('b');
  const failures: unknown[] = [];
  const report = (name: string, error: unknown) => failures.push([name, error]);
  t.same(await destroyVms(backend, ['a', 'x', 'b'], report), ['a', 'b']);
  t.match(failures, [['x', { code: 'ENOENT', message: "no VM 'x'", cause: { code: 'EINVAL' } }]]);
  t.equal(backend.vms.size, 0);
});

t.test('destroy tells a VM that is on its way out from one that is not there', async (t) => {
  const backend = new FakeBackend().add('a').failing('VMMCTL_VM_DESTROY', 'EINVAL');
  const failures: unknown[] = [];
  await destroyVms(backend, ['a'], (_, error) => failures.push(error));
  t.match(failures, [{ code: 'ENOENT', message: "VM 'a' is being destroyed already" }]);
});
