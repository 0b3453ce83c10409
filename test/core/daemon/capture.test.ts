import fc from 'fast-check';
import t from 'tap';
import { decodeRecords, pcap_sf_pkthdr } from '../../../src/core/abi/pcap.js';
import { encodeHeader } from '../../../src/core/abi/virtio-vsock.js';
import { af_vsockmon_hdr, VSOCKMON_VIRTIO_HEADERS } from '../../../src/core/abi/vsockmon.js';
import { Capture, type CaptureOptions } from '../../../src/core/daemon/capture.js';

function packet(srcPort: number, dstPort: number, len = 0) {
  const header = encodeHeader({
    ...{ srcCid: 3, dstCid: 2, srcPort, dstPort, len },
    ...{ type: 1, op: 5, flags: 0, bufAlloc: 0, fwdCnt: 0 },
  });
  return { header, payload: new Uint8Array(len).fill(srcPort) };
}

function captureOf(options: Partial<CaptureOptions> = {}) {
  let now = 0;
  const capture = new Capture({
    port: undefined,
    snapLength: 1000,
    nowUs: () => ++now,
    ...options,
  });
  const add = (srcPort: number, dstPort = 1, len = 0) => {
    const { header, payload } = packet(srcPort, dstPort, len);
    capture.add(header, payload);
  };
  const ports = () => {
    return decodeRecords(capture.take()).map(({ frame }) => af_vsockmon_hdr.decode(frame).src_port);
  };
  return { capture, add, ports };
}

t.test('packets are fetched in their order, with their time', async (t) => {
  const { capture, add } = captureOf();
  add(10);
  add(11, 1, 5);
  const [first, second] = decodeRecords(capture.take());
  t.match(first, { timeUs: 1, length: VSOCKMON_VIRTIO_HEADERS });
  t.match(second, { timeUs: 2, length: VSOCKMON_VIRTIO_HEADERS + 5 });
  const payload = second?.frame.subarray(VSOCKMON_VIRTIO_HEADERS);
  t.strictSame([...(payload ?? [])], [11, 11, 11, 11, 11]);
  t.equal(capture.take().length, 0, 'nothing is left');
});

t.test('the packet is copied', async (t) => {
  const { capture } = captureOf();
  const { header, payload } = packet(10, 1, 1);
  capture.add(header, payload);
  header.fill(0);
  payload.fill(0);
  const [record] = decodeRecords(capture.take());
  t.equal(record?.frame.at(-1), 10);
});

t.test('a port is that of either side', async (t) => {
  const { add, ports } = captureOf({ port: 22 });
  add(22, 1);
  add(23, 1);
  add(24, 22);
  t.strictSame(ports(), [22, 24]);
});

t.test('frames are cut, and their length is kept', async (t) => {
  const snapLength = VSOCKMON_VIRTIO_HEADERS + 3;
  const { capture, add } = captureOf({ snapLength });
  add(1, 1, 3);
  add(1, 1, 4);
  add(1, 1, 65536);
  const records = decodeRecords(capture.take());
  t.strictSame(
    records.map(({ frame, length }) => [frame.length, length - VSOCKMON_VIRTIO_HEADERS]),
    [
      [snapLength, 3],
      [snapLength, 4],
      [snapLength, 65536],
    ],
  );
});

t.test('whoever is slow loses the newest packets, and goes on when there is room', async (t) => {
  const record = pcap_sf_pkthdr.size + VSOCKMON_VIRTIO_HEADERS;
  const { capture, add, ports } = captureOf({ space: 3 * record });
  for (let port = 0; port < 10; port++) add(port);
  t.equal(capture.lost, 7);
  t.strictSame(ports(), [0, 1, 2]);
  add(20);
  t.strictSame(ports(), [20]);
  t.equal(capture.lost, 7);
});

t.test('a record that is larger than what is left of a piece begins the next one', async (t) => {
  const { capture, add, ports } = captureOf({ snapLength: 262144 });
  for (let port = 0; port < 40; port++) add(port, 1, 65536);
  const found: number[] = [];
  for (let some = ports(); some.length > 0; some = ports()) found.push(...some);
  t.strictSame(
    found,
    Array.from({ length: 40 }, (_, port) => port),
  );
  t.equal(capture.lost, 0);
});

t.test('who waits is woken by a packet, and by the end', async (t) => {
  const { capture, add, ports } = captureOf();
  const ready = capture.ready();
  add(7);
  await ready;
  await capture.ready();
  t.strictSame(ports(), [7]);
  const last = capture.ready();
  capture.end();
  await last;
  t.ok(capture.over);
});

t.test('after the end nothing comes, and what waited is still there', async (t) => {
  const { capture, add, ports } = captureOf();
  let told = 0;
  capture.onEnd(() => told++);
  add(1);
  capture.end();
  capture.end();
  add(2);
  t.equal(told, 1);
  t.notOk(capture.over);
  t.strictSame(ports(), [1]);
  t.ok(capture.over);
  t.equal(capture.lost, 0);
});

t.test('each packet is fetched once or counted as lost', async () => {
  const step = fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.constant('take' as const));
  fc.assert(
    fc.property(fc.array(step), fc.integer({ min: 200, max: 5000 }), (steps, space) => {
      const { capture, add } = captureOf({ space });
      let added = 0;
      let fetched = 0;
      const take = () => {
        const data = capture.take();
        fetched += decodeRecords(data).length;
        return data.length <= space;
      };
      for (const each of steps) {
        if (each === 'take' && !take()) return false;
        if (each === 'take') continue;
        add(1, 1, each);
        added++;
      }
      return take() && fetched + capture.lost === added;
    }),
  );
});
