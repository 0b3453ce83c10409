import t from 'tap';
import { virtio_vsock_hdr } from '../../../src/core/abi/virtio-vsock.js';
import {
  af_vsockmon_hdr,
  VSOCKMON_VIRTIO_HEADERS,
  writeMonitorHeaders,
} from '../../../src/core/abi/vsockmon.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function headerOf(op: number, srcCid = 3n): Uint8Array {
  const addresses = { src_cid: srcCid, dst_cid: 2n, src_port: 0x1234, dst_port: 0x5678 };
  const rest = { len: 0, type: 1, op, flags: 0, buf_alloc: 0x40000, fwd_cnt: 6 };
  return virtio_vsock_hdr.encode({ ...addresses, ...rest });
}

t.test('the headers stand where they are told to, and nothing else is written', async (t) => {
  const into = new Uint8Array(VSOCKMON_VIRTIO_HEADERS + 4).fill(0xee);
  writeMonitorHeaders(into, 2, headerOf(5));
  const monitor = '03000000000000000200000000000000341200007856000004000200' + '2c000000';
  const virtio =
    '0300000000000000020000000000000034120000785600000000000001000500000000000000040006000000';
  t.equal(hex(into), `eeee${monitor}${virtio}eeee`);
});

t.test('each operation of virtio is one of the monitor', async (t) => {
  const found = Array.from({ length: 10 }, (_, op) => {
    const into = new Uint8Array(VSOCKMON_VIRTIO_HEADERS);
    writeMonitorHeaders(into, 0, headerOf(op));
    return af_vsockmon_hdr.decode(into).op;
  });
  // INVALID; REQUEST, RESPONSE; RST, SHUTDOWN; RW; CREDIT_UPDATE, CREDIT_REQUEST; what there is not.
  t.strictSame(found, [0, 1, 1, 2, 2, 4, 3, 3, 0, 0]);
});

t.test('a CID of 64 bits is kept', async (t) => {
  const into = new Uint8Array(VSOCKMON_VIRTIO_HEADERS);
  writeMonitorHeaders(into, 0, headerOf(1, 2n ** 64n - 2n));
  t.equal(af_vsockmon_hdr.decode(into).src_cid, 2n ** 64n - 2n);
});
