import fc from 'fast-check';
import t from 'tap';
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
} from '../../../../src/core/abi/virtio-vsock.js';
import {
  Credit,
  counterDifference,
  counterSum,
} from '../../../../src/core/simulator/vsock/credit.js';
import { VSOCK_PROFILES } from '../../../../src/core/simulator/vsock/profile.js';
import { Lab, utf8, virtio } from '../../../helpers/vsock.js';

const LINUX = VSOCK_PROFILES['linux-6.12'];
const LINUX_6_1 = VSOCK_PROFILES['linux-6.1'];
const KIB = 1024;
const WINDOW = 256 * KIB;

t.test('counters are 32 bits wide and wrap', async (t) => {
  t.equal(counterSum(0xffffffff, 1), 0);
  t.equal(counterSum(0xfffffff0, 0x20), 0x10);
  t.equal(counterDifference(0x10, 0xfffffff0), 0x20);
  t.equal(counterDifference(0, 0), 0);
});

t.test('the window is what the peer has announced less what is in flight', async (t) => {
  const credit = new Credit(WINDOW);
  t.equal(credit.sendable(LINUX), 0, 'nothing before the peer was heard');
  credit.heard(1000, 0);
  t.equal(credit.sendable(LINUX), 1000);
  credit.reserve(400);
  t.equal(credit.inFlight(), 400);
  t.equal(credit.sendable(LINUX), 600);
  credit.heard(1000, 300);
  t.equal(credit.sendable(LINUX), 900);
  credit.heard(50, 300);
  t.equal(credit.sendable(LINUX), 0, 'a window that shrinks below what is in flight is empty');
});

t.test(
  'Linux also bounds the window by the own buffer, the patch set of 2015 does not',
  async (t) => {
    const credit = new Credit(1000);
    credit.heard(5000, 0);
    t.equal(credit.sendable(LINUX), 1000);
    t.equal(credit.sendable(LINUX_6_1), 1000);
    t.equal(credit.sendable(VSOCK_PROFILES['patchset-2015']), 5000);
  },
);

t.test('a peer that reports more than it was sent gets nothing', async (t) => {
  const credit = new Credit(WINDOW);
  credit.heard(WINDOW, 1);
  t.equal(credit.sendable(LINUX), 0);
});

t.test('properties', async (t) => {
  const size = fc.integer({ min: 0, max: 100_000 });

  t.test('what may be sent is never negative, whatever the peer says', async () => {
    const u32 = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(u32, fc.array(fc.tuple(u32, u32, u32)), (bufAlloc, words) => {
        const credit = new Credit(bufAlloc);
        return words.every(([window, fwdCnt, bytes]) => {
          credit.heard(window, fwdCnt);
          credit.reserve(bytes);
          return credit.sendable(LINUX) >= 0 && credit.sendable(LINUX_6_1) >= 0;
        });
      }),
    );
  });

  t.test('two sides never overrun each other and lose no byte of the window', async () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('send' as const), bytes: size }),
      fc.record({ type: fc.constant('arrive' as const) }),
      fc.record({ type: fc.constant('read' as const), bytes: size }),
      fc.record({ type: fc.constant('news' as const) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300_000 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.array(step, { maxLength: 200 }),
        (bufAlloc, start, steps) => transfer(bufAlloc, start, steps),
      ),
    );
  });
});

type Step = { type: 'send' | 'read'; bytes: number } | { type: 'arrive' } | { type: 'news' };

/** Plays a schedule of one sender and one receiver, whose counters begin at `start`. */
function transfer(bufAlloc: number, start: number, steps: readonly Step[]): boolean {
  const sender = new Credit(0xffffffff);
  const receiver = new Credit(bufAlloc);
  sender.txCnt = start;
  receiver.fwdCnt = start;
  receiver.toldFwdCnt = start;
  sender.heard(bufAlloc, start);
  const under: number[] = [];
  const queued: { size: number; left: number }[] = [];
  const total = () => under.reduce((a, b) => a + b, 0) + receiver.bufUsed;
  for (const step of steps) {
    if (step.type === 'send') {
      const size = Math.min(step.bytes, sender.sendable(LINUX));
      sender.reserve(size);
      if (size > 0) under.push(size);
    } else if (step.type === 'arrive') {
      const size = under.shift();
      if (size === undefined) continue;
      if (!receiver.received(size)) return false;
      queued.push({ size, left: size });
    } else if (step.type === 'read') {
      const packet = queued[0];
      if (packet === undefined) continue;
      const bytes = Math.min(step.bytes, packet.left);
      receiver.read(bytes);
      packet.left -= bytes;
      if (packet.left === 0) receiver.consumed(queued.shift()?.size ?? 0);
    } else {
      receiver.told();
      sender.heard(receiver.bufAlloc, receiver.fwdCnt);
    }
    const untold = counterDifference(receiver.fwdCnt, sender.peerFwdCnt);
    if (sender.inFlight() > bufAlloc || receiver.bufUsed > bufAlloc) return false;
    if (sender.inFlight() !== total() + untold) return false;
    if (receiver.rxBytes !== queued.reduce((sum, { left }) => sum + left, 0)) return false;
  }
  return true;
}

t.test('262144 bytes are accepted, then sending would block', async (t) => {
  const lab = new Lab();
  const { client } = lab.pair();
  t.equal(client.send(new Uint8Array(1_000_000)), WINDOW);
  t.equal(client.send(new Uint8Array(1)), 0);
  lab.settle();
  t.equal(client.send(new Uint8Array(1)), 0, 'arriving is not being read');
});

t.test(
  'a writer of 4 KiB packets may go on after 200704 bytes were read in 1 KiB steps',
  async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    for (let n = 0; n < 64; n++) t.equal(client.send(new Uint8Array(4096)), 4096);
    lab.settle();
    let read = 0;
    while (virtio(client).credit.sendable(LINUX) === 0) {
      read += server.recv(1024)?.length ?? 0;
      lab.settle();
    }
    t.equal(read, 200_704);
    t.equal(virtio(client).credit.sendable(LINUX), 200_704);
  },
);

t.test('fwd_cnt moves when a whole packet has been read', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair();
  client.send(new Uint8Array(1000));
  lab.settle();
  server.recv(999);
  t.equal(virtio(server).credit.fwdCnt, 0);
  t.equal(virtio(server).credit.rxBytes, 1);
  t.equal(virtio(server).credit.bufUsed, 1000);
  server.recv(1);
  t.equal(virtio(server).credit.fwdCnt, 1000);
  t.equal(virtio(server).credit.bufUsed, 0);
});

t.test('a stream reader sends CREDIT_UPDATE', async (t) => {
  t.test('when it has read all there is', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('abc'));
    lab.settle();
    lab.tapLog();
    server.recv(2);
    lab.settle();
    t.same(lab.tapLog(), [], 'not for a part of a packet');
    server.recv(1);
    lab.settle();
    t.match(lab.packets[0], { op: VIRTIO_VSOCK_OP_CREDIT_UPDATE, fwdCnt: 3 });
    t.equal(lab.packets.length, 1);
  });

  t.test('not while data waits and the peer sees room for a full packet', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    for (let n = 0; n < 4; n++) client.send(new Uint8Array(64 * KIB));
    lab.settle();
    lab.tapLog();
    for (let n = 0; n < 3; n++) server.recv(64 * KIB);
    lab.settle();
    t.same(lab.tapLog(), [], 'the peer sees exactly 64 KiB of room');
    server.recv(64 * KIB);
    lab.settle();
    t.same(lab.tapLog(), ['CREDIT_UPDATE']);
  });

  t.test('when the peer sees less than 64 KiB of room, though data waits', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('x'.repeat(200)));
    for (let n = 0; n < 4; n++) client.send(new Uint8Array(64 * KIB - 60));
    lab.settle();
    lab.tapLog();
    server.recv(200);
    for (let n = 0; n < 3; n++) server.recv(64 * KIB);
    lab.settle();
    t.same(lab.tapLog(), ['CREDIT_UPDATE']);
    t.ok(virtio(server).credit.rxBytes > 0);
  });

  t.test('not when another packet has carried the news', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('abc'));
    lab.settle();
    lab.tapLog();
    server.recv(3);
    server.send(utf8('answer'));
    lab.settle();
    t.same(lab.tapLog(), ['RW']);
    t.equal(virtio(client).credit.peerFwdCnt, 3);
  });

  t.test('not after the peer has shut down fully', async (t) => {
    const lab = new Lab();
    const { client, server } = lab.pair();
    client.send(utf8('abc'));
    client.close();
    lab.settle();
    lab.tapLog();
    server.recv(3);
    lab.settle();
    t.same(lab.tapLog(), []);
  });

  t.test('after each read in the patch set of 2015', async (t) => {
    const lab = new Lab({ profile: 'patchset-2015' });
    const { client, server } = lab.pair('stream', lab.host, lab.stack());
    client.send(new Uint8Array(1000));
    client.send(new Uint8Array(1000));
    lab.settle();
    lab.tapLog();
    server.recv(1000);
    lab.settle();
    t.same(lab.tapLog(), ['CREDIT_UPDATE']);
  });
});

t.test('a seqpacket reader sends CREDIT_UPDATE after each message', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair('seqpacket');
  for (let n = 0; n < 3; n++) client.sendMessage(utf8('abc'));
  lab.settle();
  lab.tapLog();
  for (let n = 0; n < 3; n++) {
    server.recvMessage();
    lab.settle();
    t.same(lab.tapLog(), ['CREDIT_UPDATE']);
  }
});

t.test('every packet carries both counters', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair();
  client.send(new Uint8Array(500));
  lab.settle();
  server.recv(500);
  server.send(utf8('x'));
  server.shutdown('write');
  lab.settle();
  const own = lab.packets.filter(({ srcCid }) => srcCid === 2);
  t.same(
    own.map(({ bufAlloc, fwdCnt }) => [bufAlloc, fwdCnt]),
    [
      [WINDOW, 500],
      [WINDOW, 500],
    ],
  );
});

t.test('REQUEST and RESPONSE open the windows', async (t) => {
  const lab = new Lab();
  const listener = lab.listen(lab.host);
  lab.raw(lab.ownDriver(), { op: VIRTIO_VSOCK_OP_REQUEST, bufAlloc: 77 });
  t.equal(lab.packets[1]?.bufAlloc, WINDOW);
  t.equal(lab.accept(listener).send(new Uint8Array(1000)), 77);
});

t.test('a connection lives on when its counters wrap', async (t) => {
  const lab = new Lab();
  const { client, server } = lab.pair();
  const start = 0xffffffff - 100_000;
  for (const { credit } of [virtio(client), virtio(server)]) {
    Object.assign(credit, { txCnt: start, peerFwdCnt: start, fwdCnt: start, toldFwdCnt: start });
  }
  let received = 0;
  for (let n = 0; n < 10; n++) {
    t.equal(client.send(new Uint8Array(60_000)), 60_000);
    lab.settle();
    received += server.recv(65_536)?.length ?? 0;
    lab.settle();
  }
  t.equal(received, 600_000);
  t.equal(virtio(client).credit.txCnt, start + 600_000 - 2 ** 32);
  t.equal(virtio(client).credit.inFlight(), 0);
});
