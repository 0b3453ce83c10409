/** A node of CUSE from the kernel's side: what programs do with it, and what goes wrong. */
import t from 'tap';
import { FUSE_OPCODE, fuse_ioctl_in, fuse_open_in } from '../../../../src/core/abi/fuse.js';
import { GUEST_PROP_FN } from '../../../../src/core/abi/guest-prop.js';
import {
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_DRIVER_VERSION_INFO,
  VBG_IOCTL_LOG,
  VBG_IOCTL_VMMDEV_REQUEST_BIG,
  VBG_IOCTL_WAIT_FOR_EVENTS,
  vbg_ioctl_driver_version_info_in,
  vbg_ioctl_driver_version_info_out,
  vbg_ioctl_hdr,
  vbg_ioctl_wait_for_events_in,
} from '../../../../src/core/abi/vboxguest.js';
import { VMM_IOCTLS, vm_cpu_topology } from '../../../../src/core/abi/vmm.js';
import { VMMCTL_VM_CREATE, VMMCTL_VM_DESTROY } from '../../../../src/core/abi/vmmctl.js';
import { VMMDEV_REQUEST_TYPE } from '../../../../src/core/abi/vmmdev.js';
import { VMMDevReqHostTime } from '../../../../src/core/abi/vmmdev-requests.js';
import { createArgument, DESTROY_ON_CLOSE } from '../../../helpers/vmm.js';
import { argument, buffer, call, connect, guestNode, hostNode, value } from './guest.js';
import { BASE, type FakeKernel, message } from './kernel.js';

const OK = { result: 0 };
const HEADER = vbg_ioctl_hdr.size;

async function opened(kernel: FakeKernel): Promise<bigint> {
  const fh = await kernel.open();
  if (typeof fh === 'string') throw new Error(fh);
  return fh;
}

function versionArgument(): Uint8Array {
  const whole = vbg_ioctl_driver_version_info_in.encode({
    req_version: 0x10000,
    min_version: 0x10000,
  });
  return argument(whole.subarray(HEADER), vbg_ioctl_driver_version_info_out.size);
}

function waitArgument(timeout_ms: number): Uint8Array {
  const whole = vbg_ioctl_wait_for_events_in.encode({ timeout_ms, events: 4 });
  return argument(whole.subarray(HEADER), HEADER + 4);
}

/** The call has all its memory, and waits. */
async function secondRound(kernel: FakeKernel): Promise<void> {
  for (let turn = 0; turn < 100 && kernel.rounds < 2; turn++) await Promise.resolve();
}

t.test('who opens a node is who calls', async (t) => {
  const { kernel } = guestNode();
  t.type(await kernel.open(2, 0), 'bigint');
  t.equal(await kernel.open(2, 1000), 'EACCES');
  t.type(await kernel.open(2, 1000, 0), 'bigint', 'the group of the node');
  t.equal(await kernel.open(3), 'EINVAL', 'neither read nor write');
  const user = guestNode('/dev/vboxuser');
  t.type(await user.kernel.open(2, 1000), 'bigint');
});

t.test('each open has a state of its own, which a release ends', async (t) => {
  const { kernel } = guestNode();
  const [one, two] = [await opened(kernel), await opened(kernel)];
  t.not(one, two);
  t.equal(await kernel.release(one), undefined);
  t.equal(await kernel.release(one), 'EBADF');
  const at = kernel.place(0, versionArgument());
  t.equal(await kernel.ioctl(one, VBG_IOCTL_DRIVER_VERSION_INFO, at), 'EBADF');
  t.strictSame(await kernel.ioctl(two, VBG_IOCTL_DRIVER_VERSION_INFO, at), OK);
  for (const fh of [0n, 2n ** 53n, 2n ** 64n - 1n]) t.equal(await kernel.release(fh), 'EBADF');
});

t.test('an ioctl whose number tells its size takes two rounds', async (t) => {
  const { kernel } = guestNode();
  const at = kernel.place(100, versionArgument());
  t.strictSame(await kernel.ioctl(await opened(kernel), VBG_IOCTL_DRIVER_VERSION_INFO, at), OK);
  t.equal(kernel.rounds, 2);
  const answer = vbg_ioctl_driver_version_info_out.decode(kernel.memory.subarray(100));
  t.match(answer, { hdr: { rc: 0 }, session_version: 0x10000, driver_version: 0x10000 });
});

t.test('one whose header tells it takes three', async (t) => {
  const { kernel, keeper } = guestNode();
  const fh = await opened(kernel);
  const { VMMDevReq_GetHostTime } = VMMDEV_REQUEST_TYPE;
  const request = argument(new Uint8Array(8), VMMDevReqHostTime.size, VMMDevReq_GetHostTime);
  const at = kernel.place(0, request);
  t.strictSame(await kernel.ioctl(fh, VBG_IOCTL_VMMDEV_REQUEST_BIG, at), OK);
  t.equal(kernel.rounds, 3);
  t.equal(VMMDevReqHostTime.decode(kernel.memory).time, BigInt(keeper.world.clock.wallMs()));

  kernel.memory.fill(0x23);
  const text = new TextEncoder().encode('a line\n');
  const line = kernel.place(0, argument(text, HEADER));
  t.strictSame(await kernel.ioctl(fh, VBG_IOCTL_LOG, line), OK);
  t.match(keeper.lines.at(-1), 'a line');
  t.equal(kernel.memory[HEADER + text.length], 0x23, 'nothing is written behind');
});

t.test('the buffers of a call of HGCM are copied as its parameters say', async (t) => {
  const { kernel, domain } = guestNode();
  const fh = await opened(kernel);
  const client = await connect(kernel, fh);
  const literals = kernel.memory.length - 4096;
  kernel.readOnlyFrom = literals;
  const name = kernel.place(literals, new TextEncoder().encode('/a/b\0'));
  const text = kernel.place(literals + 100, new TextEncoder().encode('hello\0'));
  const set = [buffer('LinAddr_In', name, 5), buffer('LinAddr_In', text, 6)];
  const { GUEST_PROP_FN_SET_PROP_VALUE, GUEST_PROP_FN_GET_PROP } = GUEST_PROP_FN;
  t.strictSame(await call(kernel, fh, client, GUEST_PROP_FN_SET_PROP_VALUE, set), OK);
  t.equal(kernel.rounds, 3);
  t.match(domain.vbox.properties.get('/a/b'), { value: 'hello' });

  const room = kernel.place(8192, new Uint8Array(64).fill(0x23));
  const get = [buffer('LinAddr_In', name, 5), buffer('LinAddr_Out', room, 64), value(2), value(1)];
  t.strictSame(await call(kernel, fh, client, GUEST_PROP_FN_GET_PROP, get), OK);
  t.equal(Buffer.from(kernel.memory.subarray(8192, 8198)).toString(), 'hello\0');

  const wild = [buffer('LinAddr_In', 16n, 5), buffer('LinAddr_In', text, 6)];
  t.equal(await call(kernel, fh, client, GUEST_PROP_FN_SET_PROP_VALUE, wild), 'EFAULT');
  const fixed = [buffer('LinAddr_In', name, 5), buffer('LinAddr_Out', name, 5), value(2), value(1)];
  t.equal(await call(kernel, fh, client, GUEST_PROP_FN_GET_PROP, fixed), 'EFAULT');
});

t.test('what the kernel does not carry is ENOMEM', async (t) => {
  const { kernel } = guestNode();
  const fh = await opened(kernel);
  const client = await connect(kernel, fh);
  const large = [buffer('LinAddr', BASE, 128 * 1024)];
  t.equal(await call(kernel, fh, client, 1, large), 'ENOMEM');
  const header = vbg_ioctl_hdr.encode({ version: 0x10001, size_in: 0xffffffff, size_out: 24 });
  const at = kernel.place(0, header);
  t.equal(await kernel.ioctl(fh, VBG_IOCTL_VMMDEV_REQUEST_BIG, at), 'ENOMEM');
});

t.test('a header without sense is all that the driver sees', async (t) => {
  const { kernel } = guestNode();
  const fh = await opened(kernel);
  const bad = (fields: object) =>
    kernel.place(
      0,
      vbg_ioctl_hdr.encode({ version: 0x10001, size_in: 24, size_out: 24, ...fields }),
    );
  const big = VBG_IOCTL_VMMDEV_REQUEST_BIG;
  t.equal(await kernel.ioctl(fh, big, bad({ version: 1 })), 'EINVAL');
  t.equal(await kernel.ioctl(fh, big, bad({ size_in: 23 })), 'EINVAL');
  t.equal(await kernel.ioctl(fh, big, bad({ size_out: 23 })), 'EINVAL');
  t.equal(
    await kernel.ioctl(fh, VBG_IOCTL_CHECK_BALLOON, bad({})),
    'EINVAL',
    'the number tells more',
  );
  t.equal(await kernel.ioctl(fh, 0x5699, bad({})), 'ENOTTY');
  t.equal(await kernel.ioctl(fh, 0x5401, 0n), 'EFAULT', 'as of a terminal, without an argument');
});

t.test('a signal ends a call that waits', async (t) => {
  const { kernel, keeper } = guestNode();
  const fh = await opened(kernel);
  const at = kernel.place(0, waitArgument(0xffffffff));
  const begun = kernel.beginIoctl(fh, VBG_IOCTL_WAIT_FOR_EVENTS, at);
  await secondRound(kernel);
  kernel.interrupt(999n);
  kernel.tell(FUSE_OPCODE.FUSE_INTERRUPT, new Uint8Array(3));
  t.equal(kernel.waiting, 1, 'it was meant for others');
  begun.interrupt();
  t.equal(await begun.outcome, 'EINTR');
  begun.interrupt();

  const limited = kernel.ioctl(fh, VBG_IOCTL_WAIT_FOR_EVENTS, kernel.place(0, waitArgument(100)));
  await secondRound(kernel);
  keeper.pass(100);
  t.equal(await limited, 'ETIMEDOUT');
});

t.test('only so many calls may wait', async (t) => {
  const { kernel, session } = guestNode();
  const fh = await opened(kernel);
  const at = kernel.place(0, waitArgument(0xffffffff));
  const begin = () => kernel.ioctl(fh, VBG_IOCTL_WAIT_FOR_EVENTS, at);
  const waiting = Array.from({ length: 4096 }, begin);
  await secondRound(kernel);
  t.equal(await begin(), 'ENOMEM');
  session.close();
  t.ok((await Promise.all(waiting)).every((outcome) => outcome === 'EINTR'));
});

t.test('calls that wait are ended with the session', async (t) => {
  const { kernel, session, domain } = guestNode();
  const fh = await opened(kernel);
  const at = kernel.place(0, waitArgument(0xffffffff));
  const waiting = kernel.ioctl(fh, VBG_IOCTL_WAIT_FOR_EVENTS, at);
  await secondRound(kernel);
  session.close();
  t.equal(await waiting, 'EINTR');
  domain.vbox.close();
});

t.test('what a node does not have', async (t) => {
  const { kernel, keeper, session } = guestNode();
  const none = new Uint8Array(0);
  t.equal(await kernel.poll(await opened(kernel), 1n, 0), 'ENOSYS');
  t.equal(await kernel.request(99, none), 'ENOSYS');
  t.equal(await kernel.request(FUSE_OPCODE.FUSE_READ, none), 'EINVAL');
  t.equal(await kernel.request(FUSE_OPCODE.FUSE_WRITE, new Uint8Array(100)), 'EINVAL');
  kernel.tell(FUSE_OPCODE.FUSE_FORGET, none);
  for (const opcode of [FUSE_OPCODE.FUSE_OPEN, FUSE_OPCODE.FUSE_IOCTL, FUSE_OPCODE.FUSE_RELEASE]) {
    t.equal(await kernel.request(opcode, new Uint8Array(3)), 'EINVAL');
  }
  const lies = fuse_ioctl_in.encode({ fh: await opened(kernel), in_size: 5 });
  t.equal(await kernel.request(FUSE_OPCODE.FUSE_IOCTL, lies), 'EINVAL');
  t.equal(kernel.waiting, 0);
  session.receive(new Uint8Array(7));
  t.match(keeper.lines.at(-1), '/dev/vboxguest: 7 bytes that are no request');
  session.receive(message(FUSE_OPCODE.FUSE_OPEN, 2n, fuse_open_in.encode({})).subarray(0, 41));
  t.match(keeper.lines.at(-1), '41 bytes that are no request');
});

t.test('a defect or a full disk is EIO, and in the log', async (t) => {
  const { kernel, keeper } = hostNode();
  keeper.diskFails = true;
  const at = kernel.place(0, createArgument('web1'));
  t.equal(await kernel.ioctl(await opened(kernel), VMMCTL_VM_CREATE, at), 'EIO');
  t.match(keeper.lines.at(-1), /\/dev\/vmmctl: a call failed: Error: the disk is full/);
});

t.test('only so many may have a node open', async (t) => {
  const { kernel } = hostNode();
  for (let count = 0; count < 4096; count++) await opened(kernel);
  t.equal(await kernel.open(), 'EMFILE');
  await kernel.release(1n);
  t.type(await kernel.open(), 'bigint');
});

t.test('numbers of FreeBSD tell direction and size', async (t) => {
  const { kernel, keeper } = hostNode();
  const fh = await opened(kernel);
  const at = kernel.place(0, createArgument('web1'));
  t.strictSame(await kernel.ioctl(fh, VMMCTL_VM_CREATE, at), OK);
  t.equal(kernel.rounds, 2);
  t.ok(keeper.world.peek('web1'));
  t.equal(await kernel.ioctl(fh, VMMCTL_VM_CREATE, at), 'EEXIST');
  t.equal(await kernel.ioctl(fh, 0x20005600, 5n), 'ENOTTY');
  t.equal(kernel.rounds, 1, 'an ioctl without an argument has no memory');
  t.equal(await kernel.open(0), 'EPERM');
  t.equal(await kernel.open(2, 1000), 'EACCES');
  t.equal(await kernel.request(FUSE_OPCODE.FUSE_READ, new Uint8Array(40)), 'ENODEV');
  t.strictSame(await kernel.ioctl(fh, VMMCTL_VM_DESTROY, at), OK);
  t.equal(keeper.world.peek('web1'), undefined);
});

t.test('a VM that is to go with its handle does', async (t) => {
  const { kernel, keeper } = hostNode();
  const fh = await opened(kernel);
  const at = kernel.place(0, createArgument('web1', DESTROY_ON_CLOSE));
  t.strictSame(await kernel.ioctl(fh, VMMCTL_VM_CREATE, at), OK);
  await kernel.release(fh);
  t.equal(keeper.world.peek('web1'), undefined);
});

t.test('the node of a VM, and the end of it', async (t) => {
  const { kernel, keeper } = hostNode('/dev/vmm/web1');
  t.equal(await kernel.open(), 'ENOENT');
  keeper.create('web1');
  const fh = await opened(kernel);
  const topology = vm_cpu_topology.encode({ sockets: 1, cores: 2, threads: 2 });
  const at = kernel.place(0, topology);
  t.strictSame(await kernel.ioctl(fh, VMM_IOCTLS.VM_SET_TOPOLOGY.number, at), OK);
  kernel.memory.fill(0);
  t.strictSame(await kernel.ioctl(fh, VMM_IOCTLS.VM_GET_TOPOLOGY.number, at), OK);
  t.match(vm_cpu_topology.decode(kernel.memory), { sockets: 1, cores: 2, threads: 2 });
  keeper.destroy('web1');
  t.equal(await kernel.ioctl(fh, VMM_IOCTLS.VM_GET_TOPOLOGY.number, at), 'ENXIO');
});
