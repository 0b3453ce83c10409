/** The nodes of bhyve's host follow its VMs. */
import t from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import { HostNodes } from '../../../../src/core/export/cuse/host-nodes.js';
import type { NodeOptions } from '../../../../src/core/export/cuse/node.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { testKeeper } from './keeper.js';

/** Nodes that are there, by name. */
function recorder(refused = '') {
  const there = new Map<string, NodeOptions>();
  const make = (options: NodeOptions) => {
    const { name } = options;
    if (name === refused) throw new SystemError('EEXIST');
    there.set(name, options);
    return { path: `/dev/${name}`, close: () => there.delete(name) };
  };
  return { there, make, names: () => [...there.keys()] };
}

t.test('one for each VM, those that are there and those that come', async (t) => {
  const keeper = testKeeper();
  keeper.create('old');
  const { make, names, there } = recorder();
  const nodes = new HostNodes(make, keeper);
  t.equal(nodes.path, '/dev/vmmctl');
  t.strictSame(names(), ['vmmctl', 'vmm/old']);
  keeper.create('a/b');
  t.strictSame(names(), ['vmmctl', 'vmm/old', 'vmm/a/b']);
  keeper.destroy('old');
  t.strictSame(names(), ['vmmctl', 'vmm/a/b']);
  there.get('vmm/a/b')?.open(ROOT, 'rw').close();
  nodes.close();
  t.strictSame(names(), []);
  keeper.create('later');
  t.strictSame(names(), []);
});

t.test('a VM whose node can not be made is a line in the log', async (t) => {
  const keeper = testKeeper();
  const { make, names } = recorder('vmm/web1');
  new HostNodes(make, keeper);
  keeper.create('web1');
  keeper.create('web2');
  t.strictSame(names(), ['vmmctl', 'vmm/web2']);
  const lines = keeper.lines.filter((line) => line.includes('/dev/vmm/web1 is not offered'));
  t.equal(lines.length, 1, 'once');
  keeper.destroy('web1');
});

t.test('a clash of the control node is an error', async (t) => {
  t.throws(() => new HostNodes(recorder('vmmctl').make, testKeeper()), { code: 'EEXIST' });
});
