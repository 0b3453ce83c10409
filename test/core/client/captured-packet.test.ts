import t from 'tap';
import { virtio_vsock_hdr } from '../../../src/core/abi/virtio-vsock.js';
import { af_vsockmon_hdr } from '../../../src/core/abi/vsockmon.js';
import { packetText, readPacket } from '../../../src/core/client/captured-packet.js';

const TIME_US = Date.parse('2026-01-02T03:04:05.006Z') * 1000 + 7;
const ADDRESSES = { src_cid: 3n, dst_cid: 2n, src_port: 1024, dst_port: 22 };
const BUFFER = { buf_alloc: 262144, fwd_cnt: 6 };

function read(change: { op: number; type?: number; flags?: number; len?: number }) {
  const { op, type = 1, flags = 0, len = 0 } = change;
  const monitor = af_vsockmon_hdr.encode({ ...ADDRESSES, op: 4, transport: 2, len: 44 });
  const virtio = virtio_vsock_hdr.encode({ ...ADDRESSES, op, type, flags, len, ...BUFFER });
  const frame = new Uint8Array(Buffer.concat([monitor, virtio, new Uint8Array(len)]));
  return readPacket({ timeUs: TIME_US, frame, length: frame.length });
}

t.test('all fields of a packet', async (t) => {
  t.strictSame(read({ op: 5, len: 5 }), {
    time: '2026-01-02T03:04:05.006007Z',
    src: { cid: 3, port: 1024 },
    dst: { cid: 2, port: 22 },
    op: 'RW',
    type: 'stream',
    len: 5,
    flags: 0,
    bufAlloc: 262144,
    fwdCnt: 6,
  });
});

t.test('lines name operations, types and flags', async (t) => {
  const start = '03:04:05.006007 3:1024 > 2:22';
  const end = 'buf_alloc 262144 fwd_cnt 6';
  const rows: [Parameters<typeof read>[0], string][] = [
    [{ op: 1 }, 'REQUEST stream len 0 flags 0'],
    [{ op: 2, type: 2 }, 'RESPONSE seqpacket len 0 flags 0'],
    [{ op: 5, len: 9 }, 'RW stream len 9 flags 0'],
    [{ op: 5, type: 2, len: 9, flags: 1 }, 'RW seqpacket len 9 flags EOM'],
    [{ op: 5, type: 2, len: 9, flags: 3 }, 'RW seqpacket len 9 flags EOM,EOR'],
    [{ op: 4, flags: 3 }, 'SHUTDOWN stream len 0 flags RCV,SEND'],
    [{ op: 4, flags: 2 }, 'SHUTDOWN stream len 0 flags SEND'],
    [{ op: 4, flags: 6 }, 'SHUTDOWN stream len 0 flags 6'],
    [{ op: 3, flags: 1 }, 'RST stream len 0 flags 1'],
    [{ op: 7 }, 'CREDIT_REQUEST stream len 0 flags 0'],
    [{ op: 99, type: 9 }, 'op 99 9 len 0 flags 0'],
  ];
  for (const [change, text] of rows) {
    t.equal(packetText(read(change)), `${start} ${text} ${end}`);
  }
});

t.test('of another transport there are the addresses, the operation and the length', async (t) => {
  const monitor = af_vsockmon_hdr.encode({ ...ADDRESSES, op: 4, transport: 1, len: 8 });
  const frame = new Uint8Array(Buffer.concat([monitor, new Uint8Array(8 + 5)]));
  const packet = readPacket({ timeUs: TIME_US, frame, length: 1000 });
  t.match(packet, { op: 'PAYLOAD', len: 1000 - 32 - 8, type: null, flags: null, fwdCnt: null });
  t.equal(packetText(packet), '03:04:05.006007 3:1024 > 2:22 PAYLOAD len 960');
});

t.test('headers that are cut do no harm', async (t) => {
  const whole = af_vsockmon_hdr.encode({ ...ADDRESSES, op: 77, transport: 2, len: 44 });
  const packet = readPacket({ timeUs: TIME_US, frame: whole, length: 32 });
  t.match(packet, { op: 'op 77', len: 0, type: null });
  const short = whole.subarray(0, 31);
  t.throws(() => readPacket({ timeUs: TIME_US, frame: short, length: 31 }), RangeError);
});
