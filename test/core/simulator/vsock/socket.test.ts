import t from 'tap';
import { VIRTIO_VSOCK_OP_REQUEST } from '../../../../src/core/abi/virtio-vsock.js';
import { VMADDR_CID_ANY } from '../../../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { drain, Lab, PORT, text, utf8, virtio } from '../../../helpers/vsock.js';

/** A socket's messages as texts, up to where it would block. */
function messages(socket: Socket): string[] {
  const texts: string[] = [];
  for (;;) {
    const message = socket.recvMessage();
    if (message === undefined) return texts;
    if (message === null) return [...texts, 'end'];
    texts.push(text(message.bytes) + (message.endOfRecord ? '|' : ''));
  }
}

t.test('a socket without a connection', async (t) => {
  const socket = new Lab().host.socket('stream', ROOT);
  t.throws(() => socket.send(utf8('x')), { code: 'ENOTCONN' });
  t.throws(() => socket.recv(1), { code: 'ENOTCONN' });
  t.throws(() => socket.shutdown('write'), { code: 'ENOTCONN' });
  t.same(socket.local, { cid: VMADDR_CID_ANY, port: 0xffffffff });
  t.equal(socket.peer, undefined);
});

t.test('a stream keeps the order of bytes, not the boundaries of calls', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair();
  for (const part of ['one', 'two', 'three']) client.send(utf8(part));
  lab.settle();
  t.equal(text(drain(server).bytes), 'onetwothree');
  client.send(utf8('abcdef'));
  lab.settle();
  t.equal(text(server.recv(2)), 'ab', 'a packet can be read in parts');
  t.equal(text(server.recv(0)), '');
  t.equal(text(server.recv(100)), 'cdef');
  t.equal(text(server.recv(100)), 'wait');
});

t.test('bytes are sent in packets of at most 64 KiB', async (t) => {
  const lab = new Lab();
  const { client } = lab.pair();
  t.equal(client.send(new Uint8Array(200_000)), 200_000);
  lab.settle();
  t.same(
    lab.packets.map(({ len }) => len),
    [65_536, 65_536, 65_536, 3392],
  );
});

t.test('half-close', async (t) => {
  t.test('the peer of SHUT_WR reads to the end and may still send', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('last'));
    client.shutdown('write');
    lab.settle();
    t.same(lab.tapLog(), ['RW', 'SHUTDOWN'], 'the end goes behind the data');
    t.throws(() => client.send(utf8('x')), { code: 'EPIPE' });
    t.equal(text(server.recv(10)), 'last');
    t.equal(text(server.recv(10)), 'end');
    t.equal(server.send(utf8('answer')), 6);
    lab.settle();
    t.equal(text(client.recv(10)), 'answer');
    t.equal(text(client.recv(10)), 'wait');
  });

  t.test('SHUT_RD stops the peer from sending', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    server.shutdown('read');
    t.equal(text(server.recv(1)), 'end');
    lab.settle();
    t.throws(() => client.send(utf8('x')), { code: 'EPIPE' });
    t.equal(server.send(utf8('y')), 1, 'the other direction goes on');
    lab.settle();
    t.equal(text(client.recv(1)), 'y');
  });

  t.test('both halves shut by turns end the connection', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.shutdown('write');
    client.shutdown('read');
    lab.settle();
    t.same(lab.tapLog(), ['SHUTDOWN', 'RST'], 'what waits to be said is said once');
    t.ok(server.done);
    t.ok(client.done);
    t.equal(client.error, undefined);
    t.notOk(server.cutOff);
    t.notOk(client.cutOff, 'who stopped reading has missed nothing');
  });

  t.test('recv after the own shutdown of a connection that was over gives ENOTCONN', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    server.close();
    lab.settle();
    t.equal(text(client.recv(1)), 'end');
    client.shutdown('both');
    t.throws(() => client.recv(1), { code: 'ENOTCONN' });
  });
});

t.test('close', async (t) => {
  t.test('is said, confirmed by RST, and leaves nothing', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.close();
    lab.settle();
    t.same(lab.tapLog(), ['SHUTDOWN', 'RST']);
    t.equal(lab.deadlines.size, 0);
    t.equal(lab.stack().sockets().size, 0);
    t.equal(text(server.recv(1)), 'end');
    t.throws(() => server.send(utf8('x')), { code: 'EPIPE' });
    t.equal(server.takeError(), undefined);
    server.close();
    lab.settle();
    t.same(lab.tapLog(), ['RST'], 'a second RST is normal');
    t.equal(lab.host.sockets().size, 0);
  });

  t.test('sends what was accepted before', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(new Uint8Array(100_000));
    client.close();
    lab.settle();
    t.same(lab.tapLog(), ['RW', 'RW', 'SHUTDOWN']);
    const { bytes, end } = drain(server);
    t.equal(bytes.length, 100_000);
    t.ok(end);
    t.notOk(server.cutOff);
  });

  t.test('waits 8 s for a peer that has not read, then sends RST', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('unread'));
    client.close();
    lab.advance(7999);
    t.same(lab.tapLog(), ['RW', 'SHUTDOWN']);
    t.equal(lab.stack().sockets().size, 1);
    lab.advance(1);
    t.same(lab.tapLog(), ['RST']);
    t.equal(lab.stack().sockets().size, 0);
    t.equal(text(server.recv(10)), 'unread', 'which takes nothing from the peer');
    t.equal(text(server.recv(10)), 'end');
    t.equal(server.takeError(), undefined);
    t.same(server.peer?.cid, 3, 'the peer is still known');
  });

  t.test('with bytes unread gives the peer the end and EPIPE, no ECONNRESET', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('never read'));
    lab.settle();
    server.close();
    lab.settle();
    t.equal(text(client.recv(1)), 'end');
    t.throws(() => client.send(utf8('x')), { code: 'EPIPE' });
    t.equal(client.takeError(), undefined);
  });

  t.test('of both sides at once leaves nothing', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.close();
    server.close();
    server.close();
    lab.settle();
    t.equal(lab.stack().sockets().size + lab.host.sockets().size, 0);
    t.equal(lab.deadlines.size, 0);
  });

  t.test('after the peer has shut down fully is answered with RST at once', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('x'));
    client.close();
    lab.settle();
    lab.tapLog();
    server.close();
    lab.settle();
    t.same(lab.tapLog(), ['RST']);
    t.equal(lab.deadlines.size, 0, 'nobody waits any more');
  });

  t.test('drops what still comes', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    server.send(utf8('unread'));
    lab.settle();
    client.send(utf8('x'));
    lab.settle();
    client.close();
    lab.network.switch.stall(lab.port(), true);
    t.equal(server.send(utf8('late')), 4, 'the peer does not know yet');
    lab.network.switch.stall(lab.port(), false);
    lab.advance(8000);
    t.equal(lab.stack().sockets().size, 0);
  });
});

t.test(
  'a peer has a name while the connection stands, and until this side shuts it down',
  async (t) => {
    const lab = new Lab();
    const refused = lab.connect(lab.stack(), 2);
    t.equal(refused.peerName(), undefined, 'nor has one that refused');
    const { client, server } = lab.pair();
    t.same(client.peerName(), { cid: 2, port: PORT });
    server.close();
    lab.settle();
    t.same(client.peerName(), { cid: 2, port: PORT }, 'the peer has closed');
    client.shutdown('write');
    t.equal(client.peerName(), undefined);
  },
);

t.test('the options of the buffer', async (t) => {
  t.test('the size is kept between its bounds', async (t) => {
    const socket = new Lab().host.socket('stream', ROOT);
    t.equal(socket.bufferSize, 262_144);
    socket.setBuffer('size', 1_048_576);
    t.equal(socket.bufferSize, 262_144, 'the maximum is 262144 until it is raised');
    socket.setBuffer('max', 2_000_000);
    t.equal(socket.bufferSize, 262_144, 'raising it alone changes nothing');
    socket.setBuffer('size', 1_048_576);
    t.equal(socket.bufferSize, 1_048_576);
    socket.setBuffer('size', 1);
    t.equal(socket.bufferSize, 128, 'the minimum is 128');
    socket.setBuffer('min', 1000);
    t.equal(socket.bufferSize, 1000, 'the size follows a bound');
    socket.setBuffer('max', 500);
    t.equal(socket.bufferSize, 500, 'a minimum above the maximum gives the maximum');
    socket.setBuffer('max', 2 ** 40);
    socket.setBuffer('size', 2 ** 40);
    t.equal(socket.bufferSize, 2 ** 40);
  });

  t.test('no buffer of a connection is larger than the protocol can say', async (t) => {
    const lab = new Lab();
    const listener = lab.host.socket('stream', ROOT);
    const client = lab.stack().socket('stream', ROOT);
    for (const socket of [listener, client]) {
      socket.setBuffer('max', 2 ** 40);
      socket.setBuffer('size', 2 ** 40);
    }
    lab.host.bind(listener, { cid: VMADDR_CID_ANY, port: PORT });
    lab.host.listen(listener, 1);
    lab.stack().connect(client, { cid: 2, port: PORT });
    lab.settle();
    t.equal(client.bufferSize, 0xffffffff);
    t.equal(lab.accept(listener).bufferSize, 0xffffffff, 'nor of one that inherits it');
    client.setBuffer('size', 2 ** 39);
    t.equal(client.bufferSize, 0xffffffff);
  });

  t.test('the connect time-out is not negative, and 0 is the default', async (t) => {
    const socket = new Lab().host.socket('stream', ROOT);
    socket.setConnectTimeout(1240);
    t.equal(socket.connectTimeoutMs, 1240);
    t.throws(() => socket.setConnectTimeout(-1), { code: 'ERANGE' });
    socket.setConnectTimeout(0);
    t.equal(socket.connectTimeoutMs, 2000);
  });

  t.test('a change is told to the peer', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    server.setBuffer('size', 100_000);
    lab.settle();
    t.same(lab.tapLog(), ['CREDIT_UPDATE']);
    t.equal(virtio(client).credit.peerBufAlloc, 100_000);
    server.setBuffer('size', 100_000);
    lab.settle();
    t.same(lab.tapLog(), [], 'unless it is none');
    server.setBuffer('max', 50_000);
    lab.settle();
    t.same(lab.tapLog(), ['CREDIT_UPDATE']);
  });
});

t.test('seqpacket', async (t) => {
  t.test('keeps the boundaries of messages, and the marks of records', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair('seqpacket');
    t.equal(client.sendMessage(utf8('one')), 3);
    t.equal(client.sendMessage(utf8('two'), true), 3);
    t.equal(client.sendMessage(utf8('three')), 5);
    lab.settle();
    t.same(
      lab.packets.map(({ flags }) => flags),
      [1, 3, 1],
    );
    t.same(messages(server), ['one', 'two|', 'three']);
  });

  t.test('a message of several packets ends with the last', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair('seqpacket');
    const sent = Uint8Array.from({ length: 150_000 }, (_, n) => n * 7);
    client.sendMessage(sent, true);
    lab.network.run(2);
    t.equal(server.recvMessage(), undefined, 'a part is no message');
    t.notOk(server.readable());
    lab.settle();
    t.same(
      lab.packets.map(({ flags }) => flags),
      [0, 0, 3],
    );
    const message = server.recvMessage();
    t.ok(message && Buffer.from(message.bytes).equals(sent));
    t.same(message?.from, { cid: 3, port: client.local.port });
  });

  t.test('a message may be as large as the window', async (t) => {
    for (const [profile, code] of [
      ['linux-6.12', 'EMSGSIZE'],
      ['linux-6.1', 'ENOMEM'],
    ] as const) {
      const lab = new Lab({ profile });
      const { client, server } = lab.pair('seqpacket');
      t.throws(() => client.sendMessage(new Uint8Array(262_145)), { code });
      t.equal(client.sendMessage(new Uint8Array(262_144)), 262_144);
      lab.settle();
      t.equal(server.recvMessage()?.bytes.length, 262_144);
    }
  });

  t.test('a small own buffer bounds a message where it bounds the credit', async (t) => {
    const lab = new Lab();
    const { client } = lab.pair('seqpacket');
    client.setBuffer('size', 1000);
    t.throws(() => client.sendMessage(new Uint8Array(1001)), { code: 'EMSGSIZE' });
    t.equal(client.sendMessage(new Uint8Array(1000)), 1000);
    const old = new Lab({ profile: 'linux-6.1' }).pair('seqpacket');
    old.client.setBuffer('size', 1000);
    t.throws(() => old.client.sendMessage(new Uint8Array(1001)), { code: 'ENOMEM' });
  });

  t.test('an empty message is nothing', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair('seqpacket');
    t.equal(client.sendMessage(utf8('')), 0);
    lab.settle();
    t.same(lab.tapLog(), []);
    t.equal(server.recvMessage(), undefined);
  });

  t.test('a message for which there is no credit yet goes on later', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair('seqpacket');
    client.sendMessage(new Uint8Array(200_000).fill(1));
    const large = new Uint8Array(100_000).fill(2);
    const sent = client.sendMessage(large);
    t.equal(sent, 62_144);
    lab.settle();
    t.equal(client.sendMessage(large.subarray(sent)), 0);
    t.equal(server.recvMessage()?.bytes.length, 200_000);
    t.equal(server.recvMessage(), undefined);
    lab.settle();
    t.equal(client.sendMessage(large.subarray(sent)), 37_856);
    lab.settle();
    t.same(server.recvMessage()?.bytes, large);
  });

  t.test('ends as a stream does', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair('seqpacket');
    client.sendMessage(utf8('bye'));
    client.close();
    lab.settle();
    t.same(messages(server), ['bye', 'end']);
    t.throws(() => server.sendMessage(utf8('x')), { code: 'EPIPE' });
  });
});

t.test('readable says when a call would not block', async (t) => {
  const lab = new Lab();
  const listener = lab.listen(lab.host);
  t.notOk(listener.readable());
  const client = lab.connect(lab.stack(), 2);
  t.ok(listener.readable(), 'a connection waits');
  const server = lab.accept(listener);
  t.notOk(client.readable());
  server.send(utf8('x'));
  lab.settle();
  t.ok(client.readable(), 'bytes wait');
  client.recv(1);
  t.notOk(client.readable());
  server.shutdown('write');
  lab.settle();
  t.ok(client.readable(), 'the end waits');
  lab.network.resetGuest(lab.guest());
  t.ok(server.readable(), 'an error waits');
});

t.test('SO_ERROR gives an error once', async (t) => {
  const lab = new Lab();
  const socket = lab.connect(lab.stack(), 2);
  t.equal(socket.takeError(), 'ECONNRESET');
  t.equal(socket.takeError(), undefined);
});

t.test('the program is woken when a connection comes, stands, or fails', async (t) => {
  const lab = new Lab();
  const { woken } = lab.network;
  const listener = lab.listen(lab.host);
  const client = lab.connect(lab.stack(), 2);
  t.ok(woken.has(listener));
  t.ok(woken.has(client));
  woken.clear();
  const refused = lab.connect(lab.stack(), 2, PORT + 1);
  t.ok(woken.has(refused));
  lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_REQUEST });
  t.ok(woken.has(listener));
});
