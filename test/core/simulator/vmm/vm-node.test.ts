/** Each row of the errors of /dev/vmm/NAME, for the ioctls that are there. */
import t from 'tap';
import {
  VMM_IOCTLS,
  vm_activate_cpu,
  vm_cpu_topology,
  vm_memmap,
  vm_memseg,
  vm_memseg_14,
  vm_memseg_fbsd12,
  vm_munmap,
  vm_suspend,
} from '../../../../src/core/abi/vmm.js';
import { vm_suspend_how } from '../../../../src/core/abi/vmm-machine.js';
import { decodeName, encodeName } from '../../../../src/core/abi/vmmctl.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import type { VmmConfig } from '../../../../src/core/simulator/vmm/config.js';
import { cpuCount, memoryBytes } from '../../../../src/core/simulator/vmm/vm.js';
import { allocMemseg, codeOf, mapMemseg, prompt, vmmHost } from '../../../helpers/vmm.js';

const MIB = 1024n * 1024n;

function openVm(change: Partial<VmmConfig> = {}) {
  const vmm = vmmHost(change);
  const vm = vmm.create('a', 'persistent', ROOT);
  const node = prompt(vmm.openVm('a', ROOT, 'rw'));
  return {
    vmm,
    vm,
    node,
    setTopology: (sockets: number, cores: number, threads: number, maxcpus = 0) =>
      node.ioctl(
        VMM_IOCTLS.VM_SET_TOPOLOGY.number,
        vm_cpu_topology.encode({ sockets, cores, threads, maxcpus }),
      ),
    topology: () => {
      const argument = new Uint8Array(8).fill(0xff);
      const { data = new Uint8Array() } = node.ioctl(VMM_IOCTLS.VM_GET_TOPOLOGY.number, argument);
      return vm_cpu_topology.decode(data);
    },
    suspend: (how: number) => node.ioctl(VMM_IOCTLS.VM_SUSPEND.number, vm_suspend.encode({ how })),
    reinit: () => node.ioctl(VMM_IOCTLS.VM_REINIT.number, 0),
    activate: (vcpuid: number) =>
      node.ioctl(VMM_IOCTLS.VM_ACTIVATE_CPU.number, vm_activate_cpu.encode({ vcpuid })),
    memseg: (segid: number, name = '') => {
      const argument = vm_memseg.encode({ segid, name: encodeName(name) });
      const { data = new Uint8Array() } = node.ioctl(VMM_IOCTLS.VM_GET_MEMSEG.number, argument);
      return vm_memseg.decode(data);
    },
  };
}

t.test('a new VM has one vCPU, no memory, and the most vCPUs of the host', async (t) => {
  const { vm, topology } = openVm({ maxCpu: 8 });
  t.strictSame(topology(), { sockets: 1, cores: 1, threads: 1, maxcpus: 8 });
  t.equal(cpuCount(vm), 1);
  t.equal(memoryBytes(vm), 0);
});

t.test('VM_SET_TOPOLOGY ignores the field maxcpus', async (t) => {
  const { vm, setTopology, topology } = openVm({ maxCpu: 8 });
  t.equal(setTopology(2, 2, 2, 99).data, undefined, 'nothing is copied out');
  t.strictSame(topology(), { sockets: 2, cores: 2, threads: 2, maxcpus: 8 });
  t.equal(cpuCount(vm), 8);
});

t.test('VM_SET_TOPOLOGY: more vCPUs than maxcpus are EINVAL', async (t) => {
  const { setTopology, topology } = openVm({ maxCpu: 8 });
  t.equal(
    codeOf(() => setTopology(9, 1, 1)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => setTopology(3, 3, 1)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => setTopology(65535, 65535, 65535)),
    'EINVAL',
  );
  t.strictSame(topology(), { sockets: 1, cores: 1, threads: 1, maxcpus: 8 });
});

t.test('VM_ALLOC_MEMSEG: system memory is segment 0 without a name', async (t) => {
  const { vm, node, memseg } = openVm();
  allocMemseg(node, 0, 512n * MIB);
  t.equal(memoryBytes(vm), 512 * 1024 * 1024);
  t.match(memseg(0), { segid: 0, len: 512n * MIB });
});

t.test('VM_ALLOC_MEMSEG: a segment with a name is no system memory', async (t) => {
  const { vm, node, memseg } = openVm();
  allocMemseg(node, 0, MIB, 'odd');
  allocMemseg(node, 8, 2n * MIB, 'bootrom');
  t.equal(memoryBytes(vm), 0);
  const segment = memseg(8);
  t.equal(decodeName(segment.name), 'bootrom');
  t.equal(segment.len, 2n * MIB);
});

t.test('VM_ALLOC_MEMSEG: a number out of range is EINVAL', async (t) => {
  const { node } = openVm();
  for (const segid of [-1, 11, 0x7fffffff]) {
    t.equal(
      codeOf(() => allocMemseg(node, segid, MIB)),
      'EINVAL',
    );
  }
  t.equal(
    codeOf(() => allocMemseg(node, 10, MIB)),
    'ok',
  );
});

t.test('VM_ALLOC_MEMSEG: a length of 0 or of half a page is EINVAL', async (t) => {
  const { node } = openVm();
  for (const len of [0n, 1n, 4095n, 4097n, MIB + 2048n]) {
    t.equal(
      codeOf(() => allocMemseg(node, 0, len)),
      'EINVAL',
    );
  }
  t.equal(
    codeOf(() => allocMemseg(node, 0, 4096n)),
    'ok',
  );
});

t.test('VM_ALLOC_MEMSEG: the same segment again is EEXIST, a different one EINVAL', async (t) => {
  const { node } = openVm();
  allocMemseg(node, 0, MIB);
  t.equal(
    codeOf(() => allocMemseg(node, 0, MIB)),
    'EEXIST',
  );
  t.equal(
    codeOf(() => allocMemseg(node, 0, 2n * MIB)),
    'EINVAL',
    'another length',
  );
  t.equal(
    codeOf(() => allocMemseg(node, 0, MIB, 'x')),
    'EINVAL',
    'another kind',
  );
});

t.test('VM_ALLOC_MEMSEG: names of segments follow the rules of nodes', async (t) => {
  const { node, memseg } = openVm();
  t.equal(
    codeOf(() => allocMemseg(node, 8, MIB, 'a b')),
    'EINVAL',
  );
  t.equal(
    codeOf(() => allocMemseg(node, 8, MIB, 'a/')),
    'EINVAL',
  );
  t.equal(
    codeOf(() => allocMemseg(node, 8, MIB, 'x'.repeat(16))),
    'ENAMETOOLONG',
  );
  t.equal(memseg(8).len, 0n, 'a failed one leaves nothing');
  t.equal(
    codeOf(() => allocMemseg(node, 8, MIB, 'x'.repeat(15))),
    'ok',
  );
  t.equal(
    codeOf(() => allocMemseg(node, 9, MIB, 'x'.repeat(15))),
    'EEXIST',
  );
  t.equal(memseg(9).len, 0n);
});

t.test('VM_ALLOC_MEMSEG: a NUMA mask of a wrong size is ERANGE, without one EFAULT', async (t) => {
  const { node } = openVm();
  const alloc = (ds_mask_size: bigint, ds_mask: bigint) => {
    const argument = vm_memseg.encode({ len: MIB, ds_policy: 1, ds_mask_size, ds_mask });
    return codeOf(() => node.ioctl(VMM_IOCTLS.VM_ALLOC_MEMSEG.number, argument));
  };
  t.equal(alloc(0n, 4096n), 'ERANGE');
  t.equal(alloc(33n, 4096n), 'ERANGE');
  t.equal(alloc(32n, 0n), 'EFAULT');
  t.equal(alloc(32n, 4096n), 'ok');
});

t.test('VM_GET_MEMSEG: a number out of range is EINVAL', async (t) => {
  const { memseg } = openVm();
  t.equal(
    codeOf(() => memseg(-1)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => memseg(11)),
    'EINVAL',
  );
});

t.test('VM_GET_MEMSEG: a segment that is not there has length 0, and is no error', async (t) => {
  const segment = openVm().memseg(3, 'untouched');
  t.equal(segment.len, 0n);
  t.equal(decodeName(segment.name), 'untouched', 'its name is not written');
});

t.test('VM_SUSPEND keeps its reason', async (t) => {
  for (const how of [1, 2, 3, 4, 5]) {
    const { vm, suspend } = openVm();
    suspend(how);
    t.equal(vm.suspendReason, how);
    t.equal(vm.state, 'suspended');
  }
});

t.test('VM_SUSPEND: what is no reason is EINVAL', async (t) => {
  const { vm, suspend } = openVm();
  for (const how of [0, 6, 0xffffffff])
    t.equal(
      codeOf(() => suspend(how)),
      'EINVAL',
    );
  t.equal(vm.state, 'created');
});

t.test('VM_SUSPEND: a second time is EALREADY, but a wrong reason is EINVAL first', async (t) => {
  const { suspend } = openVm();
  suspend(vm_suspend_how.VM_SUSPEND_POWEROFF);
  t.equal(
    codeOf(() => suspend(vm_suspend_how.VM_SUSPEND_RESET)),
    'EALREADY',
  );
  t.equal(
    codeOf(() => suspend(vm_suspend_how.VM_SUSPEND_LAST)),
    'EINVAL',
  );
});

t.test('VM_REINIT: a VM that never ran starts over, with memory and topology', async (t) => {
  const { vm, node, suspend, reinit, setTopology } = openVm();
  setTopology(1, 2, 1);
  allocMemseg(node, 0, MIB);
  suspend(1);
  t.strictSame(reinit(), { result: 0 });
  t.equal(vm.state, 'created');
  t.equal(vm.suspendReason, 0);
  t.equal(cpuCount(vm), 2);
  t.equal(memoryBytes(vm), 1024 * 1024);
  t.equal(
    codeOf(() => suspend(1)),
    'ok',
  );
});

t.test('VM_REINIT: with active vCPUs that are not suspended it is EBUSY', async (t) => {
  const { vm, activate, reinit } = openVm();
  activate(0);
  activate(1);
  t.equal(codeOf(reinit), 'EBUSY');
  vm.suspendedCpus.add(0);
  t.equal(codeOf(reinit), 'EBUSY');
  vm.suspendedCpus.add(1);
  t.equal(codeOf(reinit), 'ok');
  t.equal(vm.activeCpus.size, 0);
  t.equal(
    codeOf(() => activate(0)),
    'ok',
  );
});

t.test('VM_REINIT: with suspended vCPUs that are not active it is EBUSY', async (t) => {
  const { vm, reinit } = openVm();
  vm.suspendedCpus.add(0);
  t.equal(codeOf(reinit), 'EBUSY');
});

t.test('VM_ACTIVATE_CPU: a second time is EBUSY', async (t) => {
  const { vm, activate } = openVm();
  activate(0);
  t.equal(
    codeOf(() => activate(0)),
    'EBUSY',
  );
  t.strictSame([...vm.activeCpus], [0]);
});

t.test('VM_ACTIVATE_CPU: a number below 0 or from maxcpus on is EINVAL', async (t) => {
  const { activate } = openVm({ maxCpu: 4 });
  for (const vcpuid of [-1, -2, 4, 0x7fffffff]) {
    t.equal(
      codeOf(() => activate(vcpuid)),
      'EINVAL',
    );
  }
  t.equal(
    codeOf(() => activate(3)),
    'ok',
  );
});

t.test('a number without a row is ENOTTY, also one of a wrong size', async (t) => {
  const { node } = openVm();
  const numbers = [0, 0x8028760e, 0x80047640, 0xc1285600];
  for (const number of numbers) {
    t.equal(
      codeOf(() => node.ioctl(number, new Uint8Array(512))),
      'ENOTTY',
    );
  }
});

t.test('an argument that is shorter than the struct, or no buffer, is EFAULT', async (t) => {
  const { node } = openVm();
  t.equal(
    codeOf(() => node.ioctl(VMM_IOCTLS.VM_SUSPEND.number, new Uint8Array(3))),
    'EFAULT',
  );
  t.equal(
    codeOf(() => node.ioctl(VMM_IOCTLS.VM_GET_TOPOLOGY.number, new Uint8Array(7))),
    'EFAULT',
  );
  t.equal(
    codeOf(() => node.ioctl(VMM_IOCTLS.VM_SET_TOPOLOGY.number, 1)),
    'EFAULT',
  );
});

t.test(
  'a descriptor that outlives its VM gives ENXIO, then ENOTTY, also when the name is in use',
  async (t) => {
    const { vmm, vm, topology, reinit } = openVm();
    vmm.destroy(vm);
    t.equal(codeOf(topology), 'ENXIO');
    vmm.create('a', 'persistent', ROOT);
    t.equal(codeOf(reinit), 'ENOTTY');
  },
);

t.test('a closed descriptor gives EBADF', async (t) => {
  const { vmm, node, topology } = openVm();
  node.close();
  t.equal(codeOf(topology), 'EBADF');
  t.equal(vmm.all().length, 1, 'the VM stays');
});

t.test('a node is found as a path is, with slashes collapsed', async (t) => {
  const vmm = vmmHost();
  vmm.create('a/b', 'persistent', ROOT);
  vmm.create('/x', 'persistent', ROOT);
  t.equal(
    codeOf(() => vmm.openVm('a//b', ROOT, 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('x', ROOT, 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', ROOT, 'rw')),
    'EISDIR',
  );
  t.equal(
    codeOf(() => vmm.openVm('x/y', ROOT, 'rw')),
    'ENOTDIR',
  );
  t.equal(
    codeOf(() => vmm.openVm('x/', ROOT, 'rw')),
    'ENOTDIR',
  );
  t.equal(
    codeOf(() => vmm.openVm('none', ROOT, 'rw')),
    'ENOENT',
  );
});

/** Forms of a segment that kernels of different ages take, by the release that they are of. */
const FORMS = {
  12: [VMM_IOCTLS.VM_ALLOC_MEMSEG_12, VMM_IOCTLS.VM_GET_MEMSEG_12, vm_memseg_fbsd12],
  14: [VMM_IOCTLS.VM_ALLOC_MEMSEG_14, VMM_IOCTLS.VM_GET_MEMSEG_14, vm_memseg_14],
  15: [VMM_IOCTLS.VM_ALLOC_MEMSEG, VMM_IOCTLS.VM_GET_MEMSEG, vm_memseg],
} as const;

t.test('older forms of a segment are still taken, newer ones are ENOTTY', async (t) => {
  const taken = (release: VmmConfig['release']) => {
    const { node } = openVm({ release });
    return Object.entries(FORMS).map(([form, [alloc, , layout]], segid) => {
      const argument = layout.encode({ segid, len: MIB });
      return `${form} ${codeOf(() => node.ioctl(alloc.number, argument))}`;
    });
  };
  t.same(taken('14'), ['12 ok', '14 ok', '15 ENOTTY']);
  t.same(taken('15.0'), ['12 ok', '14 ok', '15 ok']);
  t.same(taken('2026-02'), ['12 ok', '14 ok', '15 ok']);
});

t.test('the numbers of segments in older forms are those of their time', async (t) => {
  for (const form of [12, 14] as const) {
    const [alloc, get, layout] = FORMS[form];
    const { vm, node } = openVm();
    const name = encodeName('bootrom');
    node.ioctl(alloc.number, layout.encode({ segid: 0, len: MIB }));
    node.ioctl(alloc.number, layout.encode({ segid: 1, len: 2n * MIB, name }));
    t.same([...vm.memsegs.keys()], [0, 8]);
    const { data = new Uint8Array() } = node.ioctl(get.number, layout.encode({ segid: 1 }));
    const found = layout.decode(data);
    t.match(found, { segid: 1, len: 2n * MIB });
    t.equal(decodeName(found.name), 'bootrom');
    t.equal(
      codeOf(() => node.ioctl(get.number, layout.encode({ segid: 4 }))),
      'EINVAL',
    );
  }
  const { vm, node } = openVm({ release: '14' });
  const [alloc, , layout] = FORMS[14];
  node.ioctl(alloc.number, layout.encode({ segid: 3, len: MIB, name: encodeName('pcirom') }));
  t.same([...vm.memsegs.keys()], [3], 'then they are the numbers');
});

t.test('mappings: one by one in the order of addresses, and away again', async (t) => {
  const { vm, node } = openVm();
  allocMemseg(node, 0, 2n * MIB);
  mapMemseg(node, { gpa: 4n * MIB, segoff: MIB, len: MIB, prot: 3 });
  mapMemseg(node, { gpa: 0n, len: MIB });
  const next = (gpa: bigint) => {
    const argument = vm_memmap.encode({ gpa });
    const { data = new Uint8Array() } = node.ioctl(VMM_IOCTLS.VM_MMAP_GETNEXT.number, argument);
    return vm_memmap.decode(data);
  };
  t.strictSame(next(0n), { gpa: 0n, segid: 0, segoff: 0n, len: MIB, prot: 7, flags: 0 });
  t.match(next(MIB), { gpa: 4n * MIB, segoff: MIB, prot: 3 });
  t.equal(
    codeOf(() => next(5n * MIB)),
    'ENOENT',
  );
  const unmap = vm_munmap.encode({ gpa: 0n, len: MIB });
  node.ioctl(VMM_IOCTLS.VM_MUNMAP_MEMSEG.number, unmap);
  t.equal(vm.memmaps.length, 1);
  t.equal(
    codeOf(() => node.ioctl(VMM_IOCTLS.VM_MUNMAP_MEMSEG.number, unmap)),
    'EINVAL',
  );
});
