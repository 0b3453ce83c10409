import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import t, { type Test } from 'tap';
import { decodeRecords } from '../../src/core/abi/pcap.js';
import { VSOCKMON_VIRTIO_HEADERS } from '../../src/core/abi/vsockmon.js';
import { type CapturedPacket, readPacket } from '../../src/core/client/captured-packet.js';
import { type Host, random, simulatedHost, until } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';

const FILE_HEADER = 24;

/** Joins a listener in one machine to a client in another, which sends a file and gets nothing. */
async function send(host: Host, from: string, to: string, port: number, more: string[] = []) {
  const args = ['vsock', 'listen', String(port), ...more];
  const listen = host.start(to === 'host' ? args : ['--in', to, ...args], {
    to: host.path(`got${port}`),
  });
  await listen.waitFor('listening');
  const client = ['vsock', 'connect', to, String(port), ...more];
  const sent = await host.run(from === 'host' ? client : ['--in', from, ...client], {
    from: host.path('in'),
  });
  if (sent.status !== 0) throw new Error(sent.stderr);
  await listen.ended;
}

/** All that was said has arrived: no socket is left. */
async function quiet(host: Host, ...guests: string[]): Promise<void> {
  const none = ({ stdout }: { stdout: Buffer }) => stdout.toString().trim() === '[]';
  await host.until(['vsock', 'list', '--json'], none);
  for (const guest of guests) await host.until(['--in', guest, 'vsock', 'list', '--json'], none);
}

async function makeInput(host: Host, data: Uint8Array): Promise<void> {
  await host.shell('cat > in', { input: data }).ended;
}

function readFrames(path: string) {
  return decodeRecords(readFileSync(path).subarray(FILE_HEADER));
}

const TSHARK_FIELDS = [
  ...['frame.time_epoch', 'frame.len', 'vsock.src_cid', 'vsock.dst_cid', 'vsock.src_port'],
  ...['vsock.dst_port', 'vsock.op', 'vsock.trans', 'vsock.trans_len', 'vsock.reserved'],
  ...['vsock.virtio.src_cid', 'vsock.virtio.dst_cid', 'vsock.virtio.src_prot'],
  ...['vsock.virtio.dst_prot', 'vsock.virtio.len', 'vsock.virtio.type', 'vsock.virtio.op'],
  ...['vsock.virtio.flags', 'vsock.virtio.buf_alloc', 'vsock.virtio.fwd_cnt', 'vsock.payload'],
] as const;
type Dissected = Readonly<Record<(typeof TSHARK_FIELDS)[number], string>>;

function dissect(path: string): Dissected[] {
  const fields = TSHARK_FIELDS.flatMap((name) => ['-e', name]);
  const args = ['-n', '-r', path, '-T', 'fields', '-E', 'separator=,', ...fields];
  const { status, stdout, stderr } = spawnSync('tshark', args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const values = line.split(',');
      return Object.fromEntries(
        TSHARK_FIELDS.map((name, at) => [name, values[at] ?? '']),
      ) as Dissected;
    });
}

const OPS = [
  ...['INVALID', 'REQUEST', 'RESPONSE', 'RST', 'SHUTDOWN', 'RW', 'CREDIT_UPDATE'],
  'CREDIT_REQUEST',
];
const MONITOR_OPS = [0, 1, 1, 2, 2, 4, 3, 3];
const TYPES = ['', 'stream', 'seqpacket'];

/** What tshark is to say of a packet that we describe like this. */
function asTshark(packet: CapturedPacket) {
  const op = OPS.indexOf(packet.op);
  return {
    length: VSOCKMON_VIRTIO_HEADERS + packet.len,
    monitor: [packet.src.cid, packet.dst.cid, packet.src.port, packet.dst.port],
    kind: [MONITOR_OPS[op], 2, 44, 0],
    virtio: [packet.src.cid, packet.dst.cid, packet.src.port, packet.dst.port],
    rest: [packet.len, TYPES.indexOf(packet.type ?? ''), op, packet.flags],
    credit: [packet.bufAlloc, packet.fwdCnt],
  };
}

function fromTshark(row: Dissected): ReturnType<typeof asTshark> {
  const n = (name: keyof Dissected) => Number(row[name]);
  return {
    length: n('frame.len'),
    monitor: [n('vsock.src_cid'), n('vsock.dst_cid'), n('vsock.src_port'), n('vsock.dst_port')],
    kind: [n('vsock.op'), n('vsock.trans'), n('vsock.trans_len'), n('vsock.reserved')],
    virtio: [
      ...[n('vsock.virtio.src_cid'), n('vsock.virtio.dst_cid')],
      ...[n('vsock.virtio.src_prot'), n('vsock.virtio.dst_prot')],
    ],
    rest: [
      ...[n('vsock.virtio.len'), n('vsock.virtio.type')],
      ...[n('vsock.virtio.op'), n('vsock.virtio.flags')],
    ],
    credit: [n('vsock.virtio.buf_alloc'), n('vsock.virtio.fwd_cnt')],
  };
}

t.test('tshark reads in a capture, field by field, what we say of it', async (t) => {
  if (!requireTool(t, 'tshark')) return;
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const data = random(1_000_000);
  await makeInput(host, data);
  const lines = host.start(['vsock', 'capture', '--json', '--verbose']);
  const file = host.start(['vsock', 'capture', '-w', 'all.pcap']);
  await Promise.all([lines.waitFor('listening'), file.waitFor('listening')]);
  await send(host, 'host', 'web1', 7000);
  await send(host, 'web1', 'host', 7001, ['--type', 'seqpacket']);
  t.equal((await host.run(['vsock', 'ping', 'web1', '99', '--count', '1'])).status, 6);
  await quiet(host, 'web1');
  lines.kill('SIGINT');
  file.kill('SIGINT');
  const [said, written] = await Promise.all([lines.ended, file.ended]);
  t.match([said.signal, written.signal], ['SIGINT', 'SIGINT']);

  const packets = said.stdout.toString().trim().split('\n');
  const ours = packets.map((line) => JSON.parse(line) as CapturedPacket);
  const theirs = dissect(host.path('all.pcap'));
  t.match(said.stderr, `{"captured":${ours.length},"lost":0}\n`);
  t.match(written.stderr, `\n${ours.length} packets captured, 0 lost\n`);
  t.strictSame(theirs.map(fromTshark), ours.map(asTshark));

  const seen = new Set(ours.map(({ op, type }) => `${op} ${type}`));
  for (const op of ['REQUEST', 'RESPONSE', 'RW', 'CREDIT_UPDATE', 'SHUTDOWN', 'RST']) {
    for (const type of ['stream', 'seqpacket']) t.ok(seen.has(`${op} ${type}`), `${op} of ${type}`);
  }
  for (const port of ['7000', '7001']) {
    const payload = theirs
      .filter((row) => row['vsock.dst_port'] === port)
      .map((row) => row['vsock.payload']);
    t.ok(Buffer.from(payload.join(''), 'hex').equals(data), `the data for port ${port}`);
  }
  const times = theirs.map((row) => Number(row['frame.time_epoch']));
  t.ok(
    times.every((time, at) => at === 0 || time >= (times[at - 1] ?? 0)),
    'time goes forward',
  );
  const now = Date.now() / 1000;
  t.ok(
    times.every((time) => time > now - 300 && time <= now),
    'and is that of now',
  );
});

t.test('captures by VM, by port, and what a machine says to itself', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1', '--cid', '11']);
  await host.run(['create', 'web2', '--cid', '12']);
  await makeInput(host, random(10));
  const rows: [string, string[]][] = [
    ['all', []],
    ['web1', ['--vm', 'web1']],
    ['inside', ['--in', 'web1']],
    ['web2', ['--vm', 'web2']],
    ['port', ['--port', '7001']],
    ['both', ['--vm', 'web1', '--port', '7001']],
    ['short', ['--snaplen', '80']],
  ];
  const captures = rows.map(([name, flags]) => {
    return { name, run: host.start(['vsock', 'capture', '-w', `${name}.pcap`, ...flags]) };
  });
  for (const { run } of captures) await run.waitFor('listening');
  await send(host, 'host', 'web1', 7000);
  await send(host, 'web2', 'host', 7001);
  await host.run(['--in', 'web1', 'vsock', 'ping', 'local', '7002', '--count', '1']);
  await quiet(host, 'web1', 'web2');
  for (const { run } of captures) run.kill('SIGINT');
  for (const { run } of captures) await run.ended;

  const portsOf = (name: string) => {
    const packets = readFrames(host.path(`${name}.pcap`)).map(readPacket);
    const ports = packets.map(({ src, dst }) => Math.min(src.port, dst.port));
    return [...new Set(ports)];
  };
  t.strictSame(portsOf('all'), [7000, 7001, 7002]);
  t.strictSame(portsOf('web1'), [7000, 7002]);
  t.strictSame(portsOf('inside'), [7000, 7002]);
  t.strictSame(portsOf('web2'), [7001]);
  t.strictSame(portsOf('port'), [7001]);
  t.strictSame(portsOf('both'), []);
  const own = readFrames(host.path('web1.pcap')).map(readPacket);
  t.ok(
    own.some(({ dst }) => dst.cid === 1 && dst.port === 7002),
    'CID 1 is web1 itself',
  );
  const sizes = readFrames(host.path('short.pcap')).map(({ frame, length }) => [
    frame.length,
    length,
  ]);
  t.ok(sizes.some(([size, length]) => size === 80 && length === 86));
});

t.test('a capture is written while it goes on', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const capture = host.start(['vsock', 'capture', '--vm', 'web1', '-w', 'live.pcap']);
  await capture.waitFor('listening on vsock packets of web1');
  const path = host.path('live.pcap');
  t.ok(existsSync(path));
  for (let count = 1; count < 4; count++) {
    await host.run(['vsock', 'ping', 'web1', '99', '--count', '1']);
    // A REQUEST and its RST.
    const size = FILE_HEADER + 2 * count * (16 + VSOCKMON_VIRTIO_HEADERS);
    await until('the file grows', () => statSync(path).size === size);
  }

  await t.test('and ends with its VM', async (t) => {
    await host.run(['destroy', 'web1']);
    t.match(await capture.ended, { status: 0, stderr: /\n6 packets captured, 0 lost\n$/ });
  });
});

t.test('a reader that stands still loses packets, and keeps nobody waiting', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  await host.shell('head -c 100000000 /dev/zero > in').ended;
  const capture = host.start(['vsock', 'capture', '-w', 'slow.pcap']);
  await capture.waitFor('listening');
  const passed = async () => {
    const status = await host.json<{ counters: { packets: number } }>(['sim', 'status']);
    return status.counters.packets;
  };
  const before = await passed();
  capture.kill('SIGSTOP');
  await send(host, 'host', 'web1', 7000);
  await quiet(host, 'web1');
  capture.kill('SIGCONT');
  capture.kill('SIGINT');
  const { stderr } = await capture.ended;
  const [, captured = '', lost = ''] = /(\d+) packets captured, (\d+) lost/.exec(stderr) ?? [];
  t.ok(Number(lost) > 0, `${lost} are lost`);
  t.equal(Number(captured) + Number(lost), (await passed()) - before, 'each is accounted for');
  t.equal(readFrames(host.path('slow.pcap')).length, Number(captured));
  t.ok(statSync(host.path('slow.pcap')).size < 40 * 2 ** 20, 'what waits is bounded');
});

t.test('--timeout ends a capture that waits, and tells what there was', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const capture = ['vsock', 'capture', '--write', 'late.pcap', '--timeout', '100ms'];
  t.match(await host.run(capture), {
    status: 6,
    stderr: /\n0 packets captured, 0 lost\nvmmctl: .* not done within 100ms \(ETIMEDOUT\)\n$/,
  });
  t.equal(statSync(host.path('late.pcap')).size, FILE_HEADER);
});

t.test('who may capture, and what', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const refused = async (t: Test, flags: string[], status: number, stderr: RegExp) => {
    t.match(await host.run(['vsock', 'capture', ...flags]), { status, stderr }, flags.join(' '));
  };
  await refused(t, ['--as', '1000'], 5, /CAP_NET_RAW/);
  await refused(t, ['--jail', 'a'], 5, /CAP_NET_RAW/);
  await refused(t, ['--jail', 'a', '--vm', 'web1'], 3, /no VM 'web1'/);
  await refused(t, ['--vm', 'web9'], 3, /no VM 'web9'[\s\S]*did you mean 'web1'/);

  await t.test('the simulated host ends meanwhile', async (t) => {
    const capture = host.start(['vsock', 'capture']);
    await capture.waitFor('listening');
    await host.run(['sim', 'stop']);
    t.match(await capture.ended, { status: 6, stderr: /the simulated host is gone/ });
  });
});
