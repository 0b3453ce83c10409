/** Which VMs a command means, and the life of those of KVM. */
import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import { KVM_CAPABILITIES, KVM_CHECK_EXTENSION } from '../../../src/core/abi/kvm.js';
import type { KvmHosts, KvmRequest } from '../../../src/core/backend/port/kvm.js';
import type { VmRecord } from '../../../src/core/backend/port/vm.js';
import type { Backend } from '../../../src/core/backend/port.js';
import { createVm, inspectVm, listVms, vmNames } from '../../../src/core/client/vm.js';
import { destroyVms } from '../../../src/core/client/vm-destroy.js';
import { unknownVm } from '../../../src/core/client/vmm-nodes.js';
import { Kernel } from '../../helpers/kernel.js';
import { treeMachine } from '../../helpers/tree-machine.js';

class FakeKvm implements KvmHosts {
  readonly there = new Map<string, VmRecord>();
  readonly requests: KvmRequest[] = [];
  absent: boolean | SystemError = false;

  async isThere() {
    if (this.absent instanceof SystemError) throw this.absent;
    return !this.absent;
  }
  async create(request: KvmRequest) {
    if (this.there.has(request.name)) throw new SystemError('EEXIST');
    this.requests.push(request);
    const vm = { ...unknownVm(request.name), state: 'created' as const };
    this.there.set(request.name, vm);
    const end = async () => void this.there.delete(request.name);
    return request.ephemeral ? { vm, end } : { vm };
  }
  async vms() {
    return [...this.there.values()];
  }
  async inspect(name: string) {
    const vm = this.there.get(name);
    if (vm === undefined) throw new SystemError('ENOENT', { message: `no VM '${name}'` });
    const none = { topology: null, cpuSets: null, vsockTransport: null };
    return { ...vm, ...none, memoryMap: [], devices: [], exports: [], faults: [], counters: {} };
  }
  async destroy(name: string) {
    if (!this.there.delete(name)) throw new SystemError('ENOENT', { message: `no VM '${name}'` });
  }
  async *run() {}
}

/** A machine without vmm(4), which tells one capability. */
function linux(root: string, kvm: KvmHosts): Backend {
  const machine = treeMachine(root, {});
  const node = {
    path: '/dev/kvm',
    async ioctl(request: number, argument?: number | Uint8Array) {
      const asked =
        request === KVM_CHECK_EXTENSION && argument === KVM_CAPABILITIES.KVM_CAP_USER_MEMORY;
      return { result: asked ? 1 : 0, data: new Uint8Array(0) };
    },
    close: async () => undefined,
  };
  const open: typeof machine.open = async (path, options) =>
    path === node.path ? node : machine.open(path, options);
  return {
    uri: 'device',
    machine: () => ({ ...machine, open }),
    kvm,
    close: async () => undefined,
  };
}

const request = { name: 'b', cpus: 2, memory: 4096, ephemeral: false };

t.test('without vmm(4) VMs are those of KVM', async (t) => {
  const kvm = new FakeKvm();
  const backend = linux(t.testdir(), kvm);
  const labels = { tier: 'web' };
  t.same(await createVm(backend, { ...request, labels }), {
    vm: kvm.there.get('b'),
    hold: undefined,
  });
  t.same(kvm.requests, [{ ...request, labels }]);
  await t.rejects(createVm(backend, request), {
    code: 'EEXIST',
    message: "there is already a VM 'b'",
    hint: /vmmctl destroy b/,
  });
  await createVm(backend, { ...request, name: 'a' });
  t.match(await listVms(backend), [{ name: 'a' }, { name: 'b' }], 'sorted');
  t.same(await vmNames(backend), ['a', 'b']);
  t.match(await inspectVm(backend, 'a'), { capabilities: { KVM_CAP_USER_MEMORY: 1 } });
  await t.rejects(inspectVm(backend, 'x'), { code: 'ENOENT' });
  const failures: unknown[] = [];
  const report = (name: string, error: unknown) => failures.push([name, error]);
  t.same(await destroyVms(backend, ['a', 'x', 'b'], report), ['a', 'b']);
  t.match(failures, [['x', { code: 'ENOENT' }]]);
});

t.test('an ephemeral one ends with what holds it, whatever becomes of us', async (t) => {
  const kvm = new FakeKvm();
  const backend = linux(t.testdir(), kvm);
  const { hold } = await createVm(backend, { ...request, ephemeral: true });
  t.equal(hold?.by, 'kernel');
  t.equal(kvm.there.size, 1);
  await hold?.close();
  t.equal(kvm.there.size, 0);
});

t.test('a CID is refused, and nothing made', async (t) => {
  const kvm = new FakeKvm();
  const create = createVm(linux(t.testdir(), kvm), { ...request, cid: 3 });
  await t.rejects(create, { code: 'EOPNOTSUPP', hint: /--cid/ });
  t.equal(kvm.there.size, 0);
});

t.test('where bhyve has its nodes, KVM is not asked', async (t) => {
  const kernel = new Kernel();
  const kvm = new FakeKvm();
  kvm.absent = new SystemError('EACCES');
  const both: Backend = {
    uri: 'device',
    machine: () => kernel.machine(),
    kvm,
    close: () => kernel.close(),
  };
  await createVm(both, request);
  t.same(await vmNames(both), ['b']);
  t.equal(kvm.requests.length, 0);
  t.ok(kernel.vms.has('b'));
});

t.test('without either it is ENXIO, and a KVM that may not be used says so', async (t) => {
  const kvm = new FakeKvm();
  const backend = linux(t.testdir(), kvm);
  const calls = [
    () => listVms(backend),
    () => vmNames(backend),
    () => createVm(backend, request),
    () => inspectVm(backend, 'a'),
    () => destroyVms(backend, ['a'], () => undefined),
  ];
  kvm.absent = true;
  for (const call of calls) {
    await t.rejects(async () => void (await call()), { code: 'ENXIO', hint: /simulated host/ });
  }
  kvm.absent = new SystemError('EACCES', { path: '/dev/kvm' });
  for (const call of calls) {
    await t.rejects(async () => void (await call()), { code: 'EACCES' });
  }
});
