import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { decodeRecords } from '../../src/core/abi/pcap.js';
import { encodeHeader } from '../../src/core/abi/virtio-vsock.js';
import { VSOCKMON_VIRTIO_HEADERS, writeMonitorHeaders } from '../../src/core/abi/vsockmon.js';
import type { TapBatch, TapOptions } from '../../src/core/backend/port/vsock.js';
import type { Backend, MachineName } from '../../src/core/backend/port.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const TIME_US = Date.parse('2026-01-02T03:04:05.000Z') * 1000;
const FILE_HEADER = 24;

/** A RW packet of that many bytes. */
function packet(srcPort: number, len = 0) {
  const header = encodeHeader({
    ...{ srcCid: 3, dstCid: 2, srcPort, dstPort: 22, len },
    ...{ type: 1, op: 5, flags: 0, bufAlloc: 4096, fwdCnt: 1 },
  });
  const frame = new Uint8Array(VSOCKMON_VIRTIO_HEADERS + len);
  writeMonitorHeaders(frame, 0, header);
  return { timeUs: TIME_US + srcPort, frame, length: frame.length };
}

/** A backend that yields these batches to whoever captures, and what it was asked for. */
function capturing(batches: readonly TapBatch[]) {
  const asked: { machine: MachineName; options: Omit<TapOptions, 'signal'> }[] = [];
  let over = false;
  async function* tap(machine: MachineName, { signal: _, ...options }: TapOptions) {
    asked.push({ machine, options });
    try {
      yield { packets: [], lost: 0 };
      yield* batches;
    } finally {
      over = true;
    }
  }
  const plain = new FakeBackend();
  const backend: Backend = {
    uri: 'sim',
    machine: (name) => ({ ...plain.machine(), tap: (options) => tap(name, options) }),
    close: async () => undefined,
  };
  return { connect: async () => backend, asked, isOver: () => over };
}

const BATCHES: TapBatch[] = [
  { packets: [packet(1), packet(2, 5)], lost: 0 },
  { packets: [packet(3)], lost: 4 },
];
const TEXT = [
  '03:04:05.000001 3:1 > 2:22 RW stream len 0 flags 0 buf_alloc 4096 fwd_cnt 1\n',
  '03:04:05.000002 3:2 > 2:22 RW stream len 5 flags 0 buf_alloc 4096 fwd_cnt 1\n',
  '03:04:05.000003 3:3 > 2:22 RW stream len 0 flags 0 buf_alloc 4096 fwd_cnt 1\n',
];

for (const way of WAYS) {
  t.test(`capture prints a line a packet (${way})`, async (t) => {
    const { connect, asked, isOver } = capturing(BATCHES);
    t.match(await runLine(line('vsock capture'), { way, connect }), {
      status: 0,
      out: TEXT.join(''),
      err: 'listening on vsock packets\n3 packets captured, 4 lost\n',
    });
    t.strictSame(asked, [{ machine: 'host', options: { port: undefined, snapLength: 76 } }]);
    t.ok(isOver());
  });

  t.test(`capture --json prints a document a packet (${way})`, async (t) => {
    const { connect } = capturing(BATCHES);
    const ran = await runLine(line('vsock capture --json'), { way, connect });
    const packets = ran.out.trim().split('\n');
    t.equal(packets.length, 3);
    t.match(JSON.parse(packets[1] ?? ''), { src: { cid: 3, port: 2 }, op: 'RW', len: 5 });
    t.equal(ran.err, '{"captured":3,"lost":4}\n');
  });
}

t.test('what is asked for', async (t) => {
  const rows: [string, MachineName, { port?: number; snapLength: number }][] = [
    ['--vm web1', { vm: 'web1' }, { snapLength: 76 }],
    ['--in web1', { vm: 'web1' }, { snapLength: 76 }],
    ['--in web1 --vm web1', { vm: 'web1' }, { snapLength: 76 }],
    ['--port 22 --write=-', 'host', { port: 22, snapLength: 262144 }],
    ['--snaplen 1K --write=-', 'host', { snapLength: 1024 }],
  ];
  for (const [flags, machine, options] of rows) {
    const { connect, asked } = capturing([]);
    t.match(await runLine(line(`vsock capture ${flags}`), { connect }), { status: 0 }, flags);
    t.match(asked, [{ machine, options }], flags);
  }
});

t.test('--count ends the capture within a batch', async (t) => {
  const { connect, isOver } = capturing(BATCHES);
  const ran = await runLine(line('vsock capture --count 1'), { connect });
  t.match(ran, { status: 0, out: TEXT[0], err: /\n1 packets captured, 0 lost\n$/ });
  t.ok(isOver());
});

t.test('--quiet leaves out all but the packets', async (t) => {
  const { connect } = capturing(BATCHES);
  t.match(await runLine(line('vsock capture -q'), { connect }), { out: TEXT.join(''), err: '' });
});

t.test('--write makes a pcap file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-capture-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'web1.pcap');
  const { connect } = capturing(BATCHES);
  const ran = await runLine(['vsock', 'capture', '-w', path], { connect });
  t.match(ran, { status: 0, out: '', err: /^listening .*\n3 packets captured, 4 lost\n$/ });
  const file = readFileSync(path);
  t.equal(file.readUInt32LE(0), 0xa1b2c3d4);
  t.equal(file.readUInt32LE(20), 271);
  const wanted = BATCHES.flatMap(({ packets }) => packets);
  const found = decodeRecords(file.subarray(FILE_HEADER));
  t.strictSame(
    found.map(({ timeUs, frame, length }) => [timeUs, [...frame], length]),
    wanted.map(({ timeUs, frame, length }) => [timeUs, [...frame], length]),
  );

  const shorter = capturing([]);
  await runLine(['vsock', 'capture', '-w', path], { connect: shorter.connect });
  t.equal(readFileSync(path).length, FILE_HEADER, 'what was in it is gone');
});

t.test('a file that cannot be made fails before anything is captured', async (t) => {
  const { connect, asked } = capturing(BATCHES);
  const ran = await runLine(line('vsock capture -w /nonexistent/x'), { connect });
  t.match(ran, { status: 3, out: '', err: /\/nonexistent\/x/ });
  t.strictSame(asked, []);
});

t.test('what makes no sense is refused', async (t) => {
  const { connect, asked } = capturing(BATCHES);
  const rows: [string, RegExp][] = [
    ['--snaplen 75', /--snaplen: '75' is not from 76 to 256K/],
    ['--snaplen 1M', /--snaplen: '1M' is not from 76 to 256K/],
    ['--port 4294967295', /--port: /],
    ['--vm 7', /--vm: /],
    ['--vm web1 --in web2', /--vm and --in name two VMs/],
  ];
  for (const [flags, err] of rows) {
    t.match(await runLine(line(`vsock capture ${flags}`), { connect }), { status: 2, err }, flags);
  }
  const terminal = await runLine(line('vsock capture -w -'), { connect, tty: true });
  t.match(terminal, { status: 2, out: '', err: /standard output is a terminal/ });
  t.strictSame(asked, []);
});

t.test('a backend without packets is told so', async (t) => {
  t.match(await runLine(line('vsock capture')), {
    status: 7,
    err: /the backend 'sim' can't capture packets/,
  });
});
