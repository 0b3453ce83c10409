import t from 'tap';
import {
  opName,
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_INVALID,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_MASK,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
} from '../../../../src/core/abi/virtio-vsock.js';
import { VMADDR_CID_ANY } from '../../../../src/core/abi/vm-sockets.js';
import { packetType, resetFor, socketType } from '../../../../src/core/simulator/vsock/protocol.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { Lab, type LabOptions, PORT, RAW_PORT, text, utf8 } from '../../../helpers/vsock.js';

const ALL_OPS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 99];
const OTHER_THAN_RST = ALL_OPS.filter((op) => op !== VIRTIO_VSOCK_OP_RST);

/** A host socket whose peer is the test's own driver in guest 3. */
function connected(options: LabOptions = {}): { lab: Lab; socket: Socket } {
  const lab = new Lab(options);
  const listener = lab.listen(lab.host);
  lab.raw(lab.ownDriver(), { op: VIRTIO_VSOCK_OP_REQUEST });
  const socket = lab.accept(listener);
  lab.tapLog();
  return { lab, socket };
}

/** A host socket that waits for the answer of the test's own driver in guest 3. */
function connecting(options: LabOptions = {}): { lab: Lab; socket: Socket } {
  const lab = new Lab({ guests: 2, ...options });
  lab.ownDriver();
  const socket = lab.host.socket('stream', { ...ROOT_CALLER });
  lab.host.bind(socket, { cid: VMADDR_CID_ANY, port: PORT });
  lab.host.connect(socket, { cid: 3, port: RAW_PORT });
  lab.settle();
  lab.tapLog();
  return { lab, socket };
}

const ROOT_CALLER = { uid: 0, gid: 0, groups: [0], capabilities: 'all', jail: '' } as const;

t.test('packet types and socket types name each other', async (t) => {
  for (const type of ['stream', 'seqpacket', 'dgram'] as const) {
    t.equal(socketType(packetType(type)), type);
  }
  t.equal(socketType(0), undefined);
  t.equal(socketType(99), undefined);
});

t.test('without a socket', async (t) => {
  t.test('a RST is not answered', async (t) => {
    const lab = new Lab();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    t.same(lab.tapLog(), ['RST']);
  });

  for (const op of OTHER_THAN_RST) {
    t.test(
      `${opName(op)} is answered with RST: addresses swapped, same type, no credit`,
      async (t) => {
        const lab = new Lab();
        lab.raw(lab.guest(), { op, type: VIRTIO_VSOCK_TYPE_SEQPACKET, fwdCnt: 7 });
        const [packet, answer] = lab.packets;
        t.equal(packet?.op, op);
        t.same(answer, {
          srcCid: 2,
          dstCid: 3,
          srcPort: PORT,
          dstPort: RAW_PORT,
          len: 0,
          type: VIRTIO_VSOCK_TYPE_SEQPACKET,
          op: VIRTIO_VSOCK_OP_RST,
          flags: 0,
          bufAlloc: 0,
          fwdCnt: 0,
        });
        t.equal(lab.packets.length, 2);
        t.same(answer, packet && resetFor(packet));
      },
    );
  }

  t.test('linux-6.1 answers with RST too, the patch set of 2015 is silent', async (t) => {
    for (const [profile, answer] of [
      ['linux-6.1', ['RW', 'RST']],
      ['patchset-2015', ['RW']],
    ] as const) {
      const lab = new Lab({ profile });
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW });
      t.same(lab.tapLog(), answer);
    }
  });
});

t.test(
  'a packet of another type than the socket, or of an unknown one, is answered with RST',
  async (t) => {
    for (const type of [VIRTIO_VSOCK_TYPE_SEQPACKET, 0, 3, 99]) {
      const { lab, socket } = connected();
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW, type }, utf8('x'));
      t.same(lab.tapLog(), ['RW', 'RST']);
      t.equal(text(socket.recv(10)), 'wait', 'the connection goes on');
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST, type });
      t.same(lab.tapLog(), ['RST'], 'a RST of a wrong type does nothing');
      t.equal(text(socket.recv(10)), 'wait');
    }
  },
);

t.test('a connection that is over answers with RST', async (t) => {
  for (const op of OTHER_THAN_RST) {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    t.ok(socket.done);
    lab.tapLog();
    lab.raw(lab.guest(), { op });
    t.same(lab.tapLog(), [opName(op), 'RST']);
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    t.same(lab.tapLog(), ['RST']);
  }
});

t.test('a packet from elsewhere than the peer', async (t) => {
  const forged = { srcCid: 4, srcPort: RAW_PORT, dstPort: PORT };

  t.test('is answered with RST and changes nothing on linux-6.12', async (t) => {
    const { lab, socket } = connecting();
    lab.raw(lab.guest(4), { ...forged, op: VIRTIO_VSOCK_OP_RST });
    t.same(lab.tapLog(), ['RST'], 'except that a RST is not answered');
    t.equal(socket.state, 'connecting');
    lab.raw(lab.guest(4), { ...forged, op: VIRTIO_VSOCK_OP_RESPONSE });
    t.same(lab.tapLog(), ['RESPONSE', 'RST']);
    t.equal(socket.state, 'connecting');
    lab.advance(2000);
    t.equal(socket.takeError(), 'ETIMEDOUT');
  });

  t.test('ends a connection that is being made on linux-6.1', async (t) => {
    const { lab, socket } = connecting({ profile: 'linux-6.1' });
    lab.raw(lab.guest(4), { ...forged, op: VIRTIO_VSOCK_OP_RST });
    t.equal(socket.takeError(), 'ECONNRESET');
  });

  t.test('from another port of the peer counts as elsewhere', async (t) => {
    const { lab, socket } = connecting();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RESPONSE, srcPort: RAW_PORT + 1 });
    t.same(lab.tapLog(), ['RESPONSE', 'RST']);
    t.equal(socket.state, 'connecting');
  });
});

t.test('a listener', async (t) => {
  t.test('answers REQUEST with RESPONSE, and its child is connected at once', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.host);
    lab.raw(lab.ownDriver(), { op: VIRTIO_VSOCK_OP_REQUEST });
    t.same(lab.tapLog(), ['REQUEST', 'RESPONSE']);
    const child = lab.accept(listener);
    t.equal(child.state, 'connected');
    t.same(child.peer, { cid: 3, port: RAW_PORT });
    t.same(child.local, { cid: 2, port: PORT });
    t.equal(listener.state, 'listen');
  });

  for (const op of OTHER_THAN_RST.filter((op) => op !== VIRTIO_VSOCK_OP_REQUEST)) {
    t.test(`answers ${opName(op)} with RST`, async (t) => {
      const lab = new Lab();
      const listener = lab.listen(lab.host);
      lab.raw(lab.guest(), { op });
      t.same(lab.tapLog(), [opName(op), 'RST']);
      t.equal(listener.acceptQueue.length, 0);
    });
  }

  t.test('does not answer RST', async (t) => {
    const lab = new Lab();
    lab.listen(lab.host);
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    t.same(lab.tapLog(), ['RST']);
  });

  t.test(
    'admits one connection more than its backlog, and answers the next with RST',
    async (t) => {
      const lab = new Lab();
      const listener = lab.listen(lab.host, PORT, { backlog: 2 });
      const clients = [1, 2, 3, 4].map(() => lab.connect(lab.stack(), 2));
      t.same(
        clients.map(({ state }) => state),
        ['connected', 'connected', 'connected', 'closed'],
      );
      t.equal(clients[3]?.takeError(), 'ECONNRESET');
      lab.accept(listener);
      t.equal(lab.connect(lab.stack(), 2).state, 'connected', 'an accept makes room');
    },
  );

  t.test('that is closed resets those who waited', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.host);
    const client = lab.connect(lab.stack(), 2);
    lab.tapLog();
    listener.close();
    lab.settle();
    t.same(lab.tapLog(), ['SHUTDOWN', 'RST']);
    t.equal(text(client.recv(1)), 'end');
    t.equal(lab.connect(lab.stack(), 2).takeError(), 'ECONNRESET', 'nobody listens any more');
    client.close();
    lab.settle();
    t.equal(lab.host.sockets().size, 0);
  });
});

t.test('a socket that connects', async (t) => {
  t.test('is connected by RESPONSE', async (t) => {
    const { lab, socket } = connecting();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RESPONSE });
    t.equal(socket.state, 'connected');
    t.same(lab.tapLog(), ['RESPONSE']);
    lab.advance(10_000);
    t.equal(socket.state, 'connected', 'the time-out is off');
  });

  t.test('ignores INVALID', async (t) => {
    const { lab, socket } = connecting();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_INVALID });
    t.equal(socket.state, 'connecting');
    t.same(lab.tapLog(), ['INVALID']);
  });

  t.test('fails with ECONNRESET by RST', async (t) => {
    const { lab, socket } = connecting();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    t.equal(socket.state, 'closed');
    t.equal(socket.takeError(), 'ECONNRESET');
    t.same(lab.tapLog(), ['RST']);
  });

  const odd = OTHER_THAN_RST.filter(
    (op) => op !== VIRTIO_VSOCK_OP_RESPONSE && op !== VIRTIO_VSOCK_OP_INVALID,
  );
  for (const op of odd) {
    t.test(`answers ${opName(op)} with RST and fails with EPROTO`, async (t) => {
      const { lab, socket } = connecting();
      lab.raw(lab.guest(), { op });
      t.same(lab.tapLog(), [opName(op), 'RST']);
      t.equal(socket.state, 'closed');
      t.equal(socket.takeError(), 'EPROTO');
    });
  }

  t.test('that gave up sends no RST, and answers a late RESPONSE with one', async (t) => {
    const { lab, socket } = connecting();
    lab.advance(2000);
    t.equal(socket.takeError(), 'ETIMEDOUT');
    t.same(lab.tapLog(), []);
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RESPONSE });
    t.same(lab.tapLog(), ['RESPONSE', 'RST']);
  });
});

t.test('a connected socket', async (t) => {
  t.test('queues what RW brings', async (t) => {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW }, utf8('hello'));
    t.same(lab.tapLog(), ['RW']);
    t.equal(text(socket.recv(10)), 'hello');
  });

  t.test('takes an RW without bytes for nothing', async (t) => {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW });
    t.equal(text(socket.recv(10)), 'wait');
    t.same(lab.tapLog(), ['RW']);
  });

  t.test('wakes a writer by CREDIT_UPDATE', async (t) => {
    const { lab, socket } = connected();
    t.equal(socket.send(new Uint8Array(300_000)), 262_144);
    t.equal(socket.send(new Uint8Array(1)), 0);
    lab.settle();
    lab.network.woken.clear();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_CREDIT_UPDATE, fwdCnt: 100 });
    t.ok(lab.network.woken.has(socket));
    t.equal(socket.send(new Uint8Array(200)), 100);
  });

  t.test('answers CREDIT_REQUEST with CREDIT_UPDATE, each time', async (t) => {
    const { lab } = connected();
    for (let n = 0; n < 3; n++) {
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_CREDIT_REQUEST });
      const [, answer] = lab.packets;
      t.match(answer, { op: VIRTIO_VSOCK_OP_CREDIT_UPDATE, bufAlloc: 262_144, fwdCnt: 0 });
      t.same(lab.tapLog(), ['CREDIT_REQUEST', 'CREDIT_UPDATE']);
    }
  });

  t.test('ignores REQUEST, RESPONSE and unknown operations', async (t) => {
    for (const op of [VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE, 0, 99]) {
      const { lab, socket } = connected();
      lab.raw(lab.guest(), { op });
      t.same(lab.tapLog(), [opName(op)]);
      t.equal(socket.state, 'connected');
    }
  });

  t.test('collects the bits of SHUTDOWN', async (t) => {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_SEND });
    t.equal(text(socket.recv(1)), 'end');
    t.equal(socket.send(utf8('x')), 1, 'and may still send');
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: 0 });
    t.equal(socket.peerShutdown, VIRTIO_VSOCK_SHUTDOWN_SEND, 'bits stay');
    lab.tapLog();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_RCV });
    t.same(lab.tapLog(), ['SHUTDOWN', 'RST'], 'both bits end it');
    t.throws(() => socket.send(utf8('x')), { code: 'EPIPE' });
    t.equal(socket.error, undefined);
    t.notOk(socket.cutOff);
  });

  t.test('knows no other bits of SHUTDOWN', async (t) => {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: 0xfffffffc });
    t.equal(socket.peerShutdown, 0);
    t.same(lab.tapLog(), ['SHUTDOWN']);
  });

  t.test('with unread bytes sends no RST for a full SHUTDOWN until it is closed', async (t) => {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW }, utf8('rest'));
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_MASK });
    t.same(lab.tapLog(), ['RW', 'SHUTDOWN']);
    t.notOk(lab.host.sockets().has(socket), 'it has left the tables');
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_REQUEST });
    t.same(lab.tapLog(), ['REQUEST', 'RESPONSE'], 'so that the same port can connect again');
    t.equal(text(socket.recv(10)), 'rest');
    t.equal(text(socket.recv(10)), 'end');
    socket.close();
    lab.settle();
    t.same(lab.tapLog(), ['RST']);
  });

  t.test(
    'that gets RST gives what it has, then the end; writing fails, SO_ERROR is 0',
    async (t) => {
      const { lab, socket } = connected();
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW }, utf8('rest'));
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
      t.same(lab.tapLog(), ['RW', 'RST']);
      t.throws(() => socket.send(utf8('x')), { code: 'EPIPE' });
      t.equal(text(socket.recv(10)), 'rest');
      t.equal(text(socket.recv(10)), 'end');
      t.equal(socket.takeError(), undefined);
      t.ok(socket.cutOff, 'the model knows that the peer had not said that it was done');
    },
  );

  t.test('that gets RST after the peer shut its writing down is not cut off', async (t) => {
    const { lab, socket } = connected();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_SEND });
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    t.notOk(socket.cutOff);
    t.equal(text(socket.recv(10)), 'end');
  });
});

t.test('a connection that was shut down after its end ignores all but RST', async (t) => {
  const { lab, socket } = connected();
  lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
  socket.shutdown('both');
  lab.settle();
  t.equal(socket.state, 'closing');
  lab.tapLog();
  for (const op of ALL_OPS) lab.raw(lab.guest(), { op });
  t.same(lab.tapLog().slice(0, 4), ['INVALID', 'REQUEST', 'RESPONSE', 'RST']);
  t.ok(socket.done, 'RST finished it again');
});

t.test('the CID of a bound socket follows the packets that reach it', async (t) => {
  const lab = new Lab();
  const socket = lab.host.socket('stream', ROOT_CALLER);
  lab.host.bind(socket, { cid: 2, port: PORT });
  lab.listen(lab.stack());
  lab.host.connect(socket, { cid: 3, port: PORT });
  lab.settle();
  t.same(socket.local, { cid: 2, port: PORT });
  const automatic = lab.connect(lab.host, 3);
  t.equal(automatic.local.cid, VMADDR_CID_ANY, 'an automatic one stays ANY');
});

t.test('what a receiver does with more than it gave credit for', async (t) => {
  const chunk = new Uint8Array(65_536);
  const overrun = (options: LabOptions) => {
    const { lab, socket } = connected(options);
    for (let n = 0; n < 4; n++) lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW }, chunk);
    lab.tapLog();
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW }, utf8('!'));
    return { lab, socket };
  };

  t.test('linux-6.12 resets the connection: ENOBUFS after what fitted', async (t) => {
    const { lab, socket } = overrun({});
    t.same(lab.tapLog(), ['RW', 'RST']);
    for (let n = 0; n < 4; n++) t.equal(socket.recv(65_536)?.length, 65_536);
    t.ok(socket.cutOff);
    t.throws(() => socket.recv(1), { code: 'ENOBUFS' });
    t.equal(text(socket.recv(1)), 'end');
  });

  t.test('linux-6.1 drops it without a word', async (t) => {
    const { lab, socket } = overrun({ profile: 'linux-6.1' });
    t.same(lab.tapLog(), ['RW']);
    for (let n = 0; n < 4; n++) t.equal(socket.recv(65_536)?.length, 65_536);
    t.equal(text(socket.recv(1)), 'wait');
  });
});
