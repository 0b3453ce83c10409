import t from 'tap';
import {
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
} from '../../../../src/core/abi/vm-sockets.js';
import { type Caller, ROOT } from '../../../../src/core/simulator/node.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../../../src/core/simulator/vsock/stack.js';
import { codeOf } from '../../../helpers/vmm.js';
import { Lab, PORT, text, USER, utf8, virtio } from '../../../helpers/vsock.js';

/** The code that binding a new socket gives, or `ok`. */
function bindCode(stack: Stack, cid: number, port: number, caller: Caller = ROOT): string {
  return codeOf(() => stack.bind(stack.socket('stream', caller), { cid, port }));
}

/** The code that connecting a new socket to `cid` gives at once, or `ok`. */
function dialCode(stack: Stack, cid: number): string {
  return codeOf(() => stack.connect(stack.socket('stream', ROOT), { cid, port: PORT }));
}

t.test('socket', async (t) => {
  const { host } = new Lab();
  t.equal(host.socket('stream', ROOT).state, 'closed');
  t.equal(host.socket('seqpacket', ROOT).type, 'seqpacket');
  t.throws(() => host.socket('dgram', ROOT), { code: 'ENODEV' }, 'virtio has no datagrams');
  const old = new Lab({ profile: 'patchset-2015' }).host;
  t.equal(old.socket('dgram', ROOT).type, 'dgram');
  t.throws(() => old.socket('seqpacket', ROOT), { code: 'ESOCKTNOSUPPORT' });
});

t.test('bind', async (t) => {
  t.test('takes the CIDs of the machine, and ANY', async (t) => {
    const lab = new Lab();
    for (const cid of [VMADDR_CID_HOST, VMADDR_CID_LOCAL, VMADDR_CID_ANY]) {
      t.equal(bindCode(lab.host, cid, 2000 + (cid & 0xff)), 'ok');
    }
    for (const cid of [3, VMADDR_CID_LOCAL, VMADDR_CID_ANY]) {
      t.equal(bindCode(lab.stack(), cid, 2000 + (cid & 0xff)), 'ok');
    }
  });

  t.test("gives EADDRNOTAVAIL for a CID that is not the machine's", async (t) => {
    const lab = new Lab({ guests: 2 });
    for (const cid of [0, 3, 4, 9]) t.equal(bindCode(lab.host, cid, 2000), 'EADDRNOTAVAIL');
    for (const cid of [0, 2, 4, 9]) t.equal(bindCode(lab.stack(), cid, 2000), 'EADDRNOTAVAIL');
  });

  t.test('gives EINVAL the second time', async (t) => {
    const { host } = new Lab();
    const socket = host.socket('stream', ROOT);
    host.bind(socket, { cid: VMADDR_CID_ANY, port: PORT });
    t.throws(() => host.bind(socket, { cid: VMADDR_CID_ANY, port: PORT + 1 }), { code: 'EINVAL' });
  });

  t.test(
    'gives EADDRINUSE for an address that is taken: ANY takes a port at all CIDs',
    async (t) => {
      const { host } = new Lab();
      t.equal(bindCode(host, VMADDR_CID_HOST, 3000), 'ok');
      t.equal(bindCode(host, VMADDR_CID_HOST, 3000), 'EADDRINUSE');
      t.equal(bindCode(host, VMADDR_CID_ANY, 3000), 'EADDRINUSE', 'ANY after a specific one');
      t.equal(bindCode(host, VMADDR_CID_LOCAL, 3000), 'ok', 'two specific ones may differ');
      t.equal(bindCode(host, VMADDR_CID_ANY, 3001), 'ok');
      t.equal(bindCode(host, VMADDR_CID_HOST, 3001), 'EADDRINUSE', 'a specific one after ANY');
    },
  );

  t.test('has one space of ports for STREAM and SEQPACKET', async (t) => {
    const { host } = new Lab();
    t.equal(bindCode(host, VMADDR_CID_ANY, PORT), 'ok');
    const seqpacket = host.socket('seqpacket', ROOT);
    const address = { cid: VMADDR_CID_ANY, port: PORT };
    t.throws(() => host.bind(seqpacket, address), { code: 'EADDRINUSE' });
  });

  t.test('gives EACCES for ports up to 1023 without CAP_NET_BIND_SERVICE', async (t) => {
    const { host } = new Lab();
    t.equal(bindCode(host, VMADDR_CID_ANY, 1023, USER), 'EACCES');
    t.equal(bindCode(host, VMADDR_CID_ANY, 0, USER), 'EACCES', '0 is a real port');
    t.equal(bindCode(host, VMADDR_CID_ANY, 1024, USER), 'ok');
    const service = { ...USER, capabilities: new Set(['CAP_NET_BIND_SERVICE']) };
    t.equal(bindCode(host, VMADDR_CID_ANY, 1023, service), 'ok');
    t.equal(bindCode(host, VMADDR_CID_ANY, 0, service), 'ok');
  });

  t.test('port 0 is not "any": it is taken once it is bound', async (t) => {
    const { host } = new Lab();
    t.equal(bindCode(host, VMADDR_CID_ANY, 0), 'ok');
    t.equal(bindCode(host, VMADDR_CID_ANY, 0), 'EADDRINUSE');
  });

  t.test('a port can be used again after close', async (t) => {
    const { host } = new Lab();
    const socket = host.socket('stream', ROOT);
    host.bind(socket, { cid: VMADDR_CID_ANY, port: PORT });
    socket.close();
    t.equal(bindCode(host, VMADDR_CID_ANY, PORT), 'ok');
  });
});

t.test('listen', async (t) => {
  const lab = new Lab();
  const { host } = lab;
  const socket = host.socket('stream', ROOT);
  t.throws(() => host.listen(socket, 1), { code: 'EINVAL' }, 'unbound');
  host.bind(socket, { cid: VMADDR_CID_ANY, port: PORT });
  t.throws(() => host.accept(socket), { code: 'EINVAL' }, 'accept before listen');
  host.listen(socket, 1);
  t.equal(host.accept(socket), undefined);
  host.listen(socket, -5);
  t.equal(
    socket.backlog,
    4096,
    'a second listen changes the backlog; a negative one is the largest',
  );
  host.listen(socket, 1_000_000);
  t.equal(socket.backlog, 4096, 'or above somaxconn');
  const client = lab.connect(lab.stack(), 2);
  t.throws(() => lab.stack().listen(client, 1), { code: 'EINVAL' }, 'a connected socket');
  const { host: old } = new Lab({ profile: 'patchset-2015' });
  t.throws(() => old.listen(old.socket('dgram', ROOT), 1), { code: 'EOPNOTSUPP' });
});

t.test('connect', async (t) => {
  t.test('gives ENODEV where no transport leads', async (t) => {
    const { host } = new Lab();
    for (const cid of [0, 9, VMADDR_CID_ANY]) t.equal(dialCode(host, cid), 'ENODEV');
    const lab = new Lab();
    const bare = lab.network.addGuest();
    for (const cid of [0, 2, 4, VMADDR_CID_ANY]) t.equal(dialCode(bare.stack, cid), 'ENODEV');
  });

  t.test('in a guest sends a REQUEST to whatever CID: its device decides', async (t) => {
    const lab = new Lab();
    for (const cid of [0, 2, 4, VMADDR_CID_ANY]) {
      t.equal(dialCode(lab.stack(), cid), 'ok');
      lab.settle();
      t.same(lab.packets.splice(0)[0]?.dstCid, cid);
    }
  });

  t.test('gives ECONNRESET, never ECONNREFUSED, for a RST', async (t) => {
    const lab = new Lab();
    t.equal(lab.connect(lab.stack(), 2).takeError(), 'ECONNRESET', 'no listener');
    const bound = lab.host.socket('stream', ROOT);
    lab.host.bind(bound, { cid: VMADDR_CID_ANY, port: PORT });
    t.equal(lab.connect(lab.stack(), 2).takeError(), 'ECONNRESET', 'bound but not listening');
    lab.host.listen(bound, 0);
    t.equal(lab.connect(lab.stack(), 2, PORT, 'seqpacket').takeError(), 'ECONNRESET', 'wrong type');
    t.equal(lab.connect(lab.stack(), 2).takeError(), undefined);
    t.equal(lab.connect(lab.stack(), 2).takeError(), 'ECONNRESET', 'backlog full');
  });

  t.test('gives ETIMEDOUT after 2 s of silence, and sends no RST', async (t) => {
    const lab = new Lab({ guests: 2 });
    const socket = lab.connect(lab.stack(3), 4);
    lab.advance(1999);
    t.equal(socket.state, 'connecting');
    lab.advance(1);
    t.equal(socket.state, 'closed');
    t.equal(socket.takeError(), 'ETIMEDOUT');
    t.same(lab.tapLog(), ['REQUEST']);
  });

  t.test('waits as long as the socket was told to', async (t) => {
    const lab = new Lab({ guests: 2 });
    const socket = lab.stack().socket('stream', ROOT);
    socket.connectTimeoutMs = 150;
    lab.stack().connect(socket, { cid: 4, port: PORT });
    lab.advance(149);
    t.equal(socket.error, undefined);
    lab.advance(1);
    t.equal(socket.takeError(), 'ETIMEDOUT');
  });

  t.test('gives EPROTO for the own bound address', async (t) => {
    const lab = new Lab();
    const socket = lab.host.socket('stream', ROOT);
    lab.host.bind(socket, { cid: VMADDR_CID_ANY, port: PORT });
    lab.host.connect(socket, { cid: VMADDR_CID_LOCAL, port: PORT });
    lab.settle();
    t.equal(socket.takeError(), 'EPROTO');
    t.equal(socket.state, 'closed');
  });

  t.test('gives EALREADY, EISCONN or EINVAL where it makes no sense', async (t) => {
    const lab = new Lab();
    const stack = lab.stack();
    const listener = lab.listen(lab.host);
    const address = { cid: 2, port: PORT };
    const socket = lab.dial(stack, 2);
    t.throws(() => stack.connect(socket, address), { code: 'EALREADY' });
    lab.settle();
    t.throws(() => stack.connect(socket, address), { code: 'EISCONN' });
    t.throws(() => lab.host.connect(listener, { cid: 3, port: PORT }), { code: 'EINVAL' });
    lab.accept(listener).close();
    lab.settle();
    t.equal(text(socket.recv(1)), 'end');
    t.throws(
      () => stack.connect(socket, address),
      { code: 'EISCONN' },
      'a connection that is over',
    );
    const other = lab.connect(stack, 2);
    other.shutdown('write');
    t.throws(() => stack.connect(other, address), { code: 'EINVAL' }, 'one that was shut down');
  });

  t.test('can be tried again after it failed, from the same port', async (t) => {
    const lab = new Lab();
    const stack = lab.stack();
    const socket = lab.connect(stack, 2);
    const { port } = socket.local;
    t.equal(socket.takeError(), 'ECONNRESET');
    lab.listen(lab.host);
    stack.connect(socket, { cid: 2, port: PORT });
    lab.settle();
    t.equal(socket.state, 'connected');
    t.equal(socket.local.port, port);
  });

  t.test('forgets the error of the time before', async (t) => {
    const lab = new Lab();
    const socket = lab.connect(lab.stack(), 2);
    t.equal(socket.error, 'ECONNRESET');
    lab.listen(lab.host);
    lab.stack().connect(socket, { cid: 2, port: PORT });
    lab.settle();
    t.equal(socket.error, undefined);
  });

  t.test('uses the port that the socket is bound to', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.host);
    const socket = lab.stack().socket('stream', ROOT);
    lab.stack().bind(socket, { cid: VMADDR_CID_ANY, port: 1234 });
    lab.stack().connect(socket, { cid: 2, port: PORT });
    lab.settle();
    t.same(lab.accept(listener).peer, { cid: 3, port: 1234 });
  });

  t.test('that is closed before it stands leaves nothing behind', async (t) => {
    const lab = new Lab();
    const listener = lab.listen(lab.host);
    lab.dial(lab.stack(), 2).close();
    lab.settle();
    t.same(lab.tapLog(), ['REQUEST', 'RESPONSE', 'RST']);
    t.equal(lab.stack().sockets().size, 0);
    t.equal(lab.deadlines.size, 0);
    t.equal(text(lab.accept(listener).recv(1)), 'end');
  });
});

t.test('loopback', async (t) => {
  const both = (stack: Stack, cid: number, lab: Lab): { client: Socket; server: Socket } => {
    const listener = lab.listen(stack);
    const client = lab.connect(stack, cid);
    return { client, server: lab.accept(listener) };
  };

  for (const [who, own] of [
    ['the host', VMADDR_CID_HOST],
    ['a guest', 3],
  ] as const) {
    for (const cid of [VMADDR_CID_LOCAL, own]) {
      t.test(`${who} reaches itself at CID ${cid}`, async (t) => {
        const lab = new Lab();
        const stack = own === VMADDR_CID_HOST ? lab.host : lab.stack();
        const { client, server } = both(stack, cid, lab);
        t.equal(client.local.cid, VMADDR_CID_ANY, 'the local CID of a client stays ANY');
        t.equal(server.local.cid, cid);
        t.equal(server.peer?.cid, VMADDR_CID_LOCAL, 'whichever CID was dialled');
        client.send(utf8('ping'));
        lab.settle();
        t.equal(text(server.recv(10)), 'ping');
        server.send(utf8('pong'));
        lab.settle();
        t.equal(text(client.recv(10)), 'pong');
      });
    }
  }

  t.test('keeps machines apart', async (t) => {
    const lab = new Lab();
    lab.listen(lab.host, PORT, { cid: VMADDR_CID_LOCAL });
    t.equal(lab.connect(lab.stack(), 1).takeError(), 'ECONNRESET', 'a guest has its own CID 1');
    t.equal(lab.connect(lab.stack(), 2).takeError(), 'ECONNRESET', 'the host listens only at 1');
    t.equal(lab.connect(lab.host, 1).state, 'connected');
  });

  t.test('works in a guest without a CID', async (t) => {
    const lab = new Lab({ guests: 0 });
    const { stack } = lab.network.addGuest();
    t.equal(stack.cid, VMADDR_CID_ANY);
    const { server } = both(stack, VMADDR_CID_LOCAL, lab);
    t.equal(server.state, 'connected');
  });
});

t.test('a child', async (t) => {
  const lab = new Lab();
  const listener = lab.listen(lab.host);
  listener.setBuffer('max', 1_000_000);
  listener.setBuffer('min', 4096);
  listener.setBuffer('size', 500_000);
  listener.connectTimeoutMs = 77;
  const client = lab.connect(lab.stack(), 2);
  const child = lab.accept(listener);
  t.equal(child.bufferSize, 500_000, "inherits the sizes of its listener's buffer");
  t.equal(child.bufferMin, 4096);
  t.equal(child.bufferMax, 1_000_000);
  t.equal(child.connectTimeoutMs, 77);
  t.equal(virtio(client).credit.peerBufAlloc, 500_000, 'and its peer knows');
});

t.test('automatic ports', async (t) => {
  const ports = (stack: Stack, count: number) =>
    Array.from({ length: count }, () => {
      const socket = stack.socket('stream', ROOT);
      stack.bind(socket, { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
      return socket.local.port;
    });
  const [first = 0, second, third] = ports(new Lab().host, 3);
  t.ok(first > 1023);
  t.same([second, third], [first + 1, first + 2], 'follow each other');
  t.same(ports(new Lab().host, 1), [first], 'begin where the seed says');
  t.not(ports(new Lab({ seed: 2 }).host, 1)[0], first);
  const lab = new Lab();
  t.notSame(ports(lab.stack(), 1), ports(lab.host, 1), 'each machine has its own beginning');
});

t.test('a machine that is gone has no transport, and its calls end', async (t) => {
  const lab = new Lab();
  const stack = lab.stack();
  const listener = lab.listen(stack);
  const idle = stack.socket('stream', ROOT);
  lab.network.removeGuest(lab.guest());
  t.equal(listener.error, 'ECONNRESET');
  t.equal(listener.state, 'closed');
  t.equal(stack.sockets().size, 0);
  t.throws(() => stack.connect(idle, { cid: 1, port: PORT }), { code: 'ENODEV' });
});
