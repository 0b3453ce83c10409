/** Requests that programs pass on to the host: sizes, who may pass what, and what the host sees. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VMMDEV_REQUEST_TYPE } from '../../../../../src/core/abi/vmmdev.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { argument, Call, realGuest, startedGuest } from './guest.js';

const MIB = 1024 * 1024;
const REQUEST = 0xc0005602;
const BIG = 0x5603;
const BIG_ALT = 0xc0005603;

/** As the driver's source has them. */
const TRUSTED = [74, 100, 101, 110, 112, 210, 211, 212, 213, 214, 215, 216, 218];
const ANYONE = [
  1, 2, 3, 4, 5, 10, 30, 41, 42, 51, 52, 53, 54, 57, 59, 70, 71, 72, 73, 80, 81, 150, 200, 217, 222,
];
const BY_CONTENT = 55;

function pass(name: 'vboxguest' | 'vboxuser', type: number, word = 0) {
  const guest = startedGuest();
  const node = guest.driver.open(name, ROOT);
  const call = new Call(node, REQUEST | (40 << 16), argument([word, 0, 0, 0], { type }));
  return { ...guest, call };
}

const types = new Set([...Object.values(VMMDEV_REQUEST_TYPE), 6, 99, 0x7fffffff, 0xffffffff]);
types.delete(VMMDEV_REQUEST_TYPE.VMMDevReq_InvalidRequest);
types.delete(BY_CONTENT);

for (const type of types) {
  const anyone = ANYONE.includes(type);
  const trusted = TRUSTED.includes(type);
  const vboxguest = anyone || trusted ? 'ok' : 'EPERM';
  const vboxuser = anyone ? 'ok' : 'EPERM';
  t.test(`request ${type}: ${vboxguest} by vboxguest, ${vboxuser} by vboxuser`, async (t) => {
    for (const [name, code] of [
      ['vboxguest', vboxguest],
      ['vboxuser', vboxuser],
    ] as const) {
      const { call, device, kernelLog } = pass(name, type);
      t.equal(call.code, code, name);
      t.equal(device.types().includes(type), code === 'ok', 'the host sees it');
      if (code === 'ok') continue;
      const node = trusted ? / through vboxuser device node$/ : /type 0x[0-9a-f]+$/;
      t.match(kernelLog.at(-1), /^Denying userspace vmm call type 0x/);
      t.match(kernelLog.at(-1), node);
    }
  });
}

t.test('the list has each of its numbers once', async (t) => {
  t.equal(new Set([...TRUSTED, ...ANYONE]).size, TRUSTED.length + ANYONE.length);
});

for (const [facility, vboxguest, vboxuser] of [
  [20, 'EPERM', 'EPERM'],
  [0x7ffffffe, 'EPERM', 'EPERM'],
  [100, 'ok', 'EPERM'],
  [101, 'ok', 'ok'],
  [1000, 'ok', 'ok'],
  [1100, 'ok', 'ok'],
  [0, 'ok', 'ok'],
  [0xffffffff, 'ok', 'ok'],
] as const) {
  const title = `request 55 with ${facility} in its first word: ${vboxguest} by vboxguest, ${vboxuser} by vboxuser`;
  t.test(title, async (t) => {
    const refused = pass('vboxguest', BY_CONTENT, facility);
    t.equal(refused.call.code, vboxguest);
    t.equal(pass('vboxuser', BY_CONTENT, facility).call.code, vboxuser);
    if (vboxguest === 'EPERM') {
      t.match(
        refused.kernelLog.at(-1),
        /^Denying userspace vmm report guest cap. call facility 0x/,
      );
    }
  });
}

t.test('request 55 that is its header alone passes', async (t) => {
  const { node } = startedGuest();
  t.equal(new Call(node, REQUEST | (24 << 16), argument([], { type: BY_CONTENT })).code, 'ok');
});

t.test('refusals are told in the log ten times in five seconds', async (t) => {
  const { node, kernelLog } = startedGuest();
  for (let i = 0; i < 100; i++) new Call(node, BIG, argument([0], { type: 50 }));
  t.equal(kernelLog.length, 10);
});

for (const [title, request] of [
  ['VMMDEV_REQUEST', REQUEST],
  ['VMMDEV_REQUEST_BIG', BIG],
  ['VMMDEV_REQUEST_BIG_ALT', BIG_ALT],
] as const) {
  const number = (size: number) =>
    request === REQUEST && size <= 0x3fff ? request | (size << 16) : request;

  t.test(`${title}: sizes that differ are EINVAL`, async (t) => {
    const { node, device } = startedGuest();
    const shorter = argument([0, 0], { type: 4, sizeOut: 24 });
    const longer = argument([], { type: 4, sizeOut: 32 });
    t.equal(new Call(node, number(32), shorter).code, 'EINVAL');
    t.equal(new Call(node, number(32), longer).code, 'EINVAL');
    t.strictSame(device.types(), []);
  });

  t.test(`${title}: type 0 is EINVAL`, async (t) => {
    const { node } = startedGuest();
    t.equal(new Call(node, number(24), argument([], { type: 0 })).code, 'EINVAL');
  });

  t.test(`${title}: the answer stands where the request was`, async (t) => {
    const { node } = startedGuest();
    const call = new Call(node, number(40), argument([0, 0, 0, 0], { type: 4 }));
    t.equal(call.code, 'ok');
    t.equal(call.rc, 0);
    t.equal(call.word(24), 7, 'major 7, minor 0');
    t.equal(call.word(32), 161095);
  });
}

t.test('VMMDEV_REQUEST_BIG: 1 MiB passes, a byte more is E2BIG', async (t) => {
  const { node, device } = startedGuest();
  t.equal(new Call(node, BIG, argument([], { type: 3, sizeIn: MIB })).code, 'ok');
  t.equal(device.seen.at(-1)?.bytes.length, MIB);
  t.equal(new Call(node, BIG, argument([], { type: 3, sizeIn: MIB + 1 })).code, 'E2BIG');
});

t.test('order: sizes that differ, then 1 MiB, then type 0, then who may', async (t) => {
  const { node } = startedGuest();
  const code = (sizeIn: number, sizeOut: number, type: number) =>
    new Call(node, BIG, argument([], { sizeIn, sizeOut, type })).code;
  t.equal(code(2 * MIB, MIB, 0), 'EINVAL');
  t.equal(code(2 * MIB, 2 * MIB, 0), 'E2BIG');
  t.equal(code(24, 24, 0), 'EINVAL');
  t.equal(code(24, 24, 50), 'EPERM');
});

t.test('the driver does not insist on BIG: 16383 bytes pass by VMMDEV_REQUEST', async (t) => {
  const { node } = startedGuest();
  const call = new Call(
    node,
    (REQUEST | (0x3fff << 16)) >>> 0,
    argument([], { type: 3, sizeIn: 0x3fff }),
  );
  t.equal(call.code, 'ok');
});

t.test(
  'the header becomes that of the request: reserved1 is size_out, the requestor reserved',
  async (t) => {
    const { node, device } = startedGuest();
    new Call(node, REQUEST | (28 << 16), argument([0], { type: 41, reserved: 0x1234 }));
    const [seen] = device.seen;
    t.equal(seen?.reserved1, 28);
    t.equal(seen?.requestor, 0x1234);
  },
);

t.test('rc is what the host wrote, failures too, and the error is none', async (t) => {
  for (const rc of [VBOX_STATUS.VERR_NOT_IMPLEMENTED, VBOX_STATUS.VERR_NOT_FOUND, 78]) {
    const { node, device } = startedGuest();
    device.refuse('VMMDevReq_GetHostTime', rc);
    const call = new Call(node, BIG, argument([0, 0], { type: 10 }));
    t.equal(call.code, 'ok');
    t.equal(call.rc, rc);
  }
});

t.test('without memory is ENOMEM', async (t) => {
  const { node, pages } = startedGuest(2 * MIB);
  while (pages.allocate(4096) !== undefined);
  t.equal(new Call(node, BIG, argument([0, 0], { type: 10 })).code, 'ENOMEM');
});

t.test('memory is given back', async (t) => {
  const { node, pages } = startedGuest();
  const { free } = pages;
  for (let i = 0; i < 5; i++) new Call(node, BIG, argument([], { type: 3, sizeIn: MIB }));
  new Call(node, BIG, argument([], { type: 50 }));
  t.equal(pages.free, free);
});

t.test('request 41 lets a program take events before the driver', async (t) => {
  const { node, device } = realGuest();
  new Call(node, BIG, argument([0x4, 0], { type: 42 }));
  t.equal(device.events.filter & 0x4, 0x4, 'the filter, too, behind the back of the driver');
  const call = new Call(node, BIG, argument([0], { type: 41 }));
  t.equal(call.code, 'ok');
});

t.test("the real device: a size that is not the request's is its INVALID_PARAMETER", async (t) => {
  const { node } = realGuest();
  const call = new Call(node, BIG, argument([0, 0, 0, 0, 0], { type: 4 }));
  t.equal(call.code, 'ok');
  t.equal(call.rc, VBOX_STATUS.VERR_INVALID_PARAMETER);
});
