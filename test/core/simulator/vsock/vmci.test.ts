/** Sockets whose bytes VMCI carries: between guests of the simulation and their host, and with kernels of others. */
import fc from 'fast-check';
import t from 'tap';
import {
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
} from '../../../../src/core/abi/vm-sockets.js';
import * as abi from '../../../../src/core/abi/vmci-vsock.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { PEER_CID, PEER_PORT, Peer, vmciLab } from '../../../helpers/vmci-peer.js';
import { codeOf } from '../../../helpers/vmm.js';
import { drain, type Lab, PORT, text, utf8 } from '../../../helpers/vsock.js';

const SIZE = 1000;

/** A connection between a kernel of the test's and a socket of the host. */
function joined(lab: Lab, { size = SIZE, old = false } = {}) {
  const peer = new Peer(lab);
  const listener = lab.listen(lab.host);
  const request = old
    ? abi.VMCI_TRANSPORT_PACKET_TYPE_REQUEST
    : abi.VMCI_TRANSPORT_PACKET_TYPE_REQUEST2;
  peer.say(request, { size, proto: old ? 0 : 1 });
  const { pair, queues } = peer.pair(size);
  peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_OFFER, { handle: pair.handle });
  const server = lab.accept(listener);
  listener.close();
  peer.log();
  return { peer, pair, queues, server };
}

/** Sends all of it, from one end to the other, reading as it comes. */
function carry(lab: Lab, from: Socket, to: Socket, bytes: Uint8Array, step: number): Uint8Array {
  const got: Uint8Array[] = [];
  let sent = 0;
  let idle = 0;
  while (sent < bytes.length || idle < 2) {
    const accepted = sent < bytes.length ? from.send(bytes.subarray(sent, sent + step)) : 0;
    sent += accepted;
    lab.settle();
    const data = to.recv(1 + ((sent * 31) % 5000));
    lab.settle();
    if (data !== undefined && data !== null) got.push(data);
    idle = accepted === 0 && data === undefined ? idle + 1 : 0;
    if (idle > 10) break;
  }
  return new Uint8Array(Buffer.concat(got));
}

t.test('a connection', async (t) => {
  for (const from of ['guest', 'host'] as const) {
    t.test(`from the ${from} carries bytes both ways, and leaves nothing`, async (t) => {
      const lab = vmciLab();
      const ends = from === 'guest' ? lab.pair() : lab.pair('stream', lab.host, lab.stack());
      const { client, server } = ends;
      t.equal(client.send(utf8('question')), 8);
      lab.settle();
      t.equal(text(server.recv(100)), 'question');
      t.equal(server.send(utf8('answer')), 6);
      lab.settle();
      t.equal(text(client.recv(100)), 'answer');
      t.equal(text(client.recv(100)), 'wait');
      t.same(lab.packets, [], 'and nothing passes the switch');
      client.close();
      lab.settle();
      t.equal(text(server.recv(1)), 'end');
      t.throws(() => server.send(utf8('x')), { code: 'EPIPE' });
      t.notOk(server.cutOff);
      server.close();
      lab.settle();
      t.equal(lab.stack().sockets().size + lab.host.sockets().size, 0);
      t.same(lab.vmci.host.queuePairs(), []);
      t.equal(lab.deadlines.size, 0);
    });
  }

  t.test('knows both addresses', async (t) => {
    const lab = vmciLab();
    const { client, server } = lab.pair();
    t.same(server.peerName(), { cid: 3, port: client.local.port });
    t.same(server.local, { cid: 2, port: PORT });
    t.same(client.peerName(), { cid: 2, port: PORT });
    t.equal(client.local.cid, 3, 'the client learns by which CID it is known');
  });

  t.test('keeps every byte, whatever the sizes', async () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 128, max: 9000 }),
        fc.integer({ min: 500, max: 20_000 }),
        fc.integer({ min: 1, max: 30_000 }),
        fc.boolean(),
        (buffer, step, length, back) => {
          const lab = vmciLab();
          const listener = lab.listen(lab.host);
          const client = lab.stack().socket('stream', ROOT);
          client.setBuffer('size', buffer);
          lab.stack().connect(client, { cid: VMADDR_CID_HOST, port: PORT });
          lab.settle();
          const server = lab.accept(listener);
          const bytes = Uint8Array.from({ length }, (_, n) => (n * 7 + (n >> 8)) & 0xff);
          const [from, to] = back ? [server, client] : [client, server];
          return Buffer.from(carry(lab, from, to, bytes, step)).equals(Buffer.from(bytes));
        },
      ),
      { numRuns: 30 },
    );
  });

  t.test('has room for one byte less than the size of its buffer', async (t) => {
    const lab = vmciLab();
    const { client, server } = lab.pair();
    t.equal(client.send(new Uint8Array(300_000)), 262_143);
    t.equal(client.send(new Uint8Array(1)), 0);
    t.same(client.queues(), { received: 0, unconsumed: 262_143, room: 0 });
    t.same(server.queues(), { received: 262_143, unconsumed: 0, room: 262_143 });
    t.equal(server.recv(0)?.length, 0);
    t.equal(server.recv(300_000)?.length, 262_143);
    lab.settle();
    t.equal(client.send(new Uint8Array(10)), 10);
  });

  t.test('wakes a reader when data comes, and a writer when there is room', async (t) => {
    const lab = vmciLab();
    const { client, server } = lab.pair();
    const { woken } = lab.network;
    woken.clear();
    client.send(utf8('x'));
    lab.settle();
    t.ok(woken.has(server));
    client.send(new Uint8Array(300_000));
    woken.clear();
    server.recv(200_000);
    lab.settle();
    t.ok(woken.has(client));
  });
});

t.test('ends of connections', async (t) => {
  t.test('the peer of SHUT_WR reads to the end and may still send', async (t) => {
    const lab = vmciLab();
    const { client, server } = lab.pair();
    client.send(utf8('last'));
    client.shutdown('write');
    lab.settle();
    t.throws(() => client.send(utf8('x')), { code: 'EPIPE' });
    t.equal(text(server.recv(10)), 'last');
    t.equal(text(server.recv(10)), 'end');
    server.send(utf8('answer'));
    lab.settle();
    t.equal(text(client.recv(10)), 'answer');
    t.equal(text(client.recv(10)), 'wait');
  });

  t.test('SHUT_RD stops the peer from sending', async (t) => {
    const lab = vmciLab();
    const { client, server } = lab.pair();
    server.shutdown('read');
    lab.settle();
    t.throws(() => client.send(utf8('x')), { code: 'EPIPE' });
    t.equal(server.send(utf8('y')), 1);
    lab.settle();
    t.equal(text(client.recv(1)), 'y');
  });

  for (const closer of ['client', 'server'] as const) {
    t.test(`what the ${closer} said before it closed is read`, async (t) => {
      const lab = vmciLab();
      const ends = lab.pair();
      const other = closer === 'client' ? ends.server : ends.client;
      ends[closer].send(new Uint8Array(100_000));
      ends[closer].close();
      lab.settle();
      const { bytes, end } = drain(other);
      t.equal(bytes.length, 100_000);
      t.ok(end);
      t.notOk(other.cutOff);
      other.close();
      lab.settle();
      t.same(lab.vmci.host.queuePairs(), []);
    });
  }

  t.test('a kernel of others takes its pages with it, and what was unread is lost', async (t) => {
    const lab = vmciLab();
    const { pair, queues, server } = joined(lab);
    queues.produce.enqueue(utf8('unread'));
    pair.detach();
    lab.settle();
    t.equal(text(server.recv(10)), 'end');
    t.throws(() => server.send(utf8('x')), { code: 'EPIPE' });
    server.close();
    t.same(lab.vmci.host.queuePairs(), []);
  });

  t.test('RST of a connection that stands is its end', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab);
    queues.produce.enqueue(utf8('before'));
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_RST);
    t.equal(text(server.recv(10)), 'before');
    t.equal(text(server.recv(10)), 'end');
    t.throws(() => server.send(utf8('x')), { code: 'EPIPE' });
    t.ok(server.cutOff, 'though perhaps too early');
    t.same(peer.log(), []);
  });

  t.test('RST after the peer has said that this is all cuts nothing off', async (t) => {
    const lab = vmciLab();
    const { peer, server } = joined(lab);
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN, { size: 2 });
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_RST);
    t.equal(text(server.recv(10)), 'end');
    t.notOk(server.cutOff);
  });

  t.test('both sides closing at once leave nothing', async (t) => {
    const lab = vmciLab();
    const { client, server } = lab.pair();
    client.close();
    server.close();
    lab.settle();
    t.equal(lab.stack().sockets().size + lab.host.sockets().size + lab.deadlines.size, 0);
    t.same(lab.vmci.host.queuePairs(), []);
  });

  t.test('after the end packets of the connection are answered by RST', async (t) => {
    const lab = vmciLab();
    const { peer, server } = joined(lab);
    server.close();
    lab.settle();
    peer.log();
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_WROTE);
    t.same(peer.log(), ['RST']);
  });
});

t.test('news of the queues', async (t) => {
  t.test('WROTE is said when the queue was empty, and then no more', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab);
    server.send(utf8('one'));
    server.send(utf8('two'));
    t.same(peer.log(), ['WROTE']);
    queues.consume.dequeue(new Uint8Array(6));
    server.send(utf8('three'));
    t.same(peer.log(), ['WROTE']);
  });

  t.test('READ is said when the queue was full', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab);
    queues.produce.enqueue(new Uint8Array(500));
    server.recv(10);
    t.same(peer.log(), []);
    queues.produce.enqueue(new Uint8Array(999));
    server.recv(10);
    t.same(peer.log(), ['READ']);
    server.recv(10);
    t.same(peer.log(), []);
  });

  t.test('READ waits for a page of room in a large queue, and longer each time', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab, { size: 65_536 });
    const until = () => {
      queues.produce.enqueue(new Uint8Array(65_536));
      for (let read = 0; ; ) {
        read += server.recv(1000)?.length ?? 0;
        if (peer.log().length > 0) return read;
      }
    };
    t.equal(until(), 5000);
    t.equal(until(), 9000);
    drain(server);
    server.recv(1);
    t.equal(until(), 5000, 'a reader that had to wait, twice, makes it sooner again');
  });

  t.test('nobody is told who listens no more', async (t) => {
    const lab = vmciLab();
    const { peer, server } = joined(lab);
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN, { size: 1 });
    t.throws(() => server.send(utf8('x')), { code: 'EPIPE' });
    t.same(peer.log(), []);
  });

  t.test('the old generation says nothing unasked', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab, { old: true });
    server.send(utf8('one'));
    t.same(peer.log(), []);
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ);
    t.same(peer.log(), ['WROTE'], 'data is there');
    queues.consume.dequeue(new Uint8Array(3));
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ);
    t.same(peer.log(), []);
    server.send(utf8('two'));
    server.send(utf8('three'));
    t.same(peer.log(), ['WROTE'], 'once data comes');
    queues.produce.enqueue(new Uint8Array(999));
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE);
    t.same(peer.log(), []);
    server.recv(10);
    t.same(peer.log(), ['READ'], 'once there is room');
  });

  t.test('the old generation asks when it has to wait, once', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab, { old: true });
    server.recv(1, 'hurries');
    t.same(peer.log(), [], 'who does not wait does not ask');
    server.recv(1);
    server.recv(1);
    t.same(peer.log(), ['WAITING_READ']);
    queues.produce.enqueue(utf8('x'));
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_WROTE);
    t.equal(text(server.recv(10)), 'x');
    server.recv(1);
    t.same(peer.log(), ['WAITING_READ']);
    server.send(new Uint8Array(2000));
    server.send(new Uint8Array(1));
    t.same(peer.log(), ['WAITING_WRITE']);
    queues.consume.dequeue(new Uint8Array(10));
    peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_READ);
    t.equal(server.send(new Uint8Array(20)), 10);
    t.same(peer.log(), ['WAITING_WRITE']);
  });

  t.test('the old generation carries bytes as well', async (t) => {
    const lab = vmciLab();
    const { peer, queues, server } = joined(lab, { old: true });
    const bytes = Uint8Array.from({ length: 50_000 }, (_, n) => n * 3);
    const got: number[] = [];
    for (let sent = 0; sent < bytes.length; ) {
      sent += server.send(bytes.subarray(sent, sent + 700));
      const piece = new Uint8Array(300);
      const count = queues.consume.dequeue(piece);
      got.push(...piece.subarray(0, Math.max(0, count)));
      peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_READ);
    }
    const rest = new Uint8Array(SIZE);
    got.push(...rest.subarray(0, queues.consume.dequeue(rest)));
    t.ok(Buffer.from(got).equals(Buffer.from(bytes)));
  });
});

t.test('who can be reached', async (t) => {
  t.test('a guest reaches its host and itself alone', async (t) => {
    const lab = vmciLab({ guests: 2, policy: 'siblings' });
    const dial = (cid: number) => codeOf(() => lab.dial(lab.stack(), cid));
    t.equal(dial(4), 'EINVAL', 'other VMs are refused, whatever the policy');
    t.equal(dial(4711), 'EINVAL');
    t.equal(dial(VMADDR_CID_ANY), 'ENODEV');
    lab.listen(lab.stack());
    for (const cid of [VMADDR_CID_LOCAL, 3]) {
      t.equal(lab.connect(lab.stack(), cid).state, 'connected', 'by the loopback');
    }
  });

  t.test('the host reaches guests of both transports', async (t) => {
    const lab = vmciLab();
    const other = lab.network.addGuest();
    lab.network.setCid(other, 20);
    for (const stack of [lab.stack(), other.stack]) {
      lab.listen(stack);
      t.equal(lab.connect(lab.host, stack.cid).state, 'connected');
    }
    t.throws(() => lab.dial(lab.host, 21), { code: 'ENODEV' });
    t.throws(() => lab.dial(lab.host, 0), { code: 'ENODEV' });
  });

  t.test('there are no seqpacket sockets', async (t) => {
    const lab = vmciLab();
    lab.listen(lab.host, PORT, { type: 'seqpacket' });
    const dial = () => lab.dial(lab.stack(), VMADDR_CID_HOST, PORT, 'seqpacket');
    t.throws(dial, { code: 'ESOCKTNOSUPPORT' });
    t.equal(lab.connect(lab.stack(), VMADDR_CID_HOST).takeError(), 'ECONNRESET');
    lab.listen(lab.stack(), PORT, { type: 'seqpacket' });
    const own = lab.connect(lab.stack(), VMADDR_CID_LOCAL, PORT, 'seqpacket');
    t.equal(own.state, 'connected', 'but on the loopback');
  });

  t.test('a buffer that no queue pair can have fails with ENOBUFS', async (t) => {
    const lab = vmciLab();
    const huge = 2 ** 27;
    const listener = lab.host.socket('stream', ROOT);
    const client = lab.stack().socket('stream', ROOT);
    for (const socket of [listener, client]) {
      socket.setBuffer('max', huge);
      socket.setBuffer('size', huge);
    }
    lab.host.bind(listener, { cid: VMADDR_CID_ANY, port: PORT });
    lab.host.listen(listener, 1);
    lab.stack().connect(client, { cid: VMADDR_CID_HOST, port: PORT });
    lab.settle();
    t.equal(client.takeError(), 'ENOBUFS');
    t.same(lab.vmci.host.queuePairs(), []);
  });
});

t.test('a VM that goes, or is another', async (t) => {
  for (const [what, act] of [
    ['a reset', (lab: Lab) => lab.network.resetGuest(lab.guest())],
    ['another CID', (lab: Lab) => lab.network.setCid(lab.guest(), 20)],
    ['its end', (lab: Lab) => lab.network.removeGuest(lab.guest())],
    ['virtio instead', (lab: Lab) => lab.network.useVmci(lab.guest(), undefined)],
  ] as const) {
    t.test(`${what} ends connections of both sides with ECONNRESET`, async (t) => {
      const lab = vmciLab();
      const { client, server } = lab.pair();
      server.send(utf8('x'));
      act(lab);
      lab.settle();
      t.throws(() => server.recv(1), { code: 'ECONNRESET' });
      t.ok(server.cutOff);
      t.ok(client.done);
      t.ok(client.cutOff);
      t.same(lab.vmci.host.queuePairs(), []);
      server.close();
      client.close();
      lab.settle();
      t.equal(lab.host.sockets().size + lab.deadlines.size, 0);
    });
  }

  t.test('listeners stay, and take connections again', async (t) => {
    const lab = vmciLab();
    lab.listen(lab.stack());
    lab.network.resetGuest(lab.guest());
    t.equal(lab.connect(lab.host, 3).state, 'connected');
  });

  t.test('over virtio it is reached again as before', async (t) => {
    const lab = vmciLab();
    lab.network.useVmci(lab.guest(), undefined);
    lab.listen(lab.stack());
    t.equal(lab.connect(lab.host, 3).state, 'connected');
    t.not(lab.packets.length, 0);
  });
});

t.test('a guest that is stalled says and hears nothing until it goes on', async (t) => {
  const lab = vmciLab();
  const { client, server } = lab.pair();
  lab.network.stall(lab.guest(), true);
  lab.network.woken.clear();
  client.send(utf8('x'));
  client.shutdown('write');
  lab.listen(lab.host, 6000);
  const late = lab.connect(lab.stack(), VMADDR_CID_HOST, 6000);
  t.equal(late.state, 'connecting');
  t.notOk(lab.network.woken.has(server));
  t.notOk(lab.network.busy, 'nothing can be done about it');
  lab.network.stall(lab.guest(), false);
  lab.settle();
  t.equal(late.state, 'connected');
  t.ok(lab.network.woken.has(server));
  t.equal(text(server.recv(1)), 'x');
  t.equal(text(server.recv(1)), 'end');
});

t.test('a hostile kernel', async (t) => {
  t.test('that lies about its queue breaks its own connection alone', async (t) => {
    const lab = vmciLab();
    const { pair, queues, server } = joined(lab);
    const tail = pair.memory?.view(8, 8);
    for (const lie of [SIZE, SIZE + 1, 2 ** 31, 2 ** 53]) {
      new DataView(tail?.buffer ?? new ArrayBuffer(8), tail?.byteOffset, 8).setBigUint64(
        0,
        BigInt(lie),
        true,
      );
      t.throws(() => server.recv(10), { code: 'ENOMEM' });
      t.ok(server.readable(), 'which a program learns by reading');
    }
    t.equal(queues.consume.bufReady, 0);
    t.doesNotThrow(() => server.queues());
    server.close();
    t.equal(lab.host.sockets().size, 0);
  });

  t.test('that says anything ends nothing', async () => {
    const anything = fc.record({
      type: fc.integer({ min: 0, max: 15 }),
      size: fc.constantFrom(0, 1, 128, SIZE, 2 ** 31, 2 ** 53),
      proto: fc.integer({ min: 0, max: 3 }),
      port: fc.constantFrom(PORT, PORT + 1, 0),
      from: fc.constantFrom(PEER_PORT, PEER_PORT + 1),
      withHandle: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 40 }), (packets) => {
        const lab = vmciLab({ defers: true });
        const { peer, pair } = joined(lab);
        const listener = lab.listen(lab.host);
        for (const { type, size, proto, port, from, withHandle } of packets) {
          const words = withHandle ? { proto, handle: pair.handle } : { proto, size };
          peer.say(type, words, port, from);
          peer.heard.length = 0;
        }
        for (let child = lab.host.accept(listener); child; child = lab.host.accept(listener)) {
          child.close();
        }
        listener.close();
        const { client, server } = lab.pair('stream', lab.stack(), lab.host);
        client.send(utf8('still'));
        lab.settle();
        return text(server.recv(10)) === 'still';
      }),
      { numRuns: 60 },
    );
  });

  t.test('that is faster than the host is refused at some point', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    lab.listen(lab.host);
    lab.network.stall({ ...lab.guest(), cid: PEER_CID }, true);
    const results = new Set<number>();
    for (let n = 0; n < 4100; n++) {
      results.add(peer.say(abi.VMCI_TRANSPORT_PACKET_TYPE_WROTE));
      peer.heard.length = 0;
    }
    t.same([...results], [56, -3]);
  });
});
