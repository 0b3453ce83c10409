import t from 'tap';
import type { SavedVm } from '../../../src/core/simulator/domain.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import { text, utf8 } from '../../helpers/vsock.js';
import { testWorld } from '../../helpers/world.js';

type TestWorld = ReturnType<typeof testWorld>;

/** A connection from the host into a guest, at port 22. */
function connected({ world, settle }: TestWorld, name: string) {
  const { stack } = world.machine({ vm: name }, ROOT);
  const listener = stack.socket('stream', ROOT);
  stack.bind(listener, { cid: 0xffffffff, port: 22 });
  stack.listen(listener, 1);
  const client = world.host.stack.socket('stream', ROOT);
  world.host.stack.connect(client, { cid: stack.cid, port: 22 });
  settle();
  const server = stack.accept(listener);
  if (server === undefined) throw new Error('no connection came');
  return { listener, client, server };
}

function events({ world }: TestWorld): string[] {
  return world.takeEvents().map(({ type, domain }) => `${type} ${domain.vm.name}`);
}

t.test('a VM gets its CID when somebody asks for it: the lowest that is free', async (t) => {
  const lab = testWorld();
  lab.create('b');
  lab.create('a');
  t.same(events(lab), ['created b', 'created a']);
  t.equal(lab.world.peek('a')?.guest.cid, undefined, 'looking alone gives none');
  t.equal(lab.world.domain('a', ROOT).guest.cid, 3);
  t.same(events(lab), ['changed a']);
  const cids = lab.world.domains(ROOT).map(({ vm, guest }) => `${vm.name} ${guest.cid}`);
  t.same(cids, ['a 3', 'b 4'], 'listing gives all one, and is by name');
  t.equal(lab.world.domainByCid(4)?.vm.name, 'b');
  t.equal(lab.world.domainByCid(5), undefined);
  t.equal(lab.world.size, 2);
});

t.test('a VM that nobody made gives ENOENT', async (t) => {
  const { world } = testWorld();
  t.equal(world.peek('a'), undefined);
  for (const call of [
    () => world.domain('a', ROOT),
    () => world.machine({ vm: 'a' }, ROOT),
    () => world.configure('a', { labels: {} }, ROOT),
  ]) {
    t.throws(call, { code: 'ENOENT', path: 'a' });
  }
});

t.test('a VM of a jail is not seen from another one', async (t) => {
  const { world, create } = testWorld();
  create('a', { ...ROOT, jail: 'one' });
  t.throws(() => world.domain('a', { ...ROOT, jail: 'two' }), { code: 'ENOENT' });
  t.same(world.domains({ ...ROOT, jail: 'two' }), []);
  t.equal(world.domains(ROOT).length, 1);
});

t.test('configure', async (t) => {
  t.test('changes the CID and the labels, and says so', async (t) => {
    const lab = testWorld();
    lab.create('a');
    events(lab);
    const labels = { role: 'web' };
    const domain = lab.world.configure('a', { cid: 9, labels }, ROOT);
    labels.role = 'changed later';
    t.equal(domain.guest.cid, 9);
    t.same(domain.labels, { role: 'web' });
    t.same(events(lab), ['changed a']);
    lab.world.configure('a', { cid: 'auto' }, ROOT);
    t.equal(domain.guest.cid, 9, 'an automatic CID keeps the one that is there');
    t.same(domain.labels, { role: 'web' });
  });

  t.test('changes nothing when it fails', async (t) => {
    const lab = testWorld();
    lab.create('a');
    lab.create('b');
    lab.world.configure('a', { cid: 9, labels: { role: 'web' } }, ROOT);
    lab.world.configure('b', { cid: 10 }, ROOT);
    const { client } = connected(lab, 'a');
    events(lab);
    const labels = { role: 'db' };
    t.throws(() => lab.world.configure('a', { cid: 10, labels }, ROOT), { code: 'EADDRINUSE' });
    t.throws(() => lab.world.configure('a', { cid: 2, labels }, ROOT), { code: 'EINVAL' });
    t.equal(lab.world.peek('a')?.guest.cid, 9);
    t.same(lab.world.peek('a')?.labels, { role: 'web' });
    t.equal(client.state, 'connected');
    t.same(events(lab), []);
  });
});

t.test('destroying a VM ends its connections, and frees its CID', async (t) => {
  const lab = testWorld();
  lab.create('a');
  const { client, server, listener } = connected(lab, 'a');
  t.equal(lab.world.socketCount(), 3);
  events(lab);
  lab.destroy('a');
  t.same(events(lab), ['destroyed a']);
  for (const socket of [client, server]) {
    t.throws(() => socket.recv(1), { code: 'ECONNRESET' });
  }
  t.equal(listener.takeError(), 'ECONNRESET');
  t.equal(lab.world.size, 0);
  t.equal(lab.world.socketCount(), 0);
  t.equal(lab.world.deadlines.size, 0);
  t.equal(lab.world.domainByCid(3), undefined);
  lab.create('b');
  t.equal(lab.world.domain('b', ROOT).guest.cid, 3);
});

t.test('a VM that lives as long as its handle goes the same way', async (t) => {
  const lab = testWorld();
  const close = lab.createEphemeral('a');
  const { client } = connected(lab, 'a');
  close();
  lab.world.settle();
  t.throws(() => client.recv(1), { code: 'ECONNRESET' });
  t.equal(lab.world.peek('a'), undefined);
});

t.test('host and guest talk', async (t) => {
  const lab = testWorld();
  lab.create('a');
  const { client, server } = connected(lab, 'a');
  client.send(utf8('hello'));
  lab.settle();
  t.equal(text(server.recv(10)), 'hello');
});

/** What a journal would hold of each VM, after it went through JSON. */
function saved({ world }: TestWorld): SavedVm[] {
  return ['a', 'b', 'c'].flatMap((name) => {
    const domain = world.peek(name);
    return domain === undefined ? [] : [JSON.parse(JSON.stringify(world.save(domain)))];
  });
}

t.test('what was saved can be restored', async (t) => {
  const lab = testWorld();
  lab.clock.advance(5000);
  lab.create('a');
  lab.create('b', { ...ROOT, uid: 0, capabilities: new Set(['CAP_SYS_ADMIN']), jail: '' });
  lab.world.configure('a', { cid: 42, labels: { role: 'web' } }, ROOT);
  lab.world.configure('b', { cid: 'auto' }, ROOT);
  const before = saved(lab);
  t.match(before, [
    { name: 'a', cid: 42, labels: { role: 'web' } },
    { name: 'b', cid: 3, labels: {} },
  ]);
  const again = testWorld();
  for (const vm of before) again.world.restore(vm);
  t.same(saved(again), before);
  t.equal(again.world.size, 2);
  t.equal(again.world.domain('a', ROOT).vm.createdAtMs, lab.world.domain('a', ROOT).vm.createdAtMs);
});

t.test(
  'a VM that was saved without a CID takes none that another one was saved with',
  async (t) => {
    const lab = testWorld();
    lab.create('a');
    lab.create('b');
    lab.world.settle();
    lab.world.configure('b', { cid: 3 }, ROOT);
    const before = saved(lab);
    t.match(before, [{ cid: null }, { cid: 3 }]);
    const again = testWorld();
    for (const vm of before) again.world.restore(vm);
    t.equal(again.world.domain('a', ROOT).guest.cid, 4);
    t.equal(again.world.domain('b', ROOT).guest.cid, 3);
  },
);

t.test('a VM whose name or CID is taken is not restored, not even in part', async (t) => {
  const lab = testWorld();
  lab.create('a');
  lab.world.configure('a', { cid: 3 }, ROOT);
  const [a] = saved(lab);
  if (a === undefined) throw new Error('nothing was saved');
  events(lab);
  t.throws(() => lab.world.restore(a), { code: 'EEXIST' });
  t.throws(() => lab.world.restore({ ...a, name: 'b' }), { code: 'EADDRINUSE' });
  t.equal(lab.world.peek('b'), undefined);
  t.equal(lab.world.size, 1);
  t.same(events(lab), []);
});
