import fc from 'fast-check';
import t from 'tap';
import {
  VIRTIO_BALLOON_F_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
  VIRTIO_BALLOON_S_AVAIL,
  VIRTIO_BALLOON_S_MEMTOT,
  virtio_balloon_config,
  virtio_balloon_stat,
} from '../../../../src/core/abi/virtio-balloon.js';
import { BalloonDevice } from '../../../../src/core/export/vhost-user/balloon-device.js';
import { pageRuns } from '../../../../src/core/export/vhost-user/page-runs.js';
import { VirtualClock } from '../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../src/core/simulator/deadlines.js';
import { Buf, FakeDeviceHost, FakeQueue } from '../../../helpers/virtqueue.js';

const MIB = 2 ** 20;
const PAGE = 4096;
const STATS = 1n << BigInt(VIRTIO_BALLOON_F_STATS_VQ);
const REPORTING = 1n << BigInt(VIRTIO_BALLOON_F_REPORTING);

function pfns(...pages: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(pages).buffer);
}

function statistics(...entries: [tag: number, value: bigint][]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(entries.map(([tag, val]) => virtio_balloon_stat.encode({ tag, val }))),
  );
}

/** A guest of 256 MiB with a driver that agreed to these features. */
function attached(features = STATS | REPORTING) {
  const clock = new VirtualClock();
  const deadlines = new Deadlines();
  const told: string[] = [];
  const device = new BalloonDevice({
    memoryBytes: () => 256 * MIB,
    wallMs: () => clock.wallMs(),
    after: (ms, action) => deadlines.schedule(clock.monotonicMs() + ms, action),
    arrived: () => told.push('arrived'),
    left: (reason) => told.push(reason),
  });
  const host = new FakeDeviceHost();
  const queues = [0, 1, 2, 3].map(() => new FakeQueue());
  device.attached(host, features);
  for (const [index, queue] of queues.entries()) device.started(index, queue);
  const queue = (index: number) => queues[index] ?? new FakeQueue();
  return {
    device,
    host,
    told,
    queue,
    deadlines,
    pass(ms: number) {
      clock.advance(ms);
      deadlines.expire(clock.monotonicMs());
    },
    send(index: number, ...readable: Uint8Array[]) {
      queue(index).send(...readable);
      device.kicked(index);
    },
  };
}

t.test('the host asks by its configuration, and the driver answers in it', async (t) => {
  const { device, host } = attached();
  t.equal(device.config().length, virtio_balloon_config.size);
  device.setTarget(64 * MIB + 1);
  t.equal(device.target, 64 * MIB + PAGE);
  t.equal(host.configChanges, 1);
  t.match(virtio_balloon_config.decode(device.config()), { num_pages: 16_385, actual: 0 });
  device.writeConfig(4, pfns(256));
  t.equal(device.actual, MIB);
  t.match(virtio_balloon_config.decode(device.config()), { num_pages: 16_385, actual: 256 });
  device.writeConfig(0, pfns(1));
  t.equal(device.target, 64 * MIB + PAGE, "the target is the host's");
  device.writeConfig(5, Uint8Array.of(2));
  t.equal(device.actual, (256 + 256) * PAGE, 'a part of a field');
  device.writeConfig(4, pfns(0xffffffff));
  t.equal(device.actual, 256 * MIB, 'no more than there is');
});

t.test('what the guest gives up is given back to the machine, in runs', async (t) => {
  const { device, host, queue, send } = attached();
  send(0, pfns(9, 8, 7), pfns(100, 3, 8));
  t.same(host.released, [
    [3 * PAGE, PAGE],
    [7 * PAGE, 3 * PAGE],
    [100 * PAGE, PAGE],
  ]);
  t.match(device.counters, { inflated: 6 * PAGE, released: 5 * PAGE, deflated: 0 });
  t.equal(queue(0).used.length, 1);
  t.equal(queue(0).notified, 1);
  send(1, pfns(7));
  t.equal(device.counters.deflated, PAGE);
  t.equal(host.released.length, 3);
  t.equal(queue(1).used.length, 1);
});

t.test('pages in any order become runs', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300)), (pages) => {
      const runs = pageRuns(pfns(...pages));
      const named = runs.flatMap(({ first, count }) => {
        return Array.from({ length: count }, (_, n) => first + n);
      });
      const wanted = [...new Set(pages)].sort((a, b) => a - b);
      if (JSON.stringify(named) !== JSON.stringify(wanted)) throw new Error(named.join());
      const ends = runs.map(({ first, count }) => first + count);
      const apart = runs.slice(1).every(({ first }, n) => first > (ends[n] ?? 0));
      if (!apart) throw new Error('two runs that are one');
    }),
  );
});

t.test('free pages that are reported are given back as they are', async (t) => {
  const { device, host, queue } = attached();
  queue(3).offer(4 * MIB, 2 * MIB);
  device.kicked(3);
  t.same(host.released, [
    [0, 4 * MIB],
    [0, 2 * MIB],
  ]);
  t.match(device.counters, { reported: 6 * MIB, released: 6 * MIB, inflated: 0 });
  t.equal(queue(3).used.length, 1);
});

t.test('without statistics their queue is that of the reports', async (t) => {
  const { device, host, queue } = attached(REPORTING);
  queue(2).offer(MIB);
  device.kicked(2);
  t.same(host.released, [[0, MIB]]);
  queue(3).offer(MIB);
  device.kicked(3);
  t.equal(queue(3).used.length, 0, 'there is no such queue');
});

t.test('statistics come with the first buffer, and then every five seconds', async (t) => {
  const { device, queue, send, pass, deadlines } = attached();
  t.equal(device.statistics, null);
  const report = (available: bigint) =>
    statistics([VIRTIO_BALLOON_S_MEMTOT, 256n], [VIRTIO_BALLOON_S_AVAIL, available], [99, 1n]);
  send(2, report(100n).subarray(0, 7), report(100n).subarray(7));
  t.match(device.statistics, { total: 256, available: 100, free: null, caches: null });
  t.equal(queue(2).used.length, 0, 'the buffer stays with the device');
  pass(4999);
  t.equal(queue(2).used.length, 0);
  pass(1);
  t.equal(queue(2).used.length, 1);
  t.equal(queue(2).notified, 1);
  send(2, report(50n));
  t.match(device.statistics, { available: 50 });
  device.stopped(2);
  t.equal(deadlines.size, 0);
});

t.test('a driver that gives up much at once does not keep others from their turn', async (t) => {
  const { device, queue, pass, deadlines } = attached();
  for (let n = 0; n < 1000; n++) queue(0).send(pfns(n * 2));
  device.kicked(0);
  t.equal(queue(0).used.length, 256);
  device.kicked(0);
  t.equal(queue(0).used.length, 256, 'not before the others had theirs');
  for (let n = 0; n < 3; n++) pass(1);
  t.equal(queue(0).used.length, 1000);
  t.equal(deadlines.size, 0);
});

t.test('what no driver does ends its connection', async (t) => {
  for (const [name, index, readable, writable] of [
    ['half a page number', 0, [new Uint8Array(6)], []],
    ['half a page number of deflating', 1, [new Uint8Array(3)], []],
    ['too many page numbers', 0, [new Uint8Array(4100)], []],
    ['page numbers to be written', 0, [pfns(1)], [new Uint8Array(4)]],
    ['too many statistics', 2, [new Uint8Array(4100)], []],
    ['statistics to be written', 2, [], [new Uint8Array(80)]],
    ['a report to be read', 3, [new Uint8Array(80)], [new Uint8Array(4096)]],
  ] as const) {
    const { device, host, queue } = attached();
    const buffers = (all: readonly Uint8Array[]) => all.map((bytes) => new Buf(bytes));
    queue(index).available.push({ readable: buffers(readable), writable: buffers(writable) });
    device.kicked(index);
    t.equal(host.failures.length, 1, name);
    t.equal(queue(index).used.length, 0, name);
  }
  const { host, send } = attached();
  send(2, new Uint8Array(80));
  send(2, new Uint8Array(80));
  t.same(host.failures, ['statistics: a second buffer']);
});

t.test('a driver that is gone leaves nothing but what the host wants', async (t) => {
  const { device, told, send, deadlines } = attached();
  device.setTarget(MIB);
  device.writeConfig(4, pfns(100));
  send(2, statistics([VIRTIO_BALLOON_S_MEMTOT, 1n]));
  for (const index of [0, 1, 2, 3]) device.stopped(index);
  device.detached('the front-end left');
  t.same(told, ['arrived', 'the front-end left']);
  t.match(device, { target: MIB, actual: 0, statistics: null });
  t.equal(deadlines.size, 0);
});
