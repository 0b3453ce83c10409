/** Buffers in calls of HGCM: their limits, and memory that can't be had, read or written. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { MAX_BOUNCE_BYTES } from '../../../../../src/core/simulator/vbox/driver/hgcm-parameters.js';
import { type Call, Program, startedGuest } from './guest.js';
import { call, connect, type Parameter } from './hgcm-calls.js';
import { later } from './scripted-device.js';

const MIB = 1024 * 1024;

t.test('call: a buffer of size 0 is an empty linear address, wherever it points', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  const answer = call(node, [
    { type: 4, size: 0, address: 0xdead_0000n },
    { type: 5, size: 0, address: 0n },
    { type: 6, size: 0, address: 1n },
  ]);
  t.equal(answer.code, 'ok');
  const bytes = device.of('VMMDevReq_HGCMCall64')[0]?.bytes;
  t.equal(bytes?.length, 44 + 3 * 16);
  for (let index = 0; index < 3; index++) {
    const at = 44 + 16 * index;
    t.strictSame([...(bytes?.subarray(at, at + 16) ?? [])], [4 + index, ...new Uint8Array(15)]);
  }
});

t.test('call: what comes back is the smaller of the sizes that host and program say', async (t) => {
  for (const [hostSize, copied] of [
    [3, 3],
    [0, 0],
    [10, 10],
    [5000, 10],
    [0xffffffff, 10],
  ] as const) {
    const { node, device, pages } = startedGuest();
    connect(node);
    const memory = new Program(100);
    device.on('VMMDevReq_HGCMCall64', (view) => {
      const list = view.getUint32(52, true);
      pages.write(Number(view.getBigUint64(list + 8, true)), new Uint8Array(100).fill(0x78));
      view.setUint32(48, hostSize, true);
      return 0;
    });
    const answer = call(node, [{ type: 6, size: 10, address: memory.base }], { memory });
    t.equal(answer.code, 'ok');
    t.equal(answer.word(44), hostSize, "the parameter has the host's size");
    t.equal(memory.bytes.filter((byte) => byte === 0x78).length, copied);
  }
});

t.test('call: a buffer that can not be read is EFAULT, before the host is asked', async (t) => {
  const { node, device, pages, kernelLog } = startedGuest();
  connect(node);
  const { free } = pages;
  device.seen.length = 0;
  const memory = new Program(100);
  for (const type of [4, 5] as const) {
    const parameters: Parameter[] = [
      { type: 6, size: 50, address: memory.base },
      { type, size: 101, address: memory.base },
    ];
    t.equal(call(node, parameters, { memory }).code, 'EFAULT');
  }
  t.strictSame(device.types(), []);
  t.equal(pages.free, free);
  t.strictSame(kernelLog, Array(2).fill('VBG_IOCTL_HGCM_CALL error: -14'));
});

t.test(
  'call: a buffer that can not be written is EFAULT, after the host has done it all',
  async (t) => {
    const { node, device, pages, kernelLog } = startedGuest();
    connect(node);
    const { free } = pages;
    const memory = new Program(100);
    const answer = call(node, [{ type: 6, size: 101, address: memory.base }], { memory });
    t.equal(answer.code, 'EFAULT');
    t.equal(device.of('VMMDevReq_HGCMCall64').length, 1);
    t.equal(pages.free, free);
    t.strictSame(kernelLog, ['VBG_IOCTL_HGCM_CALL error: -14']);
  },
);

t.test('call: a buffer over 24 MiB is rc OUT_OF_RANGE without an error', async (t) => {
  const { node, device, pages } = startedGuest();
  connect(node);
  const { free } = pages;
  device.seen.length = 0;
  const size = 24 * MIB + 1;
  for (const type of [4, 5, 6] as const) {
    const answer = call(node, [{ u32: 7 }, { type, size, address: 0n }]);
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, -54);
    t.equal(answer.word(44), 7, 'parameters are as they were');
    t.equal(answer.word(60), size);
  }
  t.equal(call(node, [{ type: 6, size: 0xffffffff, address: 0n }]).rc, -54);
  t.strictSame(device.types(), []);
  t.equal(pages.free, free);
});

t.test('call: parameters are looked at in their order', async (t) => {
  const { node } = startedGuest();
  connect(node);
  const bad: Parameter = { type: 5, size: 1, address: 0n };
  const large: Parameter = { type: 5, size: 24 * MIB + 1, address: 0n };
  t.equal(call(node, [bad, large]).code, 'EFAULT');
  t.equal(call(node, [large, bad]).rc, -54);
});

t.test('call: 24 MiB pass', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  const memory = new Program(24 * MIB);
  const answer = call(node, [{ type: 6, size: 24 * MIB, address: memory.base }], { memory });
  t.equal(answer.code, 'ok');
  const bytes = device.of('VMMDevReq_HGCMCall64')[0]?.bytes;
  t.equal(bytes?.length, 44 + 16 + 8 + 8 * 6144);
});

t.test('call: 32 parameters pass', async (t) => {
  const { node } = startedGuest();
  connect(node);
  t.equal(call(node, Array(32).fill({ u32: 1 })).code, 'ok');
});

t.test('call: no memory for a buffer is ENOMEM', async (t) => {
  const { node, pages } = startedGuest(8 * MIB);
  connect(node);
  const { free } = pages;
  t.equal(call(node, [{ type: 6, size: 16 * MIB, address: 0n }]).code, 'ENOMEM');
  t.equal(pages.free, free);
});

t.test('call: buffers of all calls under way have a limit', async (t) => {
  const guest = startedGuest(1024 * MIB);
  const { node, device, pages } = guest;
  connect(node);
  device.on('VMMDevReq_HGCMCall64', later);
  const { free } = pages;
  const size = 20 * MIB;
  const calls: Call[] = [];
  for (let total = size; total <= MAX_BOUNCE_BYTES; total += size) {
    calls.push(call(node, [{ type: 6, size, address: 0n }]));
  }
  t.ok(calls.every(({ code }) => code === 'waits'));
  t.equal(call(node, [{ type: 6, size, address: 0n }]).code, 'ENOMEM');
  for (const one of calls) one.interrupt();
  t.equal(pages.free, free);
  t.equal(call(node, [{ type: 6, size, address: 0n }]).code, 'waits', 'and then there is room');
});

t.test('call: a status that is a failure is the rc, and the error is none', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  device.refuse('VMMDevReq_HGCMCall64', VBOX_STATUS.VERR_NOT_SUPPORTED);
  const answer = call(node, [{ u32: 5 }]);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, -37);
  t.equal(answer.word(44), 5);
});

t.test('call: who asks is told to the host', async (t) => {
  const { driver, device } = startedGuest();
  const node = driver.open('vboxuser', ROOT);
  connect(node);
  call(node);
  t.equal(device.of('VMMDevReq_HGCMCall64')[0]?.requestor, 0x808b);
});
