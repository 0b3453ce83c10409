import t from 'tap';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { memoryLimits } from '../../../../src/core/simulator/vmm/config.js';
import {
  allocMemseg,
  checkSegid,
  mapMemseg,
  nextMapping,
  removeMemsegNodes,
  unmapMemseg,
} from '../../../../src/core/simulator/vmm/memory.js';
import { DevfsPaths } from '../../../../src/core/simulator/vmm/names.js';
import type { Memmap } from '../../../../src/core/simulator/vmm/vm.js';
import { codeOf, vmmHost } from '../../../helpers/vmm.js';

const LIMITS = memoryLimits('15.0');

t.test('a named segment has a node, system memory has none', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  const paths = new DevfsPaths();
  const system = allocMemseg(vm, { segid: 0, len: 4096n, name: '' }, paths, LIMITS);
  t.equal(system.path, '');
  const device = allocMemseg(vm, { segid: 8, len: 4096n, name: 'bootrom' }, paths, LIMITS);
  t.equal(device.path, 'vmm.io/a.bootrom');
  t.equal(paths.size, 1);
});

t.test('a segment whose node fails is not there', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  const paths = new DevfsPaths();
  paths.add('vmm.io/a.x');
  const request = { segid: 8, len: 4096n, name: 'x' };
  t.equal(
    codeOf(() => allocMemseg(vm, request, paths, LIMITS)),
    'EEXIST',
  );
  t.equal(vm.memsegs.size, 0);
  paths.remove('vmm.io/a.x');
  t.equal(
    codeOf(() => allocMemseg(vm, request, paths, LIMITS)),
    'ok',
  );
});

t.test(
  'a VM that goes gives the nodes of its segments back, and keeps its memory to the end',
  async (t) => {
    const vm = vmmHost().create('a', 'persistent', ROOT);
    const paths = new DevfsPaths();
    for (const segid of [8, 9]) {
      allocMemseg(vm, { segid, len: 4096n, name: `s${segid}` }, paths, LIMITS);
    }
    removeMemsegNodes(vm, paths);
    t.equal(vm.memsegs.size, 2);
    t.equal(paths.size, 0);
  },
);

t.test('until FreeBSD 14 there are fewer segments and mappings', async (t) => {
  t.same(memoryLimits('14'), { segments: 4, mappings: 8 });
  t.same(memoryLimits('2026-02'), { segments: 11, mappings: 22 });
  t.equal(
    codeOf(() => checkSegid(4, memoryLimits('14'))),
    'EINVAL',
  );
});

/** A VM with a segment 0 of 16 pages, and what maps it. */
function withMemory() {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  allocMemseg(vm, { segid: 0, len: 0x10000n, name: '' }, new DevfsPaths(), LIMITS);
  const map = (change: Partial<Memmap> = {}) => {
    const whole = { gpa: 0n, segid: 0, segoff: 0n, len: 0x1000n, prot: 7, flags: 0 };
    return codeOf(() => mapMemseg(vm, { ...whole, ...change }, LIMITS));
  };
  return { vm, map };
}

t.test('a mapping that makes no sense is EINVAL', async (t) => {
  const { vm, map } = withMemory();
  const wrong: Partial<Memmap>[] = [
    { prot: 0 },
    { prot: 8 },
    { flags: 2 },
    { segid: -1 },
    { segid: 11 },
    { segid: 1 },
    { segoff: -0x1000n },
    { len: 0n },
    { len: 0x11000n },
    { segoff: 0x10000n },
    { gpa: 1n },
    { segoff: 1n },
    { len: 0x800n },
  ];
  for (const change of wrong) t.equal(map(change), 'EINVAL', Object.keys(change).join());
  t.equal(vm.memmaps.length, 0);
  t.equal(map({ flags: 1 }), 'ok', 'it may be wired');
});

t.test('a mapping over another is EFAULT, one too many ENOSPC', async (t) => {
  const { vm, map } = withMemory();
  t.equal(map({ gpa: 0x1000n, len: 0x2000n }), 'ok');
  t.equal(map({ gpa: 0x2000n }), 'EFAULT');
  t.equal(map({ gpa: 0n, len: 0x2000n }), 'EFAULT');
  t.equal(map({ gpa: 0n }), 'ok', 'it may end where another begins');
  for (let i = vm.memmaps.length; i < 22; i++) t.equal(map({ gpa: BigInt(i) * 0x10000n }), 'ok');
  t.equal(map({ gpa: 2n ** 40n }), 'ENOSPC');
});

t.test('the next mapping is the first at or above an address', async (t) => {
  const { vm, map } = withMemory();
  map({ gpa: 0x100000n });
  map({ gpa: 0x4000n });
  t.equal(nextMapping(vm, 0n).gpa, 0x4000n);
  t.equal(nextMapping(vm, 0x4000n).gpa, 0x4000n);
  t.equal(nextMapping(vm, 0x4001n).gpa, 0x100000n);
  t.equal(
    codeOf(() => nextMapping(vm, 0x100001n)),
    'ENOENT',
  );
});

t.test('what is unmapped has to be mapped exactly so', async (t) => {
  const { vm, map } = withMemory();
  const unmap = (gpa: bigint, len: bigint) => codeOf(() => unmapMemseg(vm, gpa, len, LIMITS));
  map({ gpa: 0x4000n, len: 0x2000n });
  t.equal(unmap(0x4000n, 0x1000n), 'EINVAL');
  t.equal(unmap(0x5000n, 0x1000n), 'EINVAL');
  t.equal(unmap(0x4000n, 0x2000n), 'ok');
  t.equal(unmap(0x4000n, 0x2000n), 'EINVAL');
  t.equal(unmap(0n, 0n), 'ok', 'a free place of the table is found');
  for (let i = 0; i < 22; i++) map({ gpa: BigInt(i) * 0x1000n });
  t.equal(unmap(0n, 0n), 'EINVAL', 'unless there is none');
});

t.test('segments are numbered from 0 to 10', async (t) => {
  t.equal(
    codeOf(() => checkSegid(0, LIMITS)),
    'ok',
  );
  t.equal(
    codeOf(() => checkSegid(10, LIMITS)),
    'ok',
  );
  t.equal(
    codeOf(() => checkSegid(11, LIMITS)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => checkSegid(-1, LIMITS)),
    'EINVAL',
  );
});
