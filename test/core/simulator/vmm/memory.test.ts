import t from 'tap';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { allocMemseg, checkSegid, freeMemsegs } from '../../../../src/core/simulator/vmm/memory.js';
import { DevfsPaths } from '../../../../src/core/simulator/vmm/names.js';
import { codeOf, vmmHost } from '../../../helpers/vmm.js';

t.test('a named segment has a node, system memory has none', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  const paths = new DevfsPaths();
  const system = allocMemseg(vm, { segid: 0, len: 4096n, name: '' }, paths);
  t.equal(system.path, '');
  const device = allocMemseg(vm, { segid: 8, len: 4096n, name: 'bootrom' }, paths);
  t.equal(device.path, 'vmm.io/a.bootrom');
  t.equal(paths.size, 1);
});

t.test('a segment whose node fails is not there', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  const paths = new DevfsPaths();
  paths.add('vmm.io/a.x');
  const request = { segid: 8, len: 4096n, name: 'x' };
  t.equal(
    codeOf(() => allocMemseg(vm, request, paths)),
    'EEXIST',
  );
  t.equal(vm.memsegs.size, 0);
  paths.remove('vmm.io/a.x');
  t.equal(
    codeOf(() => allocMemseg(vm, request, paths)),
    'ok',
  );
});

t.test('freeing gives the nodes of all segments back', async (t) => {
  const vm = vmmHost().create('a', 'persistent', ROOT);
  const paths = new DevfsPaths();
  for (const segid of [8, 9]) {
    allocMemseg(vm, { segid, len: 4096n, name: `s${segid}` }, paths);
  }
  freeMemsegs(vm, paths);
  t.equal(vm.memsegs.size, 0);
  t.equal(paths.size, 0);
});

t.test('segments are numbered from 0 to 10', async (t) => {
  t.equal(
    codeOf(() => checkSegid(0)),
    'ok',
  );
  t.equal(
    codeOf(() => checkSegid(10)),
    'ok',
  );
  t.equal(
    codeOf(() => checkSegid(11)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => checkSegid(-1)),
    'EINVAL',
  );
});
