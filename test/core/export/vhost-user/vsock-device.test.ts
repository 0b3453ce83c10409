import fc from 'fast-check';
import t from 'tap';
import {
  decodeHeader,
  encodeHeader,
  opName,
  type PacketHeader,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
} from '../../../../src/core/abi/virtio-vsock.js';
import { VsockDevice } from '../../../../src/core/export/vhost-user/vsock-device.js';
import type { VsockPolicy } from '../../../../src/core/simulator/vsock/profile.js';
import { Buf, FakeDeviceHost, FakeQueue } from '../../../helpers/virtqueue.js';
import { Lab, PORT, RAW_PORT, text, utf8 } from '../../../helpers/vsock.js';

const HEADER = 44;
const [RX, TX, EVENT] = [0, 1, 2];

/** A guest of a lab whose kernel is the test. */
class Kernel {
  readonly rx = new FakeQueue();
  readonly tx = new FakeQueue();
  readonly events = new FakeQueue();
  readonly host = new FakeDeviceHost();
  readonly device: VsockDevice;
  readonly gone: string[] = [];

  constructor(
    readonly lab: Lab,
    readonly cid = 3,
  ) {
    const guest = lab.guest(cid);
    this.device = new VsockDevice({
      cid: () => guest.cid ?? 0,
      seqpacket: true,
      arrived: () => lab.network.setDevice(guest, this.device),
      left: (reason) => {
        lab.network.setDevice(guest, undefined);
        this.gone.push(reason);
      },
      kick: () => lab.settle(),
    });
  }

  /** The driver starts. */
  boot(): this {
    this.device.attached(this.host);
    this.device.started(RX, this.rx);
    this.device.started(TX, this.tx);
    this.device.started(EVENT, this.events);
    return this;
  }

  die(): void {
    for (const index of [RX, TX, EVENT]) this.device.stopped(index);
    this.device.detached('the front-end left');
  }

  /** Gives the device buffers. */
  offer(count: number, ...sizes: number[]): void {
    for (let n = 0; n < count; n++) this.rx.offer(...sizes);
    this.device.kicked(RX);
  }

  /** Sends a packet; whatever is not named is as it should be. */
  send(
    change: Partial<PacketHeader> & { op: number },
    payload: Uint8Array = new Uint8Array(0),
  ): void {
    this.tx.send(this.header(change, payload), payload);
    this.device.kicked(TX);
  }

  header(change: Partial<PacketHeader> & { op: number }, payload: Uint8Array): Uint8Array {
    return encodeHeader({
      srcCid: this.cid,
      dstCid: 2,
      srcPort: RAW_PORT,
      dstPort: PORT,
      len: payload.length,
      type: 1,
      flags: 0,
      bufAlloc: 262_144,
      fwdCnt: 0,
      ...change,
    });
  }

  /** Packets that have come. */
  received(): (PacketHeader & { name: string; payload: Uint8Array })[] {
    return this.rx.written().map((bytes) => {
      const header = decodeHeader(bytes);
      return { ...header, name: opName(header.op), payload: bytes.subarray(HEADER) };
    });
  }

  ops(): string[] {
    return this.received().map(({ name }) => name);
  }
}

function booted(options: { guests?: number; policy?: VsockPolicy } = {}) {
  const lab = new Lab(options);
  return { lab, kernel: new Kernel(lab).boot() };
}

/** A connection from the kernel to a listener of the host. */
function connected(options = {}) {
  const { lab, kernel } = booted(options);
  kernel.offer(8, HEADER + 3732);
  const listener = lab.listen(lab.host);
  kernel.send({ op: VIRTIO_VSOCK_OP_REQUEST });
  t.same(kernel.ops(), ['RESPONSE']);
  const server = lab.accept(listener);
  return { lab, kernel, server };
}

t.test('the configuration is the CID', async (t) => {
  const { kernel } = booted();
  t.same([...kernel.device.config()], [3, 0, 0, 0, 0, 0, 0, 0]);
  t.equal(kernel.device.features, 2n, 'SEQPACKET');
});

t.test('bytes go both ways, in chains of any shape', async (t) => {
  const { kernel, server, lab } = connected();
  const header = kernel.header({ op: VIRTIO_VSOCK_OP_RW }, utf8('hello'));
  kernel.tx.send(
    header.subarray(0, 1),
    header.subarray(1, 40),
    header.subarray(40),
    utf8('he'),
    utf8('llo'),
  );
  kernel.device.kicked(TX);
  t.equal(text(server.recv(10)), 'hello');
  t.equal(kernel.tx.used.length, 2);
  kernel.device.stopped(RX);
  kernel.rx.available.length = 0;
  kernel.device.started(RX, kernel.rx);
  server.send(utf8('welcome'));
  lab.settle();
  kernel.offer(1, 10, 30, 1, 5, 2, 1, 10);
  const [packet] = kernel.received();
  t.match(packet, { name: 'RW', len: 7, srcCid: 2, dstCid: 3 });
  t.equal(text(packet?.payload ?? null), 'welcome');
  t.same(kernel.host.failures, []);
});

t.test('a buffer that stands ready is there for who serves the queue next', async (t) => {
  const { kernel } = connected();
  kernel.offer(2, 100);
  t.ok(kernel.device.room() > 0);
  const before = kernel.rx.available.length;
  kernel.device.stopped(RX);
  t.equal(kernel.rx.available.length, before + 1);
  t.equal(kernel.device.room(), 0);
});

t.test('payloads are cut to what a buffer holds', async (t) => {
  const { kernel, server, lab } = connected();
  kernel.offer(100, HEADER + 1000);
  const sent = Uint8Array.from({ length: 20_000 }, (_, at) => at % 251);
  server.send(sent);
  lab.settle();
  const packets = kernel.received();
  t.ok(packets.every(({ len, payload }) => len === payload.length && len <= 3732));
  t.same(new Uint8Array(Buffer.concat(packets.map(({ payload }) => payload))), sent);
});

t.test('the end of a message is marked on its last piece alone', async (t) => {
  const { lab, kernel } = booted();
  kernel.offer(50, HEADER + 1000);
  const listener = lab.listen(lab.host, PORT, { type: 'seqpacket' });
  kernel.send({ op: VIRTIO_VSOCK_OP_REQUEST, type: VIRTIO_VSOCK_TYPE_SEQPACKET });
  lab.accept(listener).sendMessage(new Uint8Array(2500));
  lab.settle();
  const parts = kernel.received().filter(({ name }) => name === 'RW');
  t.same(
    parts.map(({ len, flags }) => [len, flags]),
    [
      [1000, 0],
      [1000, 0],
      [500, VIRTIO_VSOCK_SEQ_EOM],
    ],
  );
});

t.test('a driver without buffers stops whoever sends to it, and nothing grows', async (t) => {
  const { kernel, server, lab } = connected();
  kernel.offer(0);
  const before = kernel.rx.available.length;
  let sent = 0;
  for (let n = 0; n < 100; n++) {
    sent += server.send(new Uint8Array(65_536));
    lab.settle();
  }
  t.equal(sent, 262_144, 'the credit, and no more');
  t.equal(kernel.rx.available.length, 0);
  t.equal(kernel.received().length, before + 1, 'one was with the device');
  t.notOk(lab.network.switch.busy);
  kernel.offer(1, HEADER + 100);
  t.equal(kernel.received().length, 1);
});

t.test('a driver that takes no answers is asked for no more', async (t) => {
  const { kernel } = booted();
  for (let n = 0; n < 1000; n++) {
    kernel.tx.send(kernel.header({ op: VIRTIO_VSOCK_OP_RW, srcPort: n }, utf8('')));
  }
  kernel.device.kicked(TX);
  t.equal(kernel.tx.used.length, 256, 'as many as answers may wait');
  kernel.offer(1000, HEADER + 1);
  t.equal(kernel.tx.used.length, 1000);
  t.equal(kernel.ops().length, 1000);
  t.equal(kernel.lab.port().down.droppedReplies, 0);
});

t.test('what no driver does ends its connection', async (t) => {
  const header = (kernel: Kernel) => kernel.header({ op: VIRTIO_VSOCK_OP_RW }, utf8(''));
  const attempts: [string, (kernel: Kernel) => void][] = [
    ['less than a header', (kernel) => kernel.tx.send(new Uint8Array(43))],
    ['nothing', (kernel) => kernel.tx.send()],
    [
      'more than a packet may have',
      (kernel) => kernel.tx.send(header(kernel), new Uint8Array(65_537)),
    ],
    [
      'a buffer to write on the queue for sending',
      (kernel) => {
        kernel.tx.available.push({
          readable: [new Buf(header(kernel))],
          writable: [new Buf(new Uint8Array(1))],
        });
      },
    ],
    ['a buffer that holds no byte of payload', (kernel) => kernel.rx.offer(HEADER)],
    [
      'a buffer to read on the queue for receiving',
      (kernel) => {
        kernel.rx.available.push({
          readable: [new Buf(new Uint8Array(1))],
          writable: [new Buf(new Uint8Array(99))],
        });
      },
    ],
  ];
  for (const [name, attempt] of attempts) {
    const { kernel, server, lab } = connected();
    kernel.device.stopped(RX);
    kernel.rx.available.length = 0;
    kernel.device.started(RX, kernel.rx);
    attempt(kernel);
    server.send(utf8('x'));
    kernel.device.kicked(TX);
    lab.settle();
    t.equal(kernel.host.failures.length, 1, name);
  }
});

t.test('a header that lies about its length, or its sender, is dropped and counted', async (t) => {
  const { kernel, lab } = connected();
  kernel.send({ op: VIRTIO_VSOCK_OP_RW, len: 4 }, utf8('hello'));
  kernel.send({ op: VIRTIO_VSOCK_OP_RW, len: 0xffffffff }, utf8('hello'));
  kernel.send({ op: VIRTIO_VSOCK_OP_RW, srcCid: 4 }, utf8('hello'));
  t.match(lab.port().dropped, { malformed: 2, spoofed: 1 });
  t.same(kernel.host.failures, []);
});

t.test('when the kernel comes and goes, its guest has rebooted', async (t) => {
  const lab = new Lab({ guests: 1 });
  const before = lab.pair();
  const kernel = new Kernel(lab).boot();
  t.equal(before.client.takeError(), 'ECONNRESET');
  t.equal(before.server.takeError(), 'ECONNRESET');
  t.throws(() => lab.dial(lab.stack(), 2), { code: 'ENODEV' });
  kernel.offer(9, HEADER + 100);
  const socket = lab.dial(lab.host, 3);
  lab.settle();
  const [request] = kernel.received();
  kernel.send({
    op: VIRTIO_VSOCK_OP_RESPONSE,
    srcPort: PORT,
    dstPort: request?.srcPort ?? 0,
  });
  t.equal(socket.state, 'connected');
  kernel.die();
  t.equal(socket.takeError(), 'ECONNRESET');
  t.same(kernel.gone, ['the front-end left']);
  t.ok(lab.pair(), 'the simulated guest is there again');
  t.ok(new Kernel(lab).boot().device, 'and so may be the next kernel');
});

t.test('a reset of the transport, and another CID, are told by an event', async (t) => {
  const { lab, kernel } = booted();
  t.equal(kernel.host.configChanges, 0);
  lab.network.resetGuest(lab.guest());
  t.same(kernel.events.written(), [], 'there was no buffer');
  kernel.events.offer(4);
  kernel.device.kicked(EVENT);
  t.same(kernel.events.written(), [Uint8Array.of(0, 0, 0, 0)]);
  kernel.events.offer(4);
  kernel.device.kicked(EVENT);
  t.same(kernel.events.written(), [], 'once');
  lab.network.setCid(lab.guest(), 9);
  t.equal(kernel.events.used.length, 1);
  t.equal(kernel.device.config()[0], 9);
  t.equal(kernel.host.configChanges, 2);
});

t.test('a stalled device is not asked, nor given anything', async (t) => {
  const { lab, kernel, server } = connected();
  lab.network.switch.stall(lab.port(), true);
  kernel.send({ op: VIRTIO_VSOCK_OP_RW }, utf8('up'));
  server.send(utf8('down'));
  lab.settle();
  t.equal(kernel.tx.available.length, 1);
  t.same(kernel.received(), []);
  lab.network.switch.stall(lab.port(), false);
  lab.settle();
  t.equal(text(server.recv(9)), 'up');
  t.equal(text(kernel.received()[0]?.payload ?? null), 'down');
});

t.test('from one real guest to another', async (t) => {
  const siblings = () => {
    const lab = new Lab({ guests: 2, policy: 'siblings' });
    return { lab, one: new Kernel(lab, 3).boot(), other: new Kernel(lab, 4).boot() };
  };
  const toOther = { dstCid: 4 };

  t.test('packets are cut to the buffers of the other', async (t) => {
    const { one, other } = siblings();
    const bytes = Uint8Array.from({ length: 65_536 }, (_, at) => at % 253);
    one.send({ op: VIRTIO_VSOCK_OP_RW, ...toOther, flags: VIRTIO_VSOCK_SEQ_EOM }, bytes);
    other.offer(99, HEADER + 1000);
    const packets = other.received();
    t.same(new Uint8Array(Buffer.concat(packets.map(({ payload }) => payload))), bytes);
    t.equal(packets.length, 66);
    t.ok(packets.slice(0, -1).every(({ flags, len }) => flags === 0 && len === 1000));
    t.match(packets.at(-1), { flags: VIRTIO_VSOCK_SEQ_EOM, len: 536 });
    t.equal(one.lab.packets.length, 1, 'the tap saw it once');
  });

  t.test('one that is slow holds up who sends to it, and loses nothing', async (t) => {
    const { one, other, lab } = siblings();
    for (let n = 0; n < 1000; n++) {
      one.send({ op: VIRTIO_VSOCK_OP_RW, ...toOther, fwdCnt: n }, utf8('x'));
    }
    t.equal(one.tx.used.length, 257, 'a queue full, and one that waits');
    for (let taken = 0; taken < 1000; taken += 100) {
      lab.advance(1900);
      other.offer(100, HEADER + 100);
    }
    t.same(
      other.received().map(({ fwdCnt }) => fwdCnt),
      Array.from({ length: 1000 }, (_, n) => n),
    );
    t.equal(lab.dropped.full, 0);
  });

  t.test('one that stands still is waited for, and then no more', async (t) => {
    const { one, other, lab } = siblings();
    one.offer(999, HEADER + 100);
    const listener = lab.listen(lab.host);
    for (let n = 0; n < 300; n++) one.send({ op: VIRTIO_VSOCK_OP_RW, ...toOther }, utf8('x'));
    one.send({ op: VIRTIO_VSOCK_OP_REQUEST });
    t.equal(listener.acceptQueue.length, 0);
    lab.advance(2000);
    t.equal(listener.acceptQueue.length, 1, 'the guest goes on');
    t.equal(lab.dropped.full, 44);
    t.equal(lab.port(3).dropped.full, 44);
    t.equal(one.ops().filter((op) => op === 'RST').length, 44);
    one.send({ op: VIRTIO_VSOCK_OP_RW, ...toOther }, utf8('x'));
    t.equal(lab.dropped.full, 45, 'at once');
    other.offer(999, HEADER + 100);
    t.equal(other.received().length, 256);
    one.send({ op: VIRTIO_VSOCK_OP_RW, ...toOther }, utf8('x'));
    t.equal(other.received().length, 1, 'it is served again');
    t.equal(lab.deadlines.size, 0);
  });

  t.test('bytes in a packet that has none are not handed on', async (t) => {
    const { one, other, lab } = siblings();
    other.offer(9, HEADER + 100);
    one.send({ op: VIRTIO_VSOCK_OP_REQUEST, ...toOther }, utf8('x'));
    t.same(other.received(), []);
    t.equal(lab.dropped.malformed, 1);
  });

  t.test('one that is gone is told of to those that it was connected with', async (t) => {
    const { one, other, lab } = siblings();
    other.offer(99, HEADER + 100);
    one.send({ op: VIRTIO_VSOCK_OP_REQUEST, ...toOther });
    one.send({ op: VIRTIO_VSOCK_OP_REQUEST, ...toOther, srcPort: 9 });
    one.send({ op: VIRTIO_VSOCK_OP_RST, ...toOther, srcPort: 9 });
    one.send({ op: VIRTIO_VSOCK_OP_REQUEST, ...toOther, srcPort: 10 });
    other.send({ op: VIRTIO_VSOCK_OP_RST, dstCid: 3, srcPort: PORT, dstPort: 10 });
    other.received();
    one.die();
    lab.settle();
    const told = other.received();
    t.match(told, [{ name: 'RST', srcCid: 3, dstCid: 4, srcPort: RAW_PORT, dstPort: PORT }]);
    t.equal(told.length, 1);
  });

  t.test('what one had sent before it was gone is not delivered any more', async (t) => {
    const { one, other, lab } = siblings();
    for (let n = 0; n < 300; n++) one.send({ op: VIRTIO_VSOCK_OP_RW, ...toOther }, utf8('x'));
    one.die();
    other.offer(999, HEADER + 100);
    t.same(other.ops(), ['RST'], 'but for the end of the connection');
    t.equal(lab.dropped.detached, 1);
  });
});

const SHAPE = fc.array(fc.integer({ min: 0, max: 80 }), { maxLength: 6 });

t.test('whatever a driver puts on its queues, the host goes on', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('rx' as const), shape: SHAPE }),
    fc.record({ kind: fc.constant('raw' as const), bytes: fc.uint8Array({ maxLength: 120 }) }),
    fc.record({
      kind: fc.constant('packet' as const),
      op: fc.integer({ min: 0, max: 9 }),
      dstCid: fc.constantFrom(2, 2, 2, 4, 9),
      len: fc.constantFrom(undefined, 0, 5, 0xffffffff),
      bytes: fc.uint8Array({ maxLength: 200 }),
    }),
    fc.record({ kind: fc.constant('reset' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const lab = new Lab({ guests: 2, policy: 'siblings', defers: true });
      const good = lab.pair('stream', lab.stack(4));
      const kernel = new Kernel(lab).boot();
      lab.listen(lab.host);
      for (const each of steps) {
        if (kernel.host.failures.length > 0) break;
        if (each.kind === 'rx') kernel.offer(1, ...each.shape);
        else if (each.kind === 'reset') lab.network.resetGuest(lab.guest(3));
        else if (each.kind === 'raw') {
          kernel.tx.send(each.bytes);
          kernel.device.kicked(TX);
        } else {
          const { op, dstCid, bytes, len = bytes.length } = each;
          kernel.send({ op, dstCid, len }, bytes);
        }
      }
      good.client.send(utf8('still here'));
      lab.settle();
      if (text(good.server.recv(20)) !== 'still here')
        throw new Error('the good guest was cut off');
      kernel.die();
      lab.advance(20_000);
      if (lab.deadlines.size > 0) throw new Error(`${lab.deadlines.size} deadlines are left`);
    }),
    { numRuns: 300 },
  );
});
