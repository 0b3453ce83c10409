/** Which memory an ioctl of /dev/vmci has. */
import fc from 'fast-check';
import t from 'tap';
import {
  IOCTL_VMCI_CTX_GET_CPT_STATE,
  IOCTL_VMCI_CTX_SET_CPT_STATE,
  IOCTL_VMCI_DATAGRAM_RECEIVE,
  IOCTL_VMCI_DATAGRAM_SEND,
  IOCTL_VMCI_GET_CONTEXT_ID,
  IOCTL_VMCI_INIT_CONTEXT,
  IOCTL_VMCI_NOTIFICATIONS_RECEIVE,
  IOCTL_VMCI_QUEUEPAIR_ALLOC,
  IOCTL_VMCI_VERSION,
  IOCTL_VMCI_VERSION2,
  vmci_ctx_chkpt_buf_info,
  vmci_ctx_notify_recv_info,
  vmci_datagram_snd_rcv_info,
} from '../../../../src/core/abi/vmci-ioctls.js';
import { checkTransfer } from '../../../../src/core/export/cuse/ranges.js';
import { vmciRanges } from '../../../../src/core/export/cuse/vmci-ranges.js';

const NOTHING = new Uint8Array(0);
const AT = 0x1000n;
const BUFFER = 0x20000n;
const argument = (length: number) => ({ base: AT, length });

t.test('arguments without buffers', async (t) => {
  const ranges = (request: number) => vmciRanges(request, AT, NOTHING);
  t.strictSame(ranges(IOCTL_VMCI_VERSION), { into: [], out: [] });
  t.strictSame(ranges(IOCTL_VMCI_VERSION2), { into: [argument(4)], out: [] });
  t.strictSame(ranges(IOCTL_VMCI_GET_CONTEXT_ID), { into: [], out: [argument(4)] });
  t.strictSame(ranges(IOCTL_VMCI_INIT_CONTEXT), { into: [argument(8)], out: [argument(8)] });
  const pages = { into: [argument(56)], out: [argument(56)] };
  t.strictSame(ranges(IOCTL_VMCI_QUEUEPAIR_ALLOC), pages, 'the page store is not carried');
  t.strictSame(ranges(0x755), { into: [], out: [] }, 'an unknown number');
});

t.test('a datagram that is sent is read', async (t) => {
  const ranges = (len: number) => {
    const copied = vmci_datagram_snd_rcv_info.encode({ addr: BUFFER, len });
    return vmciRanges(IOCTL_VMCI_DATAGRAM_SEND, AT, copied);
  };
  const whole = { into: [argument(16)], out: [argument(16)] };
  t.strictSame(vmciRanges(IOCTL_VMCI_DATAGRAM_SEND, AT, NOTHING), whole, 'the first round');
  const buffer = { base: BUFFER, length: 27 };
  t.strictSame(ranges(27), { into: [argument(16), buffer], out: [argument(16)] });
  t.strictSame(ranges(23), whole, 'refused without a look');
  t.strictSame(ranges(69633), whole, 'refused without a look');
});

t.test('room for a datagram is as long as the longest one at most', async (t) => {
  const ranges = (len: number) => {
    const copied = vmci_datagram_snd_rcv_info.encode({ addr: BUFFER, len });
    return vmciRanges(IOCTL_VMCI_DATAGRAM_RECEIVE, AT, copied);
  };
  const room = (length: number) => [argument(16), { base: BUFFER, length }];
  t.strictSame(ranges(10), { into: room(10), out: room(10) });
  t.strictSame(ranges(200000), { into: room(69632), out: room(69632) });
  checkTransfer(ranges(0xffffffff));
});

t.test('rings and checkpoints', async (t) => {
  const rings = vmci_ctx_notify_recv_info.encode({
    db_handle_buf_uva: BUFFER,
    db_handle_buf_size: 2n ** 64n - 1n,
  });
  const most = { base: BUFFER, length: 32768 };
  t.strictSame(vmciRanges(IOCTL_VMCI_NOTIFICATIONS_RECEIVE, AT, rings), {
    into: [argument(40), most],
    out: [argument(40), most],
  });
  const state = vmci_ctx_chkpt_buf_info.encode({ cpt_buf: BUFFER, buf_size: 4 });
  const buffer = { base: BUFFER, length: 4 };
  t.strictSame(vmciRanges(IOCTL_VMCI_CTX_SET_CPT_STATE, AT, state), {
    into: [argument(24), buffer],
    out: [argument(24)],
  });
  t.strictSame(vmciRanges(IOCTL_VMCI_CTX_GET_CPT_STATE, AT, state), {
    into: [argument(24), buffer],
    out: [argument(24), buffer],
  });
  const nothing = vmci_ctx_chkpt_buf_info.encode({ cpt_buf: 0n, buf_size: 4 });
  const { into } = vmciRanges(IOCTL_VMCI_CTX_GET_CPT_STATE, AT, nothing);
  t.strictSame(into, [argument(24)], 'no buffer');
});

t.test('whatever stands in an argument, the kernel carries it', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0x79f, max: 0x7cb }),
      fc.uint8Array({ maxLength: 80 }),
      (n, copied) => checkTransfer(vmciRanges(n, AT, copied)),
    ),
  );
});
