import t from 'tap';
import {
  decodeHeader,
  encodeHeader,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
} from '../../../../src/core/abi/virtio-vsock.js';
import { Lab, PORT, text, utf8 } from '../../../helpers/vsock.js';

const NOTHING = {
  spoofed: 0,
  unroutable: 0,
  policy: 0,
  malformed: 0,
  detached: 0,
  fault: 0,
  full: 0,
};

t.test('a packet with a foreign source is dropped, counted, and not answered', async (t) => {
  const lab = new Lab({ guests: 2 });
  for (const srcCid of [0, 1, 2, 4, 9, 2 ** 33 + 3]) {
    lab.raw(lab.guest(3), { srcCid, op: VIRTIO_VSOCK_OP_REQUEST });
    t.same(lab.tapLog(), ['REQUEST']);
  }
  t.same(lab.dropped, { ...NOTHING, spoofed: 6 });
});

t.test('a packet to a CID that nobody has is dropped, counted, and not answered', async (t) => {
  for (const policy of ['isolated', 'siblings', 'refuse'] as const) {
    const lab = new Lab({ policy });
    for (const dstCid of [0, 1, 3, 9, 2 ** 33 + 2]) {
      lab.raw(lab.guest(), { dstCid, op: VIRTIO_VSOCK_OP_REQUEST });
      t.same(lab.tapLog(), ['REQUEST']);
    }
    t.same(lab.dropped, { ...NOTHING, unroutable: 5 });
  }
});

t.test(
  'a packet whose length lies, or whose header is no header, is dropped before the tap',
  async (t) => {
    const lab = new Lab();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW, len: 5 }, utf8('four'));
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW, len: 0xffffffff });
    const payload = new Uint8Array(0);
    lab.network.switch.inject(lab.port(), { header: new Uint8Array(43), payload });
    lab.network.switch.inject(lab.port(), { header: new Uint8Array(45), payload });
    lab.settle();
    t.same(lab.dropped, { ...NOTHING, malformed: 4 });
    t.same(lab.tapLog(), []);
    t.equal(lab.network.switch.counters.packets, 0);
  },
);

t.test('the policy', async (t) => {
  t.test('isolated: guests get no answer from each other, as from vhost', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'isolated' });
    lab.listen(lab.stack(4));
    const socket = lab.connect(lab.stack(3), 4);
    t.same(lab.tapLog(), ['REQUEST']);
    lab.advance(2000);
    t.equal(socket.takeError(), 'ETIMEDOUT');
    t.same(lab.dropped, { ...NOTHING, policy: 1 });
  });

  t.test('refuse: guests get RST from each other', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'refuse' });
    lab.listen(lab.stack(4));
    t.equal(lab.connect(lab.stack(3), 4).takeError(), 'ECONNRESET');
    t.same(lab.tapLog(), ['REQUEST', 'RST']);
    lab.raw(lab.guest(3), { dstCid: 4, op: VIRTIO_VSOCK_OP_RST });
    t.same(lab.tapLog(), ['RST'], 'but not for a RST');
    t.same(lab.dropped, { ...NOTHING, policy: 2 });
  });

  t.test('siblings: guests reach each other', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'siblings' });
    const { client, server } = lab.pair('stream', lab.stack(3), lab.stack(4));
    client.send(utf8('hello'));
    lab.settle();
    t.equal(text(server.recv(10)), 'hello');
    t.same(server.peer, { cid: 3, port: client.local.port });
    t.same(lab.dropped, NOTHING);
  });

  t.test('host-connects: the host reaches guests, guests reach nobody', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'host-connects' });
    lab.listen(lab.host);
    lab.listen(lab.stack(3));
    t.equal(lab.connect(lab.host, 3).state, 'connected');
    for (const cid of [2, 4]) {
      const socket = lab.connect(lab.stack(3), cid);
      lab.advance(2000);
      t.equal(socket.takeError(), 'ETIMEDOUT');
    }
    t.same(lab.dropped, { ...NOTHING, policy: 2 });
  });

  t.test('can be changed while it runs', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'refuse' });
    lab.listen(lab.stack(4));
    lab.network.switch.policy = 'siblings';
    t.equal(lab.connect(lab.stack(3), 4).state, 'connected');
  });

  t.test('does not concern a machine that talks to itself', async (t) => {
    for (const policy of ['isolated', 'refuse', 'host-connects'] as const) {
      const lab = new Lab({ policy });
      lab.listen(lab.stack());
      t.equal(lab.connect(lab.stack(), 1).state, 'connected');
      t.equal(lab.connect(lab.stack(), 3).state, 'connected');
    }
  });
});

t.test('taps see every packet, until they are taken away', async (t) => {
  const lab = new Lab();
  const seen: string[] = [];
  const remove = lab.network.switch.addTap((header, payload) => {
    seen.push(`${decodeHeader(header).srcCid} ${text(payload)}`);
  });
  const { client, server } = lab.pair();
  client.send(utf8('ping'));
  lab.settle();
  t.same(seen, ['3 ', '2 ', '3 ping']);
  remove();
  server.send(utf8('pong'));
  lab.settle();
  t.equal(seen.length, 3);
  t.equal(lab.network.switch.counters.packets, 4);
  t.equal(lab.network.switch.counters.bytes, 8);
});

t.test('a stalled device keeps its packets back, in both directions, and loses none', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair();
  lab.network.switch.stall(lab.port(), true);
  client.send(utf8('up'));
  server.send(utf8('down'));
  lab.advance(60_000);
  t.same(lab.tapLog(), []);
  t.notOk(lab.network.switch.busy, 'nothing can be done about it');
  lab.network.switch.stall(lab.port(), false);
  t.ok(lab.network.switch.busy);
  lab.settle();
  t.equal(text(server.recv(10)), 'up');
  t.equal(text(client.recv(10)), 'down');
});

t.test('a device that loses packets does so in both directions, and each is counted', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair();
  let asked = 0;
  lab.network.switch.lose(lab.port(), () => ++asked !== 2);
  client.send(utf8('up'));
  server.send(utf8('down'));
  lab.settle();
  t.equal(lab.dropped.fault, asked - 1, 'all but one');
  t.equal(lab.tapLog().length, 1);
  lab.network.switch.lose(lab.port(), undefined);
  client.send(utf8('again'));
  lab.settle();
  t.match(text(server.recv(10)), /again$/);
});

t.test('channels take turns, and so do the sockets of a channel', async (t) => {
  const lab = new Lab({ guests: 2 });
  const first = lab.pair('stream', lab.stack(3));
  const second = lab.pair('stream', lab.stack(3));
  const third = lab.pair('stream', lab.stack(4));
  for (const { client } of [first, second, third]) client.send(new Uint8Array(200_000));
  lab.network.run(8);
  const who = lab.packets.map(({ srcCid, srcPort }) =>
    srcCid === 4 ? 'third' : srcPort === first.client.local.port ? 'first' : 'second',
  );
  t.same(who.slice(0, 6), ['first', 'third', 'second', 'third', 'first', 'third']);
});

t.test('a run delivers no more than it was asked to, and says when more waits', async (t) => {
  const lab = new Lab();
  const { client } = lab.pair();
  client.send(new Uint8Array(200_000));
  t.equal(lab.network.run(3), true);
  t.equal(lab.packets.length, 3);
  t.equal(lab.network.run(100), false);
  t.equal(lab.packets.length, 4);
});

t.test('latency', async (t) => {
  t.test('lets a packet arrive later, in order', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    const delays = [50, 10, 0];
    lab.port().up.latency = () => delays.shift() ?? 0;
    for (const part of ['a', 'b', 'c']) {
      client.send(utf8(part));
      lab.settle();
    }
    lab.advance(49);
    t.equal(text(server.recv(10)), 'wait');
    lab.advance(1);
    t.equal(text(server.recv(10)), 'abc');
  });

  t.test('that ends lets nothing overtake what is under way', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    lab.port().up.latency = () => 50;
    client.send(utf8('first'));
    lab.settle();
    lab.port().up.latency = undefined;
    client.send(utf8(' second'));
    lab.settle();
    t.equal(text(server.recv(20)), 'wait');
    lab.advance(50);
    t.equal(text(server.recv(20)), 'first second');
    client.send(utf8('third'));
    lab.settle();
    t.equal(text(server.recv(20)), 'third', 'and then nothing is late');
  });
});

t.test('what is under way to a device that is taken away is dropped', async (t) => {
  const lab = new Lab({ guests: 2, policy: 'siblings' });
  const { client } = lab.pair('stream', lab.stack(3));
  const other = lab.pair('stream', lab.stack(4), lab.stack(3));
  lab.port(3).up.latency = () => 100;
  lab.port(4).up.latency = () => 100;
  client.send(utf8('to the host'));
  other.client.send(utf8('to the other guest'));
  lab.settle();
  lab.network.resetGuest(lab.guest(3));
  lab.advance(100);
  t.same(lab.tapLog(), ['RW'], 'the tap saw the one whose sender is still there');
  t.equal(lab.dropped.detached, 2, 'the device with the same CID is another one');
});

t.test('a packet for a device that is gone is dropped', async (t) => {
  const lab = new Lab();
  const port = lab.port();
  lab.network.removeGuest(lab.guest());
  lab.network.switch.inject(port, {
    header: encodeHeader({
      srcCid: 3,
      dstCid: 2,
      srcPort: 1,
      dstPort: PORT,
      len: 0,
      type: 1,
      op: VIRTIO_VSOCK_OP_REQUEST,
      flags: 0,
      bufAlloc: 0,
      fwdCnt: 0,
    }),
    payload: new Uint8Array(0),
  });
  t.equal(lab.dropped.detached, 1);
});
