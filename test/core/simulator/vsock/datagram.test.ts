import t from 'tap';
import {
  PATCHSET_2015_TYPE_DGRAM,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
} from '../../../../src/core/abi/virtio-vsock.js';
import { VMADDR_CID_ANY } from '../../../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../../../src/core/simulator/vsock/stack.js';
import { Lab, PORT, text, utf8 } from '../../../helpers/vsock.js';

const OLD = { profile: 'patchset-2015', policy: 'siblings' } as const;

function bound(stack: Stack, port: number): Socket {
  const socket = stack.socket('dgram', ROOT);
  stack.bind(socket, { cid: VMADDR_CID_ANY, port });
  return socket;
}

function received(socket: Socket): string[] {
  return socket.datagrams.splice(0).map(({ bytes }) => text(bytes));
}

t.test('datagrams carry their boundaries and their source', async (t) => {
  const lab = new Lab(OLD);
  const server = bound(lab.host, PORT);
  const client = lab.stack().socket('dgram', ROOT);
  t.notOk(server.readable());
  lab.stack().sendTo(client, utf8('one'), { cid: 2, port: PORT });
  lab.stack().sendTo(client, utf8(''), { cid: 2, port: PORT });
  lab.stack().sendTo(client, utf8('three'), { cid: 2, port: PORT });
  lab.settle();
  t.ok(server.readable());
  t.match(server.recvMessage(), { from: { cid: 3, port: client.local.port }, endOfRecord: true });
  t.same(received(server), ['', 'three']);
  t.equal(server.recvMessage(), undefined);
  t.same(lab.tapLog(), ['RW', 'RW', 'RW']);
});

t.test('a connected datagram socket has a default address', async (t) => {
  const lab = new Lab(OLD);
  const server = bound(lab.host, PORT);
  const client = lab.stack().socket('dgram', ROOT);
  t.throws(() => client.sendMessage(utf8('x')), { code: 'ENOTCONN' });
  lab.stack().connect(client, { cid: 2, port: PORT });
  t.equal(client.sendMessage(utf8('hello')), 5);
  lab.settle();
  t.same(received(server), ['hello']);
});

t.test('datagrams are best effort', async (t) => {
  t.test('one that nobody waits for is lost', async (t) => {
    const lab = new Lab(OLD);
    lab.listen(lab.host, PORT);
    const client = lab.stack().socket('dgram', ROOT);
    lab.stack().sendTo(client, utf8('x'), { cid: 2, port: PORT });
    lab.stack().sendTo(client, utf8('x'), { cid: 2, port: PORT + 1 });
    lab.settle();
    t.same(lab.tapLog(), ['RW', 'RW'], 'without an answer');
  });

  t.test('one that finds no room is lost', async (t) => {
    const lab = new Lab(OLD);
    const server = bound(lab.host, PORT);
    server.setBuffer('size', 1000);
    const client = lab.stack().socket('dgram', ROOT);
    for (const size of [600, 500, 400]) {
      lab.stack().sendTo(client, new Uint8Array(size), { cid: 2, port: PORT });
    }
    lab.settle();
    t.same(
      server.datagrams.map(({ bytes }) => bytes.length),
      [600, 400],
    );
  });

  t.test('one of more than 64 KiB is refused', async (t) => {
    const lab = new Lab(OLD);
    const client = lab.stack().socket('dgram', ROOT);
    const send = (size: number) => () =>
      lab.stack().sendTo(client, new Uint8Array(size), { cid: 2, port: PORT });
    t.throws(send(65_537), { code: 'EMSGSIZE' });
    t.doesNotThrow(send(65_536));
  });

  t.test('one for which there is no transport gives ENODEV', async (t) => {
    const { host } = new Lab(OLD);
    const socket = host.socket('dgram', ROOT);
    t.throws(() => host.sendTo(socket, utf8('x'), { cid: 9, port: 1 }), { code: 'ENODEV' });
  });
});

t.test('closing and shutting down say nothing to anybody', async (t) => {
  const lab = new Lab(OLD);
  const server = bound(lab.host, PORT);
  const client = lab.stack().socket('dgram', ROOT);
  lab.stack().connect(client, { cid: 2, port: PORT });
  client.setBuffer('size', 5000);
  client.shutdown('write');
  t.throws(() => lab.stack().listen(client, 1), { code: 'EOPNOTSUPP' });
  client.close();
  lab.settle();
  t.same(lab.tapLog(), []);
  t.same(received(server), []);
  t.equal(lab.stack().sockets().size, 0);
  t.equal(lab.deadlines.size, 0);
});

t.test('only RW carries a datagram', async (t) => {
  const lab = new Lab(OLD);
  const server = bound(lab.host, PORT);
  const type = PATCHSET_2015_TYPE_DGRAM;
  lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, type });
  t.same(received(server), []);
  lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW, type }, utf8('x'));
  t.same(received(server), ['x']);
});

t.test('a transport reset is nothing to a datagram socket', async (t) => {
  const lab = new Lab(OLD);
  const server = bound(lab.host, PORT);
  const client = lab.stack().socket('dgram', ROOT);
  lab.stack().connect(client, { cid: 2, port: PORT });
  lab.network.resetGuest(lab.guest());
  t.equal(client.error, undefined);
  client.sendMessage(utf8('after'));
  lab.settle();
  t.same(received(server), ['after']);
});

t.test('Linux has no datagrams on virtio: their packets are answered with RST', async (t) => {
  const lab = new Lab();
  lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW, type: PATCHSET_2015_TYPE_DGRAM }, utf8('x'));
  t.same(lab.tapLog(), ['RW', 'RST']);
});
