import t from 'tap';
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RST,
} from '../../../../src/core/abi/virtio-vsock.js';
import { VMADDR_CID_ANY } from '../../../../src/core/abi/vm-sockets.js';
import type { Guest } from '../../../../src/core/simulator/vsock/network.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { MAX_DEFERRED } from '../../../../src/core/simulator/vsock/stack.js';
import { Lab, PORT, RAW_PORT, text, utf8 } from '../../../helpers/vsock.js';

t.test('CIDs', async (t) => {
  t.test('that are reserved give EINVAL', async (t) => {
    const lab = new Lab();
    for (const cid of [0, 1, 2, 0xffffffff, 2 ** 32, 2 ** 32 + 3, -1, 3.5, Number.NaN]) {
      t.throws(() => lab.network.setCid(lab.guest(), cid), { code: 'EINVAL' }, String(cid));
    }
    t.equal(lab.guest().cid, 3, 'and change nothing');
    lab.network.setCid(lab.guest(), 0xfffffffe);
    t.equal(lab.stack(0xfffffffe).cid, 0xfffffffe);
  });

  t.test('that another guest has give EADDRINUSE', async (t) => {
    const lab = new Lab({ guests: 2 });
    const { client } = lab.pair('stream', lab.stack(3));
    t.throws(() => lab.network.setCid(lab.guest(3), 4), { code: 'EADDRINUSE' });
    t.equal(lab.guest(3).cid, 3);
    t.equal(client.state, 'connected', 'nothing happens to connections');
  });

  t.test('can be set again to the same', async (t) => {
    const lab = new Lab();
    const { client } = lab.pair();
    lab.network.setCid(lab.guest(), 3);
    t.equal(client.state, 'connected');
  });

  t.test('that are given up are free', async (t) => {
    const lab = new Lab({ guests: 2 });
    const [first, second] = lab.guests as [Guest, Guest];
    lab.network.setCid(first, 9);
    t.equal(lab.network.guest(3), undefined);
    lab.network.setCid(second, 3);
    t.equal(lab.network.guest(3), second);
    t.equal(lab.network.guest(9), first);
    lab.network.removeGuest(first);
    t.equal(lab.network.guest(9), undefined);
  });

  t.test('that are free are found from the lowest on', async (t) => {
    const lab = new Lab({ guests: 3 });
    t.equal(lab.network.freeCid(), 6);
    lab.network.removeGuest(lab.guest(4));
    t.equal(lab.network.freeCid(), 4);
  });

  t.test('a guest that has a new one is reached there, and listens still', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.stack());
    lab.network.setCid(lab.guest(), 7);
    t.throws(() => lab.dial(lab.host, 3), { code: 'ENODEV' });
    t.equal(lab.connect(lab.host, 7).state, 'connected');
    t.same(lab.accept(listener).local, { cid: 7, port: PORT });
  });
});

/** What happens to both ends of a connection: error of the read, error of the write. */
function ends(socket: Socket): string[] {
  const codes = [() => socket.send(utf8('x')), () => socket.recv(1)].map((call) => {
    try {
      call();
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  return [...codes, text(socket.recv(1))];
}

const END_OF_RESET = ['EPIPE', 'ECONNRESET', 'end'];

const FATES: Record<string, (lab: Lab) => void> = {
  'a transport reset': (lab) => lab.network.resetGuest(lab.guest()),
  'a new CID': (lab) => lab.network.setCid(lab.guest(), 99),
  'the removal of the VM': (lab) => lab.network.removeGuest(lab.guest()),
};

for (const [fate, happen] of Object.entries(FATES)) {
  t.test(fate, async (t) => {
    t.test('ends connections on both sides with ECONNRESET, without a packet', async (t) => {
      const lab = new Lab();
      const { client, server } = lab.pair();
      client.send(utf8('lost'));
      lab.network.woken.clear();
      happen(lab);
      t.ok(lab.network.woken.has(client) && lab.network.woken.has(server), 'both are woken');
      lab.advance(10_000);
      t.same(ends(client), END_OF_RESET);
      t.same(ends(server), END_OF_RESET);
      t.ok(client.cutOff && server.cutOff);
      t.same(lab.tapLog(), []);
      client.close();
      server.close();
      t.equal(lab.host.sockets().size, 0);
      t.equal(lab.deadlines.size, 0);
    });

    t.test('leaves what was received to be read', async (t) => {
      const lab = new Lab();
      const { client, server } = lab.pair();
      client.send(utf8('here'));
      lab.settle();
      happen(lab);
      t.equal(text(server.recv(10)), 'here');
      t.throws(() => server.recv(10), { code: 'ECONNRESET' });
    });

    t.test('ends a connection that is being made', async (t) => {
      const lab = new Lab();
      lab.network.switch.stall(lab.port(), true);
      const client = lab.dial(lab.stack(), 2);
      const fromHost = lab.dial(lab.host, 3);
      happen(lab);
      t.equal(client.takeError(), 'ECONNRESET');
      t.equal(fromHost.takeError(), 'ECONNRESET');
      lab.advance(5000);
      t.equal(fromHost.takeError(), undefined, 'and its time-out with it');
    });

    t.test('ends no connection of somebody else', async (t) => {
      const lab = new Lab({ guests: 2 });
      const other = lab.pair('stream', lab.stack(4));
      const listener = lab.listen(lab.host, PORT + 1);
      const own = lab.connect(lab.host, 1, PORT + 1);
      happen(lab);
      other.client.send(utf8('still here'));
      lab.accept(listener).send(utf8('here too'));
      lab.settle();
      t.equal(text(other.server.recv(20)), 'still here');
      t.equal(text(own.recv(20)), 'here too');
      t.equal(listener.error, undefined);
    });

    t.test('says nothing of a connection that had ended before', async (t) => {
      const lab = new Lab();
      const { client, server } = lab.pair();
      server.close();
      lab.settle();
      t.equal(text(client.recv(1)), 'end');
      happen(lab);
      t.equal(client.takeError(), undefined);
      t.notOk(client.cutOff);
      t.equal(text(client.recv(1)), 'end');
      const { client: shut } = lab.pair('stream', lab.host, lab.host);
      shut.shutdown('both');
      lab.settle();
      t.ok(shut.done, 'confirmed by RST');
      lab.host.resetPeer(2);
      t.equal(shut.error, undefined);
      t.notOk(shut.cutOff);
    });

    t.test('says nothing to a socket that once failed to connect', async (t) => {
      const lab = new Lab();
      const socket = lab.connect(lab.host, 3);
      t.equal(socket.takeError(), 'ECONNRESET');
      happen(lab);
      t.equal(socket.error, undefined);
      lab.listen(lab.host);
      lab.host.connect(socket, { cid: 1, port: PORT });
      lab.settle();
      t.equal(socket.state, 'connected', 'which is of use again');
    });
  });
}

t.test('after a transport reset', async (t) => {
  t.test('listeners go on, and new connections can be made', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.stack());
    lab.network.resetGuest(lab.guest());
    t.equal(listener.state, 'listen');
    t.equal(listener.error, undefined);
    const client = lab.connect(lab.host, 3);
    t.equal(client.state, 'connected');
    t.equal(lab.accept(listener).state, 'connected');
  });

  t.test(
    'a connect that was cut off can be tried again, one that stood gives EISCONN',
    async (t) => {
      const lab = new Lab();
      const { client } = lab.pair();
      lab.listen(lab.host);
      const dialling = lab.dial(lab.stack(), 2);
      lab.network.resetGuest(lab.guest());
      t.equal(dialling.takeError(), 'ECONNRESET');
      lab.stack().connect(dialling, { cid: 2, port: PORT });
      lab.settle();
      t.equal(dialling.state, 'connected');
      const again = () => lab.stack().connect(client, { cid: 2, port: PORT });
      t.throws(again, { code: 'EISCONN' });
    },
  );

  t.test('a guest goes on talking to itself, at CID 1 and at its own', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.stack());
    const clients = [1, 3].map((cid) => lab.connect(lab.stack(), cid));
    lab.network.resetGuest(lab.guest());
    for (const client of clients) {
      client.send(utf8('still here'));
      lab.settle();
      t.equal(text(lab.accept(listener).recv(20)), 'still here');
    }
  });

  t.test('connections between guests have ended as well', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'siblings' });
    const { client, server } = lab.pair('stream', lab.stack(3), lab.stack(4));
    lab.network.resetGuest(lab.guest(4));
    t.same(ends(client), END_OF_RESET);
    t.same(ends(server), END_OF_RESET);
  });

  t.test('a child that nobody has accepted gives its error to who accepts it', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.host);
    lab.connect(lab.stack(), 2);
    lab.network.resetGuest(lab.guest());
    t.throws(() => lab.accept(listener).recv(1), { code: 'ECONNRESET' });
  });

  t.test('what a socket still wanted to say is forgotten', async (t) => {
    const lab = new Lab({ guests: 2, policy: 'siblings' });
    const { client, server } = lab.pair('stream', lab.stack(3), lab.stack(4));
    client.send(utf8('x'));
    client.shutdown('write');
    server.shutdown('read');
    lab.network.resetGuest(lab.guest(4));
    lab.settle();
    t.same(lab.tapLog(), []);
  });

  t.test('a guest without a CID has nothing to reset', async (t) => {
    const lab = new Lab({ guests: 0 });
    const guest = lab.network.addGuest();
    lab.network.resetGuest(guest);
    t.equal(guest.cid, undefined);
    t.equal(guest.stack.cid, VMADDR_CID_ANY);
  });
});

t.test('the removal of a VM ends its listeners and wakes who waits at them', async (t) => {
  const lab = new Lab();
  const listener = lab.listen(lab.stack());
  const own = lab.connect(lab.stack(), 1);
  lab.network.woken.clear();
  const { stack } = lab.guest();
  lab.network.removeGuest(lab.guest());
  t.ok(lab.network.woken.has(listener));
  t.equal(listener.takeError(), 'ECONNRESET');
  t.same(ends(own), END_OF_RESET, 'its loopback has ended too');
  t.equal(stack.sockets().size, 0);
});

t.test('a connection to a host port without a listener', async (t) => {
  /** A guest's connection that waits to be claimed. */
  const waiting = () => {
    const lab = new Lab({ defers: true });
    const client = lab.connect(lab.stack(), 2);
    const [deferred] = lab.network.deferred;
    if (deferred === undefined) throw new Error('nothing waits');
    return { lab, client, deferred };
  };

  t.test('waits, and stands once it is claimed', async (t) => {
    const { lab, client, deferred } = waiting();
    t.equal(client.state, 'connecting');
    t.same(deferred.peer, { cid: 3, port: client.local.port });
    lab.advance(1000);
    t.ok(lab.host.claim(deferred));
    lab.settle();
    t.equal(client.state, 'connected');
    client.send(utf8('hello'));
    lab.advance(10_000);
    t.equal(text(deferred.recv(10)), 'hello');
    t.notOk(lab.host.claim(deferred), 'it can be claimed once');
  });

  t.test('is reset when it is refused', async (t) => {
    const { lab, client, deferred } = waiting();
    lab.host.refuse(deferred);
    lab.settle();
    t.equal(client.takeError(), 'ECONNRESET');
    t.equal(lab.host.sockets().size, 0);
    lab.host.refuse(deferred);
    t.notOk(lab.host.claim(deferred));
    client.close();
    t.equal(lab.deadlines.size, 0);
  });

  t.test('is refused when nobody claims it for 2 s', async (t) => {
    const { lab, client, deferred } = waiting();
    lab.advance(2000);
    t.equal(client.takeError(), 'ETIMEDOUT');
    t.notOk(lab.host.claim(deferred));
    t.equal(lab.host.sockets().size, 0);
    t.equal(lab.deadlines.size, 0);
  });

  t.test('is forgotten when its peer resets it', async (t) => {
    const lab = new Lab({ defers: true });
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_REQUEST });
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_REQUEST });
    t.equal(lab.network.deferred.length, 1, 'asking twice makes one');
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST });
    const [deferred] = lab.network.deferred;
    t.notOk(deferred && lab.host.claim(deferred));
    t.equal(lab.host.sockets().size, 0);
    t.equal(lab.deadlines.size, 0);
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_REQUEST });
    t.equal(lab.network.deferred.length, 2, 'and can ask again');
  });

  t.test('is kept only for so many at a time; the others are reset at once', async (t) => {
    const lab = new Lab({ defers: true });
    const ask = (srcPort: number) => lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_REQUEST, srcPort });
    for (let i = 0; i < MAX_DEFERRED + 10; i++) ask(2000 + i);
    t.equal(lab.host.sockets().size, MAX_DEFERRED);
    const [first] = lab.network.deferred;
    if (first !== undefined) lab.host.refuse(first);
    ask(1999);
    t.equal(lab.host.sockets().size, MAX_DEFERRED, 'one that went makes room for another');
  });

  t.test('is forgotten when its VM goes', async (t) => {
    const { lab, deferred } = waiting();
    lab.network.removeGuest(lab.guest());
    t.notOk(lab.host.claim(deferred));
    t.equal(lab.host.sockets().size, 0);
    t.equal(lab.deadlines.size, 0);
  });

  t.test('is reset at once where nobody claims, and for other types and machines', async (t) => {
    const lab = new Lab({ guests: 2, defers: true, policy: 'siblings' });
    t.equal(lab.connect(lab.stack(), 2, PORT, 'seqpacket').takeError(), 'ECONNRESET');
    t.equal(lab.connect(lab.stack(3), 4).takeError(), 'ECONNRESET');
    t.equal(lab.connect(lab.host, 3).takeError(), 'ECONNRESET');
    t.equal(lab.connect(lab.host, 1).takeError(), 'ECONNRESET');
    lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RST, srcPort: RAW_PORT });
    t.equal(lab.network.deferred.length, 0);
  });
});
