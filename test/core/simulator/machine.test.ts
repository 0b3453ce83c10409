import t from 'tap';
import { u32 } from '../../../src/core/abi/layout.js';
import { IOCTL_VM_SOCKETS_GET_LOCAL_CID } from '../../../src/core/abi/vm-sockets.js';
import type { Machine } from '../../../src/core/simulator/machine.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import { promptly } from '../../helpers/promptly.js';
import { USER } from '../../helpers/vsock.js';
import { testWorld } from '../../helpers/world.js';

/** What IOCTL_VM_SOCKETS_GET_LOCAL_CID says. */
function localCid(machine: Machine, caller = ROOT): number {
  const node = machine.open('/dev/vsock', caller, 'r');
  const { result, data } = promptly(node.ioctl(IOCTL_VM_SOCKETS_GET_LOCAL_CID, new Uint8Array(4)));
  node.close();
  if (result !== 0 || data === undefined) throw new Error('the ioctl gave nothing');
  return u32.read(new DataView(data.buffer), 0);
}

t.test('IOCTL_VM_SOCKETS_GET_LOCAL_CID gives the CID of the machine, to anybody', async (t) => {
  const { world, create } = testWorld();
  create('a');
  create('b');
  t.equal(localCid(world.host), 2);
  t.equal(localCid(world.machine({ vm: 'a' }, ROOT)), 3);
  t.equal(localCid(world.machine({ vm: 'b' }, ROOT), USER), 4);
  world.configure('a', { cid: 77 }, ROOT);
  t.equal(localCid(world.machine({ vm: 'a' }, ROOT)), 77);
});

t.test('/dev/vsock knows no other ioctl', async (t) => {
  const node = testWorld().world.host.open('/dev/vsock', ROOT, 'rw');
  t.throws(() => node.ioctl(0x7ba, new Uint8Array(4)), { code: 'ENOTTY', path: '/dev/vsock' });
});

t.test('the host has its nodes, a guest its own', async (t) => {
  const { world, create } = testWorld();
  create('a');
  const { host } = world;
  const guest = world.machine({ vm: 'a' }, ROOT);
  t.same(host.readdir('/dev', ROOT), ['vmm', 'vmmctl', 'vsock', 'vmci']);
  t.same(host.readdir('/dev/vmm/', ROOT), ['a']);
  t.same(guest.readdir('/dev/', ROOT), ['vsock', 'vmci']);
  t.same(
    host.nodes().map(({ path }) => path),
    ['/dev/vmmctl', '/dev/vsock', '/dev/vmci'],
  );
  t.same(
    guest.nodes(ROOT).map(({ path }) => path),
    ['/dev/vsock', '/dev/vmci'],
  );
  t.throws(() => guest.open('/dev/vmmctl', ROOT, 'rw'), { code: 'ENOENT', path: '/dev/vmmctl' });
});

t.test('what is not there gives ENOENT, what is no directory ENOTDIR', async (t) => {
  const { world, create } = testWorld();
  create('a');
  for (const machine of [world.host, world.machine({ vm: 'a' }, ROOT)]) {
    t.throws(() => machine.open('/dev/nothing', ROOT, 'r'), { code: 'ENOENT' });
    t.throws(() => machine.readdir('/etc', ROOT), { code: 'ENOENT', syscall: 'scandir' });
    t.throws(() => machine.readdir('/dev/vsock', ROOT), { code: 'ENOTDIR' });
    t.throws(() => machine.sysctl('no.such', undefined, ROOT), { code: 'ENOENT' });
  }
});

t.test('/dev/vmm is a tree by the names of VMs, and there only while there are some', async (t) => {
  const { world, create, destroy } = testWorld();
  const { host } = world;
  t.same(host.readdir('/dev', ROOT), ['vmmctl', 'vsock', 'vmci']);
  t.throws(() => host.readdir('/dev/vmm', ROOT), { code: 'ENOENT' });
  create('a');
  create('b/c');
  create('b/d/e');
  create('inside', { ...ROOT, jail: 'j' });
  t.same(host.readdir('/dev/vmm', ROOT), ['a', 'b', 'inside']);
  t.same(host.readdir('/dev/vmm/b', ROOT), ['c', 'd']);
  t.same(host.readdir('/dev/vmm//b/d/', ROOT), ['e']);
  t.same(host.readdir('/dev/vmm', { ...ROOT, jail: 'j' }), ['inside']);
  t.throws(() => host.readdir('/dev/vmm', { ...ROOT, jail: 'k' }), { code: 'ENOENT' });
  t.throws(() => host.readdir('/dev/vmm/a', ROOT), { code: 'ENOTDIR' });
  t.throws(() => host.readdir('/dev/vmm/x', ROOT), { code: 'ENOENT' });
  t.throws(() => host.readdir('/dev/vmmctl', ROOT), { code: 'ENOTDIR' });
  destroy('b/c');
  t.same(host.readdir('/dev/vmm/b', ROOT), ['d']);
});

t.test('until FreeBSD 14 there is no /dev/vmmctl', async (t) => {
  const { host } = testWorld({ release: '14' }).world;
  t.same(host.readdir('/dev', ROOT), ['vsock', 'vmci']);
  t.throws(() => host.open('/dev/vmmctl', ROOT, 'rw'), { code: 'ENOENT' });
  host.sysctl('hw.vmm.create', 'a', ROOT);
  t.same(host.readdir('/dev', ROOT), ['vmm', 'vsock', 'vmci']);
});
