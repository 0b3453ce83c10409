import t from 'tap';
import { decodeHeader, VIRTIO_VSOCK_OP_RST } from '../../../../src/core/abi/virtio-vsock.js';
import {
  Channel,
  MAX_REPLIES,
  NO_PAYLOAD,
  type Packet,
  type PacketSource,
} from '../../../../src/core/simulator/vsock/channel.js';

/** A source of as many packets as it is told, which carry its name. */
class Source implements PacketSource {
  constructor(
    readonly name: number,
    public left: number,
  ) {}

  nextPacket(): Packet | undefined {
    if (this.left === 0) return undefined;
    this.left--;
    return { header: Uint8Array.of(this.name), payload: NO_PAYLOAD };
  }
}

function reset(dstPort: number) {
  const op = VIRTIO_VSOCK_OP_RST;
  const cids = { srcCid: 2, dstCid: 3 };
  return { ...cids, srcPort: 1, dstPort, len: 0, type: 1, op, flags: 0, bufAlloc: 0, fwdCnt: 0 };
}

t.test('a channel says once that it has something, until it is empty again', async (t) => {
  let calls = 0;
  const channel = new Channel(() => calls++);
  const source = new Source(1, 1);
  channel.add(source);
  channel.add(source);
  channel.add(new Source(2, 1));
  t.equal(calls, 1);
  t.ok(channel.pull());
  t.ok(channel.pull());
  t.equal(channel.pull(), undefined);
  t.ok(channel.empty);
  t.equal(channel.pulled, 2);
  channel.reply(reset(1));
  t.equal(calls, 2);
});

t.test('sources take turns, one packet each', async (t) => {
  const channel = new Channel(() => undefined);
  for (const name of [1, 2, 3]) channel.add(new Source(name, name));
  const order = Array.from({ length: 6 }, () => channel.pull()?.header[0]);
  t.same(order, [1, 2, 3, 2, 3, 3]);
});

t.test('answers go before sources', async (t) => {
  const channel = new Channel(() => undefined);
  channel.add(new Source(1, 1));
  channel.reply(reset(77));
  t.equal(decodeHeader(channel.pull()?.header ?? NO_PAYLOAD).dstPort, 77);
  t.same(channel.pull()?.header, Uint8Array.of(1));
});

t.test('answers that find the queue full are dropped and counted', async (t) => {
  const channel = new Channel(() => undefined);
  for (let n = 0; n < MAX_REPLIES + 5; n++) channel.reply(reset(n));
  t.equal(channel.droppedReplies, 5);
  let pulled = 0;
  while (channel.pull() !== undefined) pulled++;
  t.equal(pulled, MAX_REPLIES);
});

t.test('a closed channel forgets what waits and takes nothing more', async (t) => {
  const channel = new Channel(() => undefined);
  channel.add(new Source(1, 1));
  channel.reply(reset(1));
  channel.close();
  t.ok(channel.closed);
  t.ok(channel.empty);
  channel.add(new Source(2, 1));
  channel.reply(reset(2));
  t.equal(channel.pull(), undefined);
});
