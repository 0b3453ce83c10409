/** VMCI in the simulated host as a whole: a VM's context is its CID, and lives as long as the VM. */
import t from 'tap';
import { i32, toBytes } from '../../../../src/core/abi/layout.js';
import { VMCI_VERSION } from '../../../../src/core/abi/vmci.js';
import * as abi from '../../../../src/core/abi/vmci-ioctls.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { datagram, endpoint, textOf } from '../../../helpers/vmci.js';
import { testWorld } from '../../../helpers/world.js';

/** A program with a context on the host's node. */
function program(lab: ReturnType<typeof testWorld>, cid: number) {
  const node = lab.world.host.open('/dev/vmci', ROOT, 'rw');
  node.ioctl(abi.IOCTL_VMCI_VERSION2, toBytes(i32, VMCI_VERSION));
  node.ioctl(abi.IOCTL_VMCI_INIT_CONTEXT, abi.vmci_init_blk.encode({ cid }));
  return node;
}

t.test('a VM has the context of its CID, and the host is context 2', async (t) => {
  const { world, create } = testWorld();
  create('vm');
  t.equal(world.host.vmci.cid, 2);
  t.equal(world.domain('vm', ROOT).machine.vmci?.cid, 3);
  t.ok(world.vmci.host.has(3));
});

t.test('the context follows the CID, and ends with the VM', async (t) => {
  const { world, create, destroy } = testWorld();
  create('vm');
  const { machine } = world.configure('vm', { cid: 40 }, ROOT);
  t.equal(machine.vmci?.cid, 40);
  world.configure('vm', { cid: 41 }, ROOT);
  t.equal(machine.vmci?.cid, 41);
  t.notOk(world.vmci.host.has(40));
  destroy('vm');
  world.settle();
  t.notOk(world.vmci.host.has(41));
  t.equal(machine.vmci, undefined);
});

t.test('a CID that a program has as its context is in use', async (t) => {
  const lab = testWorld();
  const { world, create } = lab;
  create('vm');
  const node = program(lab, 3);
  t.equal(world.domain('vm', ROOT).guest.cid, 4, 'none that is chosen is');
  t.throws(() => world.configure('vm', { cid: 3 }, ROOT), { code: 'EADDRINUSE' });
  node.close();
  t.equal(world.configure('vm', { cid: 3 }, ROOT).guest.cid, 3);
});

t.test('a program that asks for the context of a VM gets another', async (t) => {
  const lab = testWorld();
  lab.create('vm');
  lab.world.configure('vm', { cid: 40 }, ROOT);
  program(lab, 40);
  t.ok(lab.world.vmci.host.has(41));
});

t.test('what is put off happens when packets flow', async (t) => {
  const { world, create, settle } = testWorld();
  create('vm');
  const { driver } = world.domain('vm', ROOT).vmci;
  const [mine, theirs] = [endpoint(world.host.vmci, 5), endpoint(driver, 500)];
  world.host.vmci.sendDatagram(datagram(theirs.handle, mine.handle, 'hello'));
  t.ok(world.busy);
  settle();
  t.notOk(world.busy);
  t.strictSame(theirs.got.map(textOf), ['hello']);
});

t.test('a real kernel has no device of VMCI', async (t) => {
  const { world, create } = testWorld();
  create('vm');
  const { machine, real, vmci } = world.domain('vm', ROOT);
  const before = vmci.driver;
  const balloon = { unit: 1, target: 0, actual: 0, statistics: null, setTarget: () => undefined };
  real.attachBalloon(balloon);
  t.equal(machine.vmci, undefined);
  t.notOk(world.vmci.host.has(3));
  world.configure('vm', { cid: 40 }, ROOT);
  t.notOk(world.vmci.host.has(40));
  real.detachBalloon(balloon);
  t.equal(machine.vmci?.cid, 40);
  t.not(vmci.driver, before, 'the simulated guest has rebooted');
});
