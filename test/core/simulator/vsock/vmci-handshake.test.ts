/** How connections over VMCI are made, refused and given up, packet by packet. */
import t from 'tap';
import { VMADDR_CID_HOST } from '../../../../src/core/abi/vm-sockets.js';
import { VMCI_RESULT } from '../../../../src/core/abi/vmci-errors.js';
import * as abi from '../../../../src/core/abi/vmci-vsock.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { PENDING_TIMEOUT_MS } from '../../../../src/core/simulator/vsock/vmci-server.js';
import { PEER_CID, PEER_PORT, Peer, vmciLab } from '../../../helpers/vmci-peer.js';
import { type Lab, PORT, text, utf8 } from '../../../helpers/vsock.js';

const [REQUEST, REQUEST2] = [
  abi.VMCI_TRANSPORT_PACKET_TYPE_REQUEST,
  abi.VMCI_TRANSPORT_PACKET_TYPE_REQUEST2,
];
const [NEGOTIATE, NEGOTIATE2] = [
  abi.VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE,
  abi.VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2,
];
const [OFFER, ATTACH] = [
  abi.VMCI_TRANSPORT_PACKET_TYPE_OFFER,
  abi.VMCI_TRANSPORT_PACKET_TYPE_ATTACH,
];
const [RST, INVALID, WROTE] = [
  abi.VMCI_TRANSPORT_PACKET_TYPE_RST,
  abi.VMCI_TRANSPORT_PACKET_TYPE_INVALID,
  abi.VMCI_TRANSPORT_PACKET_TYPE_WROTE,
];
const INVALID_HANDLE = { context: 0xffffffff, resource: 0xffffffff };
const { VMCI_ERROR_NOT_FOUND, VMCI_ERROR_NO_ACCESS } = VMCI_RESULT;

/** A socket of the host that connects to the peer of a test. */
function dialing(lab: Lab, peer: Peer): Socket {
  const socket = lab.host.socket('stream', ROOT);
  lab.host.connect(socket, { cid: PEER_CID, port: PEER_PORT });
  lab.settle();
  t.equal(peer.last().type, REQUEST2);
  return socket;
}

/** What the peer says to the host's socket. */
function answer(peer: Peer, type: number, words = {}): number {
  return peer.say(type, words, peer.last().from.port);
}

t.test('who asks', async (t) => {
  t.test('says how large its queues are, and which news it understands', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = lab.host.socket('stream', ROOT);
    socket.setBuffer('size', 5000);
    lab.host.connect(socket, { cid: PEER_CID, port: PEER_PORT });
    const { type, size, proto, to, from } = peer.last();
    t.same({ type, size, proto }, { type: REQUEST2, size: 5000, proto: 1 });
    t.same(to, { cid: PEER_CID, port: PEER_PORT });
    t.same(from, { cid: VMADDR_CID_HOST, port: socket.local.port });
  });

  t.test('makes the queue pair, and is connected when the other end has attached', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = dialing(lab, peer);
    answer(peer, NEGOTIATE2, { size: 1000, proto: 1 });
    const { type, handle } = peer.last();
    t.equal(type, OFFER);
    t.equal(socket.state, 'connecting');
    const { queues } = peer.pair(1000, handle);
    answer(peer, ATTACH, { handle });
    t.equal(socket.state, 'connected');
    t.equal(socket.send(new Uint8Array(2000)), 999, 'a queue takes one byte less than its size');
    t.equal(queues.consume.bufReady, 999);
  });

  for (const [what, type, words, code] of [
    ['a size below its minimum', NEGOTIATE2, { size: 127, proto: 1 }, 'EINVAL'],
    ['a size over its maximum', NEGOTIATE2, { size: 262_145, proto: 1 }, 'EINVAL'],
    ['no size', NEGOTIATE2, { size: 0, proto: 1 }, 'EPROTO'],
    ['an unknown protocol', NEGOTIATE2, { size: 4096, proto: 2 }, 'EINVAL'],
    ['ATTACH to no queue pair', ATTACH, { handle: { context: 2, resource: 1024 } }, 'EPROTO'],
    ['ATTACH without a handle', ATTACH, { handle: INVALID_HANDLE }, 'EPROTO'],
    ['news of data', WROTE, {}, 'EPROTO'],
    ['a request', REQUEST2, { size: 4096, proto: 1 }, 'EPROTO'],
  ] as const) {
    t.test(`answers RST to ${what}: ${code}`, async (t) => {
      const lab = vmciLab();
      const peer = new Peer(lab);
      const socket = dialing(lab, peer);
      answer(peer, type, words);
      t.equal(socket.state, 'closed');
      t.equal(socket.takeError(), code);
      t.same(peer.log(), ['REQUEST2', 'RST']);
      t.same(lab.vmci.host.queuePairs(), []);
      socket.close();
      t.equal(lab.host.sockets().size + lab.deadlines.size, 0);
    });
  }

  t.test('answers RST to a second NEGOTIATE, and to one of somebody else', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const twice = dialing(lab, peer);
    answer(peer, NEGOTIATE2, { size: 1000, proto: 1 });
    answer(peer, NEGOTIATE2, { size: 1000, proto: 1 });
    t.equal(twice.takeError(), 'EPROTO');
    t.same(peer.log(), ['REQUEST2', 'OFFER', 'RST']);
    const foreign = dialing(lab, peer);
    peer.say(NEGOTIATE2, { size: 1000, proto: 1 }, foreign.local.port, PEER_PORT + 1);
    t.equal(foreign.takeError(), 'EPROTO');
    t.same(lab.vmci.host.queuePairs(), []);
  });

  t.test('takes a RST as a refusal, and does not answer it', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = dialing(lab, peer);
    answer(peer, RST);
    t.equal(socket.takeError(), 'ECONNRESET');
    t.same(peer.log(), ['REQUEST2']);
  });

  t.test('asks in the old way whoever does not know the new one', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = dialing(lab, peer);
    answer(peer, INVALID);
    const { type, size, proto } = peer.last();
    t.same({ type, size, proto }, { type: REQUEST, size: 262_144, proto: 0 });
    answer(peer, RST);
    t.equal(socket.state, 'connecting', 'one RST after that means nothing');
    answer(peer, NEGOTIATE, { size: 4096 });
    const { handle } = peer.last();
    peer.pair(4096, handle);
    answer(peer, ATTACH, { handle });
    t.equal(socket.state, 'connected');
    t.same(peer.log(), ['REQUEST2', 'REQUEST', 'OFFER']);
  });

  t.test('takes the second RST after INVALID as a refusal, and no second INVALID', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = dialing(lab, peer);
    for (const type of [INVALID, INVALID, RST]) answer(peer, type);
    t.equal(socket.state, 'connecting');
    answer(peer, RST);
    t.equal(socket.takeError(), 'ECONNRESET');
    t.same(peer.log(), ['REQUEST2', 'REQUEST']);
  });

  t.test('waits two seconds for an answer', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = dialing(lab, peer);
    answer(peer, NEGOTIATE2, { size: 1000, proto: 1 });
    lab.advance(1999);
    t.equal(socket.state, 'connecting');
    lab.advance(1);
    t.equal(socket.takeError(), 'ETIMEDOUT');
    t.same(lab.vmci.host.queuePairs(), [], 'and leaves the queue pair then');
    lab.host.connect(socket, { cid: PEER_CID, port: PEER_PORT });
    t.equal(peer.last().type, REQUEST2, 'it may try again');
  });

  t.test('is refused when the other end goes while the connection is made', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const socket = dialing(lab, peer);
    answer(peer, NEGOTIATE2, { size: 1000, proto: 1 });
    const { pair } = peer.pair(1000, peer.last().handle);
    pair.detach();
    lab.settle();
    t.equal(socket.takeError(), 'ECONNRESET');
  });
});

t.test('a listener', async (t) => {
  const words = { size: 4096, proto: 1 };

  for (const [what, size, agreed] of [
    ['that is within its bounds', 128, 128],
    ['at its maximum', 262_144, 262_144],
    ['that is too small', 127, 262_144],
    ['that is too large', 2 ** 40, 262_144],
  ] as const) {
    t.test(`takes a size ${what}, or its own: ${size} gives ${agreed}`, async (t) => {
      const lab = vmciLab();
      const peer = new Peer(lab);
      lab.listen(lab.host);
      peer.say(REQUEST2, { size, proto: 1 });
      const { type, size: said, proto } = peer.last();
      t.same({ type, said, proto }, { type: NEGOTIATE2, said: agreed, proto: 1 });
    });
  }

  t.test('answers in the generation that it was asked in', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    lab.listen(lab.host);
    peer.say(REQUEST, { size: 4096 });
    const { type, proto } = peer.last();
    t.same({ type, proto }, { type: NEGOTIATE, proto: 0 });
    peer.say(REQUEST2, { size: 4096, proto: 0xffff }, PORT, PEER_PORT + 1);
    t.equal(peer.last().proto, 1, 'with the highest protocol that both know');
  });

  t.test('has a connection once it has attached', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const listener = lab.listen(lab.host);
    peer.say(REQUEST2, words);
    t.equal(listener.acceptQueue.length, 0);
    const { pair, queues } = peer.pair(4096);
    peer.say(OFFER, { handle: pair.handle });
    t.same(peer.log(), ['NEGOTIATE2', 'ATTACH']);
    const server = lab.accept(listener);
    t.same(server.peer, { cid: PEER_CID, port: PEER_PORT });
    t.equal(server.bufferSize, 4096);
    queues.produce.enqueue(utf8('hello'));
    t.equal(text(server.recv(10)), 'hello');
  });

  for (const [what, type, said] of [
    ['an offer of nothing', OFFER, { handle: INVALID_HANDLE }],
    ['an offer of a pair that there is not', OFFER, { handle: { context: 9, resource: 5 } }],
    ['another request', REQUEST2, words],
    ['news of data', WROTE, {}],
  ] as const) {
    t.test(`gives up a child for ${what}`, async (t) => {
      const lab = vmciLab();
      const peer = new Peer(lab);
      const listener = lab.listen(lab.host, PORT, { backlog: 1 });
      peer.say(REQUEST2, words);
      peer.say(type, said);
      t.same(peer.log(), ['NEGOTIATE2', 'RST']);
      t.equal(lab.deadlines.size, 0);
      peer.say(REQUEST2, words);
      t.same(peer.log(), ['NEGOTIATE2'], 'and has room again');
      t.equal(listener.acceptQueue.length, 0);
    });
  }

  t.test('gives up a child without an answer when its client says RST', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    lab.listen(lab.host);
    peer.say(REQUEST2, words);
    peer.say(RST);
    t.same(peer.log(), ['NEGOTIATE2']);
    t.equal(lab.deadlines.size, 0);
  });

  t.test('gives up an attempt to attach with the wrong size', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    lab.listen(lab.host);
    peer.say(REQUEST2, words);
    const { pair } = peer.pair(2048);
    peer.say(OFFER, { handle: pair.handle });
    t.same(peer.log(), ['NEGOTIATE2', 'RST']);
    t.equal(lab.host.sockets().size, 1, 'only the listener is left');
  });

  t.test('waits a second for the offer', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    lab.listen(lab.host);
    peer.say(REQUEST2, words);
    lab.advance(PENDING_TIMEOUT_MS);
    const { pair } = peer.pair(4096);
    t.equal(peer.say(OFFER, { handle: pair.handle }), 56);
    t.same(peer.log(), ['NEGOTIATE2', 'RST']);
  });

  t.test('has as many waiting as its backlog says, those being made too', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const listener = lab.listen(lab.host, PORT, { backlog: 2 });
    for (const from of [1, 2, 3]) peer.say(REQUEST2, words, PORT, from);
    t.same(peer.log(), ['NEGOTIATE2', 'NEGOTIATE2', 'RST']);
    const { pair } = peer.pair(4096);
    peer.say(OFFER, { handle: pair.handle }, PORT, 1);
    peer.say(REQUEST2, words, PORT, 3);
    t.same(peer.log(), ['ATTACH', 'RST']);
    lab.accept(listener);
    peer.say(REQUEST2, words, PORT, 3);
    t.same(peer.log(), ['NEGOTIATE2']);
  });

  t.test('of seqpacket takes none', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    lab.listen(lab.host, PORT, { type: 'seqpacket' });
    peer.say(REQUEST2, words);
    t.same(peer.log(), ['RST']);
  });

  t.test('that is closed knows its children no more', async (t) => {
    const lab = vmciLab();
    const peer = new Peer(lab);
    const listener = lab.listen(lab.host);
    peer.say(REQUEST2, words);
    listener.close();
    const { pair } = peer.pair(4096);
    t.equal(peer.say(OFFER, { handle: pair.handle }), VMCI_ERROR_NOT_FOUND);
    t.same(peer.log(), ['NEGOTIATE2', 'RST']);
    lab.advance(PENDING_TIMEOUT_MS);
    t.equal(lab.deadlines.size, 0);
  });
});

t.test('RST is never answered by RST', async (t) => {
  const lab = vmciLab();
  const peer = new Peer(lab);
  t.equal(peer.say(RST, {}, 1), VMCI_ERROR_NOT_FOUND, 'to nobody');
  const bound = lab.host.socket('stream', ROOT);
  lab.host.bind(bound, { cid: 0xffffffff, port: PORT });
  peer.say(RST);
  peer.say(WROTE);
  t.same(peer.log(), ['RST'], 'to a socket that does not listen');
});

t.test('control packets come from the resource for them', async (t) => {
  const lab = vmciLab();
  const peer = new Peer(lab);
  lab.listen(lab.host);
  const { driver } = peer.vmci;
  const other = driver.createDatagramHandle(77, 0, 0, () => 0);
  t.type(other, 'object');
  const payload = new Uint8Array(32);
  const dst = { context: VMADDR_CID_HOST, resource: 1 };
  const src = { context: PEER_CID, resource: 77 };
  t.equal(driver.sendDatagram({ dst, src, payload }), VMCI_ERROR_NO_ACCESS);
});

t.test('a connection to a port without a listener', async (t) => {
  const begin = () => {
    const lab = vmciLab({ defers: true });
    const client = lab.dial(lab.stack(), VMADDR_CID_HOST, 4000);
    lab.settle();
    const [waiting] = lab.network.deferred;
    if (waiting === undefined) throw new Error('nothing waits');
    return { lab, client, waiting };
  };

  t.test('stands when somebody claims it', async (t) => {
    const { lab, client, waiting } = begin();
    t.equal(client.state, 'connecting');
    t.same(waiting.peer, { cid: 3, port: client.local.port });
    t.ok(lab.host.claim(waiting));
    t.equal(waiting.state, 'connected');
    waiting.send(utf8('welcome'));
    lab.settle();
    t.equal(client.state, 'connected');
    t.equal(text(client.recv(10)), 'welcome');
  });

  t.test('is refused by RST', async (t) => {
    const { lab, client, waiting } = begin();
    lab.host.refuse(waiting);
    lab.settle();
    t.equal(client.takeError(), 'ECONNRESET');
    t.equal(lab.host.sockets().size + lab.deadlines.size, 0);
  });

  t.test('is refused when nobody claims it in time', async (t) => {
    const lab = vmciLab({ defers: true });
    const client = lab.stack().socket('stream', ROOT);
    client.setConnectTimeout(10_000);
    lab.stack().connect(client, { cid: VMADDR_CID_HOST, port: 4000 });
    lab.advance(2000);
    t.equal(client.takeError(), 'ECONNRESET');
  });

  t.test("can't be claimed when its client is gone", async (t) => {
    const { lab, client, waiting } = begin();
    client.close();
    lab.settle();
    t.notOk(lab.host.claim(waiting));
    lab.settle();
    t.equal(lab.host.sockets().size + lab.deadlines.size, 0);
    t.same(lab.vmci.host.queuePairs(), []);
  });

  t.test('of a program is refused at once: nobody offers it sockets', async (t) => {
    const lab = vmciLab({ defers: true });
    const peer = new Peer(lab);
    t.equal(peer.say(REQUEST2, { size: 4096, proto: 1 }), VMCI_ERROR_NOT_FOUND);
    t.same(peer.log(), ['RST']);
  });
});
