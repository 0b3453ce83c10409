/** The life of VMs on a host without management, against the simulated kernel's bytes and errors. */
import t from 'tap';
import { describeProtection, VM_PROT_READ, VM_PROT_WRITE } from '../../../src/core/abi/vmm.js';
import {
  type CreateRequest,
  createVm,
  inspectVm,
  listVms,
  vmNames,
} from '../../../src/core/client/vm.js';
import { destroyVms } from '../../../src/core/client/vm-destroy.js';
import { cpuCount, memoryBytes } from '../../../src/core/simulator/vmm/vm.js';
import { Kernel, type KernelOptions } from '../../helpers/kernel.js';
import { allocMemseg, create, jailed, mapMemseg, user } from '../../helpers/vmm.js';

const GIB = 2 ** 30;
const request: CreateRequest = { name: 'web1', cpus: 2, memory: GIB, ephemeral: false };
const ephemeral: CreateRequest = { ...request, ephemeral: true };

interface Words {
  code: string;
  message?: RegExp;
  hint?: RegExp;
}

/** Every kind of kernel that the client may meet. */
const KERNELS: Record<string, KernelOptions> = {
  'a kernel of 2026-02': {},
  'a kernel of 2025-11': { release: '2025-11' },
  'a kernel of 15.0, without flags': { release: '15.0' },
  'a kernel of 14, with sysctls alone': { release: '14' },
  'a kernel with the draft': { profile: 'draft' },
};

for (const [title, options] of Object.entries(KERNELS)) {
  t.test(`${title}: a persistent VM stays, with what was asked for`, async (t) => {
    const kernel = new Kernel(options);
    const { vm, hold } = await createVm(kernel, request);
    t.same(vm, {
      name: 'web1',
      state: 'created',
      reason: null,
      cpus: 2,
      memory: GIB,
      cid: null,
      lifetime: 'persistent',
      createdAt: null,
      labels: {},
    });
    t.equal(hold, undefined);
    await kernel.close();
    const made = kernel.vms.get('web1');
    t.match(made && [cpuCount(made), memoryBytes(made)], [2, GIB]);
    t.equal(made?.activeCpus.size, 0, 'bhyve(8) activates vCPUs itself');
    t.match(await listVms(kernel), [{ name: 'web1', state: null, cpus: 2, memory: GIB }]);
  });

  t.test(`${title}: an ephemeral VM ends with what holds it`, async (t) => {
    const kernel = new Kernel(options);
    const { vm, hold } = await createVm(kernel, ephemeral);
    t.match(vm, { lifetime: 'ephemeral', memory: GIB });
    t.ok(kernel.vms.has('web1'));
    await hold?.close();
    t.equal(kernel.vms.size, 0);
  });

  t.test(`${title}: a VM that took the name meanwhile is left alone`, async (t) => {
    const kernel = new Kernel(options);
    const { hold } = await createVm(kernel, ephemeral);
    kernel.remove('web1');
    kernel.add('web1');
    await hold?.close();
    t.same([...kernel.vms.keys()], ['web1']);
  });

  t.test(`${title}: a name that is taken is EEXIST, and nothing happens to it`, async (t) => {
    const kernel = new Kernel(options).add('web1');
    const words = { code: 'EEXIST', message: "there is already a VM 'web1'" };
    await t.rejects(createVm(kernel, request), words);
    await t.rejects(createVm(kernel, ephemeral), words);
    t.ok(kernel.vms.has('web1'));
  });

  t.test(`${title}: destroy knows what is there`, async (t) => {
    const kernel = new Kernel(options).add('a').add('b');
    const failures: unknown[] = [];
    const report = (name: string, error: unknown) => failures.push([name, error]);
    t.same(await destroyVms(kernel, ['a', 'x', 'b'], report), ['a', 'b']);
    t.match(failures, [['x', { code: 'ENOENT', message: "no VM 'x'", cause: { code: 'EINVAL' } }]]);
    t.equal(kernel.vms.size, 0);
  });

  for (const [call, code] of [
    ['open /dev/vmm/web1', 'EACCES'],
    ['VM_SET_TOPOLOGY', 'EINVAL'],
    [options.release === '14' ? 'VM_ALLOC_MEMSEG_14' : 'VM_ALLOC_MEMSEG', 'ENOMEM'],
    ['VM_MMAP_MEMSEG', 'ENOSPC'],
  ] as const) {
    t.test(`${title}: when ${call} fails nothing stays`, async (t) => {
      for (const asked of [request, ephemeral]) {
        const kernel = new Kernel(options).failing(call, code);
        await t.rejects(createVm(kernel, asked), { code });
        t.equal(kernel.vms.size, 0);
      }
    });
  }
}

t.test('who ends an ephemeral VM: the kernel where it can, however we end', async (t) => {
  const kernel = new Kernel();
  const { hold } = await createVm(kernel, ephemeral);
  t.equal(hold?.by, 'kernel');
  await kernel.close();
  t.equal(kernel.vms.size, 0);
});

for (const release of ['15.0', '14'] as const) {
  t.test(`who ends an ephemeral VM in ${release}: we, unless we are killed`, async (t) => {
    const kernel = new Kernel({ release });
    const { hold } = await createVm(kernel, ephemeral);
    t.equal(hold?.by, 'client');
    await kernel.close();
    t.ok(kernel.vms.has('web1'));
  });
}

t.test('a bad name is not taken for a kernel without flags', async (t) => {
  const kernel = new Kernel();
  await t.rejects(createVm(kernel, { ...ephemeral, name: 'a b' }), { code: 'EINVAL' });
  t.equal(kernel.vms.size, 0);
});

t.test('an interrupt in the middle undoes what was begun', async (t) => {
  const abort = new AbortController();
  const kernel = new Kernel().before('VM_SET_TOPOLOGY', () => abort.abort());
  await t.rejects(createVm(kernel, request, { signal: abort.signal }), { code: 'EINTR' });
  t.equal(kernel.vms.size, 0);
});

t.test('what could not be undone is said', async (t) => {
  const kernel = new Kernel()
    .failing('VM_SET_TOPOLOGY', 'EINVAL')
    .failing('VMMCTL_VM_DESTROY', 'EPERM');
  await t.rejects(createVm(kernel, request), {
    code: 'EINVAL',
    message: /2 CPUs; VM 'web1' could not be destroyed, and is still there$/,
    hint: "'vmmctl destroy web1' tries again",
  });
});

t.test('an ephemeral VM that can not be ended is said to be there', async (t) => {
  const kernel = new Kernel({ release: '15.0' }).failing('VMMCTL_VM_DESTROY', 'EPERM');
  const { hold } = await createVm(kernel, ephemeral);
  await t.rejects(hold?.close() ?? Promise.resolve(), { code: 'EPERM', message: /still there/ });
});

t.test('a draft that would end a persistent VM is seen by its end', async (t) => {
  const kernel = new Kernel({ profile: 'draft' });
  await createVm(kernel, request);
  t.equal(kernel.calls.filter((call) => call === 'VMMCTL_VM_CREATE').length, 2);
  t.match(kernel.vms.get('web1'), { lifetime: 'persistent' });
});

t.test('a VM that does not stay in any dialect is EIO', async (t) => {
  const kernel = new Kernel();
  kernel.before('VM_GET_TOPOLOGY', () => {
    if (kernel.vms.has('web1')) kernel.remove('web1');
  });
  await t.rejects(createVm(kernel, request), { code: 'EIO' });
  t.equal(kernel.vms.size, 0);
});

t.test('CIDs and labels are refused before anything is made', async (t) => {
  const kernel = new Kernel();
  const labels = { tier: 'web' };
  await t.rejects(createVm(kernel, { ...request, cid: 9 }), { code: 'EOPNOTSUPP', hint: /--cid/ });
  await t.rejects(createVm(kernel, { ...request, labels }), {
    code: 'EOPNOTSUPP',
    hint: /--label/,
  });
  t.same(kernel.calls, []);
});

t.test('a machine without vmm(4) is ENXIO', async (t) => {
  const kernel = new Kernel({ bare: true });
  const words = { code: 'ENXIO', hint: /kldload vmm.*--backend sim/ };
  await t.rejects(createVm(kernel, request), words);
  await t.rejects(listVms(kernel), words);
  await t.rejects(inspectVm(kernel, 'web1'), words);
  await t.rejects(
    destroyVms(kernel, ['web1'], () => undefined),
    words,
  );
});

t.test('hw.vmm.create that wants an open file', async (t) => {
  const kernel = new Kernel({ release: '14', sysctlCreateFails: true });
  await t.rejects(createVm(kernel, request), {
    code: 'EOPNOTSUPP',
    message: /through \/dev\/vmmctl only/,
    cause: { code: 'EBADF' },
  });
});

t.test('who may not', async (t) => {
  const rejects = (options: KernelOptions, asked: CreateRequest, words: Words) =>
    t.rejects(createVm(new Kernel(options), asked), words);
  const stranger = user(1000, { groups: [] });
  await rejects({ caller: stranger }, request, { code: 'EACCES', hint: /group vmm/ });
  await rejects({ caller: user(1000) }, request, { code: 'EPERM', hint: /--ephemeral/ });
  await rejects({ caller: user(1000), release: '14' }, request, {
    code: 'EPERM',
    message: /only root may write hw.vmm.create/,
  });
  for (const release of ['14', '15.0', '2026-02'] as const) {
    const jail = { caller: jailed('j'), deniedJails: new Set(['j']), release };
    await rejects(jail, request, { code: 'EPERM' });
    await rejects(jail, ephemeral, { code: 'EPERM', hint: /allow\.vmm/ });
  }
});

t.test('a user of the group vmm has ephemeral VMs', async (t) => {
  const kernel = new Kernel({ caller: user(1000) });
  const { hold } = await createVm(kernel, ephemeral);
  t.match(await inspectVm(kernel, 'web1'), { cpus: 2, memory: GIB });
  await hold?.close();
  t.equal(kernel.vms.size, 0);
});

t.test('limits of the kernel have words', async (t) => {
  const few = new Kernel({ maxCpu: 1 });
  await t.rejects(createVm(few, request), { code: 'EINVAL', message: /not give a VM 2 CPUs/ });
  const full = new Kernel({ maxVms: 1 }).add('other');
  await t.rejects(createVm(full, request), { code: 'ENOMEM', hint: /hw\.vmm\.maxvmms/ });
  const dead = new Kernel().failing('VMMCTL_VM_CREATE', 'ENXIO');
  await t.rejects(createVm(dead, request), { code: 'ENXIO', message: /could not start/ });
});

t.test('memory is laid out as bhyve(8) does it', async (t) => {
  const kernel = new Kernel();
  await createVm(kernel, { ...request, name: 'small', memory: 3 * GIB });
  await createVm(kernel, { ...request, name: 'large', memory: 8 * GIB });
  t.equal(kernel.vms.get('small')?.memsegs.get(0)?.len, BigInt(3 * GIB));
  t.equal(kernel.vms.get('large')?.memsegs.get(0)?.len, BigInt(9 * GIB));
  const mapping = { segment: 0, device: null, access: 'rwx' };
  t.match(await inspectVm(kernel, 'large'), {
    memory: 8 * GIB,
    memoryMap: [
      { ...mapping, address: 0, size: 3 * GIB, offset: 0 },
      { ...mapping, address: 4 * GIB, size: 5 * GIB, offset: 4 * GIB },
    ],
  });
  t.match(await inspectVm(kernel, 'small'), { memory: 3 * GIB, memoryMap: [{ address: 0 }] });
});

t.test('the forms of a memory segment are tried from the newest', async (t) => {
  const allocations = async (kernel: Kernel) => {
    await createVm(kernel, request);
    return kernel.calls.filter((call) => call.startsWith('VM_ALLOC_MEMSEG'));
  };
  t.same(await allocations(new Kernel()), ['VM_ALLOC_MEMSEG']);
  t.same(await allocations(new Kernel({ release: '14' })), [
    'VM_ALLOC_MEMSEG',
    'VM_ALLOC_MEMSEG_14',
  ]);
  const oldest = new Kernel({ release: '14' })
    .failing('VM_ALLOC_MEMSEG_14', 'ENOTTY')
    .failing('VM_GET_MEMSEG_14', 'ENOTTY');
  t.equal((await allocations(oldest)).at(-1), 'VM_ALLOC_MEMSEG_12');
  t.match(await listVms(oldest), [{ name: 'web1', memory: GIB }]);
  const none = new Kernel()
    .failing('VM_ALLOC_MEMSEG', 'ENOTTY')
    .failing('VM_ALLOC_MEMSEG_14', 'ENOTTY');
  await t.rejects(createVm(none.failing('VM_ALLOC_MEMSEG_12', 'ENOTTY'), request), {
    code: 'ENOTTY',
  });
  t.equal(none.vms.size, 0);
});

t.test('list finds names with slashes, and sorts', async (t) => {
  const kernel = new Kernel().add('b/c').add('b/a/x').add('a').add('Z');
  t.same(await vmNames(kernel), ['Z', 'a', 'b/a/x', 'b/c']);
  t.same(
    (await listVms(kernel)).map((vm) => vm.name),
    ['Z', 'a', 'b/a/x', 'b/c'],
  );
  t.same(await vmNames(new Kernel()), [], 'none, and no directory');
  t.same(await listVms(new Kernel({ release: '14' })), []);
});

t.test('a list does not change what it looks at', async (t) => {
  const kernel = new Kernel().add('a');
  await listVms(kernel);
  await inspectVm(kernel, 'a');
  const used = kernel.calls.filter((call) => /^VM/.test(call));
  const reads = ['VM_GET_CPUS', 'VM_GET_MEMSEG', 'VM_GET_TOPOLOGY', 'VM_MMAP_GETNEXT'];
  t.same([...new Set(used)].sort(), reads);
  t.match(kernel.vms.get('a'), { state: 'created', suspendReason: 0 });
});

t.test('a VM whose node may not be opened is listed, but not described', async (t) => {
  const kernel = new Kernel({ caller: user(1000) }).add('web1');
  const nothing = { state: null, cpus: null, memory: null, cid: null, lifetime: null };
  t.match(await listVms(kernel), [{ name: 'web1', ...nothing, createdAt: null, labels: {} }]);
  await t.rejects(inspectVm(kernel, 'web1'), { code: 'EACCES' });
});

t.test('VMs of another jail are not seen', async (t) => {
  const kernel = new Kernel({ caller: jailed('j') }).add('outside').add('inside', jailed('j'));
  t.match(await listVms(kernel), [{ name: 'inside' }]);
  await t.rejects(inspectVm(kernel, 'outside'), { code: 'ENOENT', message: "no VM 'outside'" });
});

for (const call of ['open /dev/vmm/b', 'VM_GET_TOPOLOGY', 'VM_GET_MEMSEG', 'VM_MMAP_GETNEXT']) {
  t.test(`a VM that ends before ${call} is left out`, async (t) => {
    const kernel = new Kernel().add('a').add('b').add('c');
    let opened = '';
    for (const name of ['a', 'b', 'c']) {
      if (call !== `open /dev/vmm/${name}`)
        kernel.before(`open /dev/vmm/${name}`, () => {
          opened = name;
        });
    }
    kernel.before(call, () => {
      if ((call.startsWith('open') || opened === 'b') && kernel.vms.has('b')) kernel.remove('b');
    });
    t.same(
      (await listVms(kernel)).map((vm) => vm.name),
      ['a', 'c'],
    );
  });
}

t.test('a node that is gone from devfs knows no ioctl, and is left out too', async (t) => {
  const kernel = new Kernel().add('a').failing('VM_GET_TOPOLOGY', 'ENOTTY');
  t.match(await listVms(kernel), [{ name: 'a', cpus: null }], 'one that is there has its name');
  await t.rejects(inspectVm(kernel, 'a'), { code: 'ENOTTY' });
  const gone = new Kernel().add('a').failing('VM_GET_TOPOLOGY', 'ENOTTY');
  gone.before('close /dev/vmm/a', () => gone.remove('a'));
  t.same(await listVms(gone), []);
});

t.test('inspect tells memory, its map and devices', async (t) => {
  const kernel = new Kernel().add('web/1');
  const node = kernel.node('web/1');
  allocMemseg(node, 0, 0x200000n);
  allocMemseg(node, 8, 0x1000n, 'bootrom');
  t.match(await inspectVm(kernel, 'web/1'), { memory: 0x200000, memoryMap: [] }, 'nothing mapped');
  mapMemseg(node, { gpa: 0xfffff000n, segid: 8, len: 0x1000n, prot: 5 });
  mapMemseg(node, { gpa: 0n, len: 0x100000n });
  t.same(await inspectVm(kernel, 'web/1'), {
    name: 'web/1',
    state: null,
    reason: null,
    topology: { sockets: 1, cores: 1, threads: 1, maxcpus: 1024 },
    cpuSets: { active: [], suspended: [], debug: [] },
    cpus: 1,
    memory: 0x100000,
    cid: null,
    lifetime: null,
    createdAt: null,
    labels: {},
    vsockTransport: null,
    memoryMap: [
      { address: 0, size: 0x100000, segment: 0, device: null, offset: 0, access: 'rwx' },
      {
        address: 0xfffff000,
        size: 0x1000,
        segment: 8,
        device: 'bootrom',
        offset: 0,
        access: 'r-x',
      },
    ],
    devices: [
      { path: '/dev/vmm/web/1', description: 'the VM' },
      { path: '/dev/vmm.io/web/1.bootrom', description: 'memory of a device, segment 8' },
    ],
    exports: [],
    faults: [],
    counters: {},
  });
  await t.rejects(inspectVm(kernel, 'web'), { code: 'ENOENT', message: "no VM 'web'" });
  await t.rejects(inspectVm(kernel, 'web/1/x'), { code: 'ENOENT' });
});

t.test('destroy tells a VM that is on its way out from one that is not there', async (t) => {
  const kernel = new Kernel().add('a').failing('VMMCTL_VM_DESTROY', 'EINVAL');
  const failures: unknown[] = [];
  await destroyVms(kernel, ['a', 'b'], (_, error) => failures.push(error));
  t.match(failures, [
    { code: 'ENOENT', message: "VM 'a' is being destroyed already" },
    { code: 'ENOENT', message: "no VM 'b'" },
  ]);
});

t.test("another user's VM is EPERM, and stays", async (t) => {
  const kernel = new Kernel({ caller: user(1001) });
  create(kernel.control(user(1000)), 'a', 1);
  const failures: unknown[] = [];
  await destroyVms(kernel, ['a'], (_, error) => failures.push(error));
  t.match(failures, [{ code: 'EPERM' }]);
  t.ok(kernel.vms.has('a'));
});

t.test('a protection in letters', async (t) => {
  t.equal(describeProtection(0), '---');
  t.equal(describeProtection(VM_PROT_READ | VM_PROT_WRITE), 'rw-');
});
