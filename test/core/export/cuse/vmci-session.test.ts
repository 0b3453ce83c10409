/** /dev/vmci by CUSE from the kernel's side: memory that the numbers do not tell, and poll. */
import t from 'tap';
import { FUSE_OPCODE, FUSE_POLL_SCHEDULE_NOTIFY } from '../../../../src/core/abi/fuse.js';
import { i32, toBytes } from '../../../../src/core/abi/layout.js';
import { POLLIN } from '../../../../src/core/abi/poll.js';
import { VMCI_VERSION_NOVMVM } from '../../../../src/core/abi/vmci.js';
import { decodeDatagram, encodeDatagram } from '../../../../src/core/abi/vmci-datagram.js';
import {
  IOCTL_VMCI_DATAGRAM_RECEIVE,
  IOCTL_VMCI_DATAGRAM_SEND,
  IOCTL_VMCI_INIT_CONTEXT,
  IOCTL_VMCI_QUEUEPAIR_ALLOC,
  IOCTL_VMCI_SET_NOTIFY,
  IOCTL_VMCI_VERSION2,
  vmci_datagram_snd_rcv_info,
  vmci_init_blk,
  vmci_qp_alloc_info,
  vmci_set_notify_info,
} from '../../../../src/core/abi/vmci-ioctls.js';
import { guestNode } from './guest.js';
import type { FakeKernel } from './kernel.js';

const OK = { result: 0 };
const BUFFER = 8192;
const KH = 77n;

/** An open node with the context 7. */
async function opened(kernel: FakeKernel): Promise<bigint> {
  const fh = await kernel.open();
  if (typeof fh === 'string') throw new Error(fh);
  const version = kernel.place(0, toBytes(i32, VMCI_VERSION_NOVMVM));
  t.strictSame(await kernel.ioctl(fh, IOCTL_VMCI_VERSION2, version), {
    result: VMCI_VERSION_NOVMVM,
  });
  const context = kernel.place(0, vmci_init_blk.encode({ cid: 7 }));
  t.strictSame(await kernel.ioctl(fh, IOCTL_VMCI_INIT_CONTEXT, context), OK);
  t.equal(vmci_init_blk.decode(kernel.memory).cid, 7);
  return fh;
}

async function transfer(kernel: FakeKernel, fh: bigint, request: number, len: number) {
  const info = { addr: kernel.place(BUFFER, new Uint8Array()), len, result: 99 };
  const at = kernel.place(0, vmci_datagram_snd_rcv_info.encode(info));
  t.strictSame(await kernel.ioctl(fh, request, at), OK);
  return vmci_datagram_snd_rcv_info.decode(kernel.memory).result;
}

async function sendToSelf(kernel: FakeKernel, fh: bigint, text: string): Promise<number> {
  const own = { context: 7, resource: 500 };
  const datagram = encodeDatagram({ dst: own, src: own, payload: Buffer.from(text) });
  kernel.place(BUFFER, datagram);
  return transfer(kernel, fh, IOCTL_VMCI_DATAGRAM_SEND, datagram.length);
}

t.test('datagrams go out and come in', async (t) => {
  const { kernel } = guestNode('/dev/vmci');
  const fh = await opened(kernel);
  t.equal(await sendToSelf(kernel, fh, 'hello'), 29);
  kernel.memory.fill(0x23, BUFFER, BUFFER + 200);
  t.equal(await transfer(kernel, fh, IOCTL_VMCI_DATAGRAM_RECEIVE, 200_000), 0);
  t.equal(kernel.rounds, 3);
  const datagram = decodeDatagram(kernel.memory.subarray(BUFFER, BUFFER + 29));
  t.equal(Buffer.from(datagram?.payload ?? []).toString(), 'hello');
  t.equal(kernel.memory[BUFFER + 29], 0x23, 'nothing is written behind');
  t.equal(await transfer(kernel, fh, IOCTL_VMCI_DATAGRAM_RECEIVE, 100), -6);
});

t.test('memory beyond a call can not be had, and the results say so', async (t) => {
  const { kernel } = guestNode('/dev/vmci');
  const fh = await opened(kernel);
  const addr = kernel.place(BUFFER, new Uint8Array());
  const pair = { handle: { context: 7, resource: 1 }, peer: 2, produce_size: 4096n };
  const pages = { consume_size: 4096n, ppn_va: addr, num_ppns: 4n, version: VMCI_VERSION_NOVMVM };
  const alloc = kernel.place(0, vmci_qp_alloc_info.encode({ ...pair, ...pages }));
  t.strictSame(await kernel.ioctl(fh, IOCTL_VMCI_QUEUEPAIR_ALLOC, alloc), OK);
  t.equal(vmci_qp_alloc_info.decode(kernel.memory).result, -3, 'NO_MEM');
  const notify = kernel.place(0, vmci_set_notify_info.encode({ notify_uva: addr }));
  t.strictSame(await kernel.ioctl(fh, IOCTL_VMCI_SET_NOTIFY, notify), OK);
  t.equal(vmci_set_notify_info.decode(kernel.memory).result, -13, 'GENERIC');
});

t.test('poll tells what waits, and that something has come', async (t) => {
  const { kernel } = guestNode('/dev/vmci');
  const fh = await opened(kernel);
  t.equal(await kernel.poll(fh, KH, 0), 0);
  await sendToSelf(kernel, fh, 'one');
  t.equal(await kernel.poll(fh, KH, 0), POLLIN);
  t.equal(await kernel.poll(fh, KH, 0, 0), 0, 'nobody asked for that');
  t.strictSame(kernel.wakeups, [], 'nobody waits');
  t.equal(await transfer(kernel, fh, IOCTL_VMCI_DATAGRAM_RECEIVE, 100), 0);
  t.equal(await kernel.poll(fh, KH, FUSE_POLL_SCHEDULE_NOTIFY), 0);
  await sendToSelf(kernel, fh, 'two');
  t.ok(kernel.wakeups.includes(KH));
  t.equal(await kernel.poll(fh, KH, 0), POLLIN);
  t.equal(await kernel.poll(99n, KH, 0), 'EBADF');
  t.equal(await kernel.request(FUSE_OPCODE.FUSE_POLL, new Uint8Array(8)), 'EINVAL');
});

t.test('a node without a poll of its own has the kernel ask no more', async (t) => {
  const { kernel } = guestNode();
  const fh = await kernel.open();
  t.equal(typeof fh === 'bigint' ? await kernel.poll(fh, KH, 0) : fh, 'ENOSYS');
});
