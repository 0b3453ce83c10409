/** What carries a VM's vsock: how it is chosen, kept, and what it keeps others from. */
import t from 'tap';
import { VMADDR_CID_ANY } from '../../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import type { RealDevice } from '../../../src/core/simulator/vsock/network.js';
import type { Socket } from '../../../src/core/simulator/vsock/socket.js';
import { testWorld } from '../../helpers/world.js';

const PORT = 5000;
const DEVICE: RealDevice = {
  room: () => 0,
  take: () => undefined,
  plugged: () => undefined,
  flush: () => undefined,
};

type TestWorld = ReturnType<typeof testWorld>;

/** A world with a VM, whose guest listens. */
function begin(): TestWorld {
  const test = testWorld();
  test.create('vm');
  const { stack } = test.world.domain('vm', ROOT).machine;
  const listener = stack.socket('stream', ROOT);
  stack.bind(listener, { cid: VMADDR_CID_ANY, port: PORT });
  stack.listen(listener, 8);
  return test;
}

/** A socket of the host that has connected to the VM, or has not. */
function connect({ world, settle }: TestWorld): Socket {
  const socket = world.host.stack.socket('stream', ROOT);
  const cid = world.domain('vm', ROOT).guest.cid ?? 0;
  world.host.stack.connect(socket, { cid, port: PORT });
  settle();
  return socket;
}

t.test('it is virtio, and can be another, with the same CID', async (t) => {
  const test = begin();
  const { world } = test;
  const domain = world.domain('vm', ROOT);
  t.equal(domain.guest.transport, 'virtio');
  t.equal(connect(test).state, 'connected');
  const { cid } = domain.guest;
  for (const vsockTransport of ['vmci', 'virtio', 'vmci'] as const) {
    world.configure('vm', { vsockTransport }, ROOT);
    t.equal(domain.guest.transport, vsockTransport);
    t.equal(domain.guest.cid, cid);
    t.equal(connect(test).state, 'connected', vsockTransport);
  }
});

t.test('connections end when it becomes another, and not when it stays', async (t) => {
  const test = begin();
  const socket = connect(test);
  test.world.configure('vm', { vsockTransport: 'virtio' }, ROOT);
  t.equal(socket.state, 'connected');
  test.world.configure('vm', { vsockTransport: 'vmci' }, ROOT);
  t.equal(socket.takeError(), 'ECONNRESET');
});

t.test('it stays when the CID is another', async (t) => {
  const test = begin();
  test.world.configure('vm', { vsockTransport: 'vmci' }, ROOT);
  test.world.configure('vm', { cid: 77 }, ROOT);
  t.equal(test.world.domain('vm', ROOT).guest.transport, 'vmci');
  const socket = connect(test);
  t.same([socket.state, socket.peer?.cid], ['connected', 77]);
});

t.test('it is saved with the VM, and comes back with it', async (t) => {
  const { world } = begin();
  const domain = world.domain('vm', ROOT);
  t.notOk('vsockTransport' in world.save(domain), 'but virtio needs no word');
  world.configure('vm', { vsockTransport: 'vmci' }, ROOT);
  const saved = world.save(domain);
  t.equal(saved.vsockTransport, 'vmci');
  const other = testWorld();
  other.world.restore(saved);
  t.equal(other.world.domain('vm', ROOT).guest.transport, 'vmci');
});

t.test('nothing is changed when the CID is taken', async (t) => {
  const { world, create } = begin();
  create('other');
  world.configure('other', { cid: 20 }, ROOT);
  const change = { cid: 20, vsockTransport: 'vmci' } as const;
  t.throws(() => world.configure('vm', change, ROOT), { code: 'EADDRINUSE' });
  t.equal(world.domain('vm', ROOT).guest.transport, 'virtio');
});

t.test('it is fixed while a real kernel is the guest', async (t) => {
  const { world } = begin();
  const { real, guest } = world.domain('vm', ROOT);
  real.attachVsock(DEVICE);
  const configure = () => world.configure('vm', { vsockTransport: 'vmci' }, ROOT);
  t.throws(configure, { code: 'EOPNOTSUPP' });
  t.equal(guest.transport, 'virtio');
  t.doesNotThrow(() => world.configure('vm', { labels: {} }, ROOT), 'all else is not');
  real.detachVsock(DEVICE);
  t.doesNotThrow(configure);
});

t.test('faults', async (t) => {
  const test = begin();
  const { world } = test;
  world.configure('vm', { vsockTransport: 'vmci' }, ROOT);
  const { faults } = world.domain('vm', ROOT);
  t.throws(() => faults.set('drop-packets', 0.5), { code: 'EOPNOTSUPP' });
  t.same(faults.active(), []);
  faults.set('vsock-stall');
  t.equal(connect(test).state, 'connecting');
  world.configure('vm', { cid: 30 }, ROOT);
  t.equal(connect(test).state, 'connecting', 'also under another CID');
  faults.clear();
  t.equal(connect(test).state, 'connected');
  const socket = connect(test);
  faults.set('vsock-reset');
  t.equal(socket.takeError(), 'ECONNRESET');
});

t.test('a VM that is destroyed resets connections over VMCI', async (t) => {
  const test = begin();
  test.world.configure('vm', { vsockTransport: 'vmci' }, ROOT);
  const socket = connect(test);
  test.destroy('vm');
  test.world.settle();
  test.settle();
  t.equal(socket.takeError(), 'ECONNRESET');
  t.ok(socket.done);
  socket.close();
  t.equal(test.world.host.stack.sockets().size, 0);
  t.notOk(test.world.busy);
});
