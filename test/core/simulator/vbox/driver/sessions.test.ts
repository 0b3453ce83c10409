/** What sessions want of the host: filters, capabilities in both modes, and how a session ends. */
import t from 'tap';
import {
  VBOX_STATUS,
  VBOX_STATUS_ERRNO,
  type VboxStatusName,
} from '../../../../../src/core/abi/vbox-err.js';
import { type OpenNode, ROOT } from '../../../../../src/core/simulator/node.js';
import { argument, Call, realGuest, startedGuest } from './guest.js';
import { later, type ScriptedDevice } from './scripted-device.js';

const SEAMLESS = 0x1;
const WINDOWS = 0x2;
const GRAPHICS = 0x4;
const DISPLAY_EVENT = 0x4;
const SEAMLESS_EVENT = 0x20;
const MIB = 1024 * 1024;

function filter(node: OpenNode, orMask: number, notMask = 0): Call {
  return new Call(node, 0xc020560c, argument([orMask, notMask], { sizeOut: 24 }));
}

function acquire(node: OpenNode, orMask: number, notMask = 0, flags = 0): Call {
  return new Call(node, 0xc024560d, argument([flags, orMask, notMask], { sizeOut: 24 }));
}

function set(node: OpenNode, orMask: number, notMask = 0): Call {
  return new Call(node, 0xc020560e, argument([orMask, notMask]));
}

function wait(node: OpenNode, events: number, timeoutMs = 0xffffffff): Call {
  return new Call(node, 0xc020560a, argument([timeoutMs, events], { sizeOut: 28 }));
}

/** Masks that the host was told, as pairs of or and not, with who told it. */
function told(device: ScriptedDevice, type: 42 | 56): [number, number, number][] {
  return device.seen
    .filter((seen) => seen.type === type)
    .map(({ bytes, requestor }) => {
      const view = new DataView(bytes.buffer);
      return [view.getUint32(24, true), view.getUint32(28, true), requestor];
    });
}

const ASKED = 0x8b;
const KERNEL = 1;

t.test('filter: the host gets the fixed events and what all sessions want', async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  t.equal(filter(node, 0x4).code, 'ok');
  t.equal(filter(other, 0x10).code, 'ok');
  t.strictSame(told(device, 42), [
    [0x206, ~0x206 >>> 0, ASKED],
    [0x216, ~0x216 >>> 0, ASKED],
  ]);
});

t.test('filter: the host is told only what changes', async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  filter(node, 0x4);
  filter(node, 0x4);
  filter(other, 0x4);
  filter(node, 0, 0x4);
  t.equal(told(device, 42).length, 1, 'the other still wants it');
  filter(other, 0, 0x4);
  t.equal(told(device, 42).at(-1)?.[0], 0x202);
});

t.test('filter: not_mask wins over or_mask', async (t) => {
  const { node, device } = startedGuest();
  t.equal(filter(node, 0x14, 0x10).code, 'ok');
  t.equal(told(device, 42).at(-1)?.[0], 0x206);
});

t.test('filter: nothing to change tells the host nothing', async (t) => {
  const { node, device } = startedGuest();
  t.equal(filter(node, 0, 0x7ff).code, 'ok');
  t.strictSame(told(device, 42), []);
});

t.test('filter: the fixed events stay, whatever sessions do', async (t) => {
  const { node, device } = startedGuest();
  filter(node, 0x202);
  filter(node, 0, 0x7ff);
  t.ok(told(device, 42).every(([orMask]) => (orMask & 0x202) === 0x202));
});

for (const bits of [0x800, 0x80000000, 0xffffffff]) {
  t.test(`filter: 0x${bits.toString(16)}, bits outside of 0x7ff, are EINVAL`, async (t) => {
    const { node, device } = startedGuest();
    t.equal(filter(node, bits).code, 'EINVAL');
    t.equal(filter(node, 0, bits).code, 'EINVAL');
    t.strictSame(told(device, 42), []);
  });
}

t.test('filter: what the host refuses is rolled back', async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  device.refuse('VMMDevReq_CtlGuestFilterMask', VBOX_STATUS.VERR_NOT_SUPPORTED);
  t.equal(filter(node, 0x4).code, 'ENOSYS');
  device.off('VMMDevReq_CtlGuestFilterMask');
  filter(other, 0x10);
  t.equal(told(device, 42).at(-1)?.[0], 0x212, 'without what was refused');
});

t.test('filter: after a refusal the host is told in any case', async (t) => {
  const { node, device } = startedGuest();
  filter(node, 0x4);
  device.refuse('VMMDevReq_CtlGuestFilterMask', VBOX_STATUS.VERR_NOT_SUPPORTED);
  filter(node, 0x10);
  device.off('VMMDevReq_CtlGuestFilterMask');
  device.seen.length = 0;
  filter(node, 0x202);
  t.equal(told(device, 42).at(-1)?.[0], 0x206, 'though the mask is the one of before');
});

t.test('filter: without memory is ENOMEM, and nothing changes', async (t) => {
  const { node, pages, device } = startedGuest(2 * MIB);
  const taken: number[] = [];
  for (let at = pages.allocate(4096); at !== undefined; at = pages.allocate(4096)) taken.push(at);
  t.equal(filter(node, 0x4).code, 'ENOMEM');
  for (const address of taken) pages.release(address);
  filter(node, 0x10);
  t.equal(told(device, 42).at(-1)?.[0], 0x212);
});

for (const [name, code] of [
  ...Object.entries(VBOX_STATUS_ERRNO),
  ['VERR_PERMISSION_DENIED', 'EPROTO'],
  ['VERR_VERSION_MISMATCH', 'EPROTO'],
  ['VERR_BUFFER_OVERFLOW', 'EPROTO'],
  ['VERR_OUT_OF_RANGE', 'EPROTO'],
  ['VERR_NOT_FOUND', 'EPROTO'],
  ['VERR_HGCM_SERVICE_NOT_FOUND', 'EPROTO'],
] as const) {
  t.test(`a request of the driver that fails with ${name} is ${code}`, async (t) => {
    const { node, device, kernelLog } = startedGuest();
    const rc = VBOX_STATUS[name as VboxStatusName];
    device.refuse('VMMDevReq_CtlGuestFilterMask', rc);
    device.refuse('VMMDevReq_SetGuestCapabilities', rc);
    t.equal(filter(node, 0x4).code, code);
    t.equal(set(node, SEAMLESS).code, code);
    t.equal(acquire(node, GRAPHICS).code, code);
    const lines = kernelLog.filter((line) => line.includes('Unhandled err'));
    t.equal(lines.length, code === 'EPROTO' ? 3 : 0);
  });
}

for (const rc of [10, 41, 78, 2903]) {
  t.test(`a request of the driver that ends with ${rc} is a success`, async (t) => {
    const { node, device } = startedGuest();
    device.refuse('VMMDevReq_CtlGuestFilterMask', rc);
    t.equal(filter(node, 0x4).code, 'ok');
  });
}

t.test('set: the host gets what all sessions set; the answer has both', async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  const one = set(node, SEAMLESS);
  t.strictSame([one.word(24), one.word(28)], [SEAMLESS, SEAMLESS]);
  const two = set(other, SEAMLESS | GRAPHICS);
  t.strictSame([two.word(24), two.word(28)], [SEAMLESS | GRAPHICS, SEAMLESS | GRAPHICS]);
  const three = set(other, 0, SEAMLESS | GRAPHICS);
  t.strictSame([three.word(24), three.word(28)], [0, SEAMLESS], 'the first still sets it');
  t.strictSame(told(device, 56), [
    [1, 0xfffffffe, ASKED],
    [5, 0xfffffffa, ASKED],
    [1, 0xfffffffe, ASKED],
  ]);
});

t.test('set: before the host was told anything, the answer says 0xffffffff', async (t) => {
  const { node } = startedGuest();
  const call = set(node, 0);
  t.equal(call.code, 'ok');
  t.strictSame([call.word(24), call.word(28)], [0, 0xffffffff]);
});

t.test('set: bits outside of 7 are EINVAL', async (t) => {
  const { node } = startedGuest();
  t.equal(set(node, 0x8).code, 'EINVAL');
  t.equal(set(node, 0, 0x80000000).code, 'EINVAL');
});

t.test('set: a capability in acquire mode is EBUSY, and told in the log', async (t) => {
  const { node, kernelLog } = startedGuest();
  acquire(node, GRAPHICS, 0, 1);
  t.equal(set(node, GRAPHICS | SEAMLESS).code, 'EBUSY');
  t.match(kernelLog.at(-1), /cannot set caps which are in acquire_mode/);
  t.equal(set(node, SEAMLESS).code, 'ok', 'others can be set');
  t.equal(set(node, 0, GRAPHICS).code, 'ok', 'and to clear it is no matter');
});

t.test('set: what the host refuses is rolled back, and what it was told is unknown', async (t) => {
  const { node, device } = startedGuest();
  device.refuse('VMMDevReq_SetGuestCapabilities', VBOX_STATUS.VERR_ACCESS_DENIED);
  t.equal(set(node, SEAMLESS).code, 'EPERM');
  device.off('VMMDevReq_SetGuestCapabilities');
  const call = set(node, 0);
  t.strictSame([call.word(24), call.word(28)], [0, 0xffffffff]);
});

t.test('acquire: flags other than 1 are EINVAL', async (t) => {
  const { node } = startedGuest();
  t.equal(acquire(node, SEAMLESS, 0, 2).code, 'EINVAL');
  t.equal(acquire(node, SEAMLESS, 0, 0xffffffff).code, 'EINVAL');
});

t.test('acquire: bits outside of 7 are EINVAL', async (t) => {
  const { node } = startedGuest();
  t.equal(acquire(node, 0x8).code, 'EINVAL');
  t.equal(acquire(node, 0, 0x8).code, 'EINVAL');
});

t.test('acquire: a capability that a session has set is EINVAL, and told in the log', async (t) => {
  const { driver, node, kernelLog } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  set(other, WINDOWS);
  t.equal(acquire(node, WINDOWS | GRAPHICS).code, 'EINVAL');
  t.equal(acquire(node, WINDOWS, 0, 1).code, 'EINVAL', 'also only to configure');
  t.match(kernelLog.at(-1), /cannot acquire caps which are currently set/);
  t.equal(set(node, GRAPHICS).code, 'ok', 'none has changed its mode');
  set(other, 0, WINDOWS);
  t.equal(acquire(node, WINDOWS).code, 'ok', 'when nobody sets it, it can be acquired');
});

t.test('acquire: what another session holds is EBUSY', async (t) => {
  const { driver, node } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  t.equal(acquire(node, GRAPHICS).code, 'ok');
  t.equal(acquire(other, GRAPHICS | WINDOWS).code, 'EBUSY');
  t.equal(acquire(other, WINDOWS).code, 'ok');
  t.equal(acquire(node, 0, GRAPHICS).code, 'ok');
  t.equal(acquire(other, GRAPHICS).code, 'ok', 'when it is given up it can be acquired');
});

t.test('acquire: to acquire what one holds tells the host nothing', async (t) => {
  const { node, device } = startedGuest();
  acquire(node, GRAPHICS);
  device.seen.length = 0;
  t.equal(acquire(node, GRAPHICS).code, 'ok');
  t.equal(acquire(node, 0, SEAMLESS).code, 'ok', 'nor to give up what one does not hold');
  t.strictSame(told(device, 56), []);
});

t.test('acquire: or_mask wins over not_mask', async (t) => {
  const { node, device } = startedGuest();
  acquire(node, GRAPHICS, GRAPHICS);
  t.equal(told(device, 56).at(-1)?.[0], GRAPHICS);
  acquire(node, GRAPHICS | WINDOWS, GRAPHICS);
  t.equal(told(device, 56).at(-1)?.[0], GRAPHICS | WINDOWS, 'also for one that is held already');
});

t.test('acquire: with flag 1 the mode changes, for as long as the driver is there', async (t) => {
  const { driver, node, device } = startedGuest();
  t.equal(acquire(node, GRAPHICS, 0, 1).code, 'ok');
  t.strictSame(told(device, 56), [], 'nothing is acquired');
  node.close();
  const other = driver.open('vboxguest', ROOT);
  t.equal(set(other, GRAPHICS).code, 'EBUSY');
  driver.stop();
  driver.start();
  t.equal(set(driver.open('vboxguest', ROOT), GRAPHICS).code, 'ok');
});

t.test('acquire: what the host refuses is rolled back', async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  acquire(node, WINDOWS);
  device.refuse('VMMDevReq_SetGuestCapabilities', VBOX_STATUS.VERR_ACCESS_DENIED);
  t.equal(acquire(node, GRAPHICS, WINDOWS).code, 'EPERM');
  device.off('VMMDevReq_SetGuestCapabilities');
  t.equal(acquire(other, GRAPHICS).code, 'ok', 'not held');
  t.equal(acquire(other, WINDOWS).code, 'EBUSY', 'still held');
});

t.test('acquire: SEAMLESS injects event 5', async (t) => {
  const { node } = startedGuest();
  const call = wait(node, SEAMLESS_EVENT);
  t.equal(acquire(node, SEAMLESS).code, 'ok');
  t.equal(call.word(24), SEAMLESS_EVENT);
});

for (const [capability, event] of [
  [GRAPHICS, DISPLAY_EVENT],
  [SEAMLESS, SEAMLESS_EVENT],
] as const) {
  t.test(
    `acquire mode: event ${event} is hidden from who does not hold ${capability}`,
    async (t) => {
      const { driver, node, device } = startedGuest();
      const other = driver.open('vboxguest', ROOT);
      const before = wait(other, event);
      acquire(node, capability, 0, 1);
      device.raise(event);
      t.equal(before.code, 'waits', 'also from one that waited before');
      t.equal(wait(node, event, 0).code, 'ETIMEDOUT', 'also from one that changed the mode');
      const waits = wait(node, event);
      acquire(node, capability);
      t.equal(waits.word(24), event, 'who acquires it gets what was kept');
      t.equal(before.code, 'waits');
    },
  );
}

t.test('set and acquired capabilities are told together', async (t) => {
  const { node, device } = startedGuest();
  set(node, WINDOWS);
  acquire(node, GRAPHICS);
  t.equal(told(device, 56).at(-1)?.[0], WINDOWS | GRAPHICS);
  t.equal(set(node, 0).word(28), WINDOWS | GRAPHICS);
});

t.test(
  'close: acquired, then set capabilities, then the filter, then clients, as the kernel',
  async (t) => {
    const { node, device, driver } = startedGuest();
    const location = new Uint8Array(132);
    location.set([2, 0, 0, 0, 0x61]);
    for (let i = 0; i < 2; i++) new Call(node, 0xc09c5604, argument(location, { sizeOut: 28 }));
    acquire(node, GRAPHICS);
    set(node, WINDOWS);
    filter(node, 0x4);
    device.seen.length = 0;
    node.close();
    t.strictSame(device.types(), [56, 56, 42, 61, 61]);
    t.ok(device.seen.every(({ requestor }) => requestor === KERNEL));
    t.strictSame(
      told(device, 56).map(([orMask]) => orMask),
      [WINDOWS, 0],
    );
    t.equal(told(device, 42)[0]?.[0], 0x202);
    const clients = device.of('VMMDevReq_HGCMDisconnect').map(({ bytes }) => bytes[32]);
    t.strictSame(clients, [1, 2]);
    t.equal(acquire(driver.open('vboxguest', ROOT), GRAPHICS).code, 'ok');
  },
);

t.test('close: with nothing taken the host is told nothing', async (t) => {
  const { node, device } = startedGuest();
  node.close();
  t.strictSame(device.types(), []);
});

t.test('close: what the host refuses does not keep the session', async (t) => {
  const { driver, node, device, kernelLog } = startedGuest();
  filter(node, 0x4);
  set(node, WINDOWS);
  for (const name of ['VMMDevReq_CtlGuestFilterMask', 'VMMDevReq_SetGuestCapabilities'] as const) {
    device.refuse(name, VBOX_STATUS.VERR_GENERAL_FAILURE);
  }
  node.close();
  t.match(kernelLog.join('\n'), /vbg_core_close_session error: EPROTO/);
  device.off('VMMDevReq_CtlGuestFilterMask');
  filter(driver.open('vboxguest', ROOT), 0x10);
  t.equal(told(device, 42).at(-1)?.[0], 0x212, 'its bits are gone all the same');
});

t.test('close: a call that waits ends first, and then its client', async (t) => {
  const { node, device } = startedGuest();
  const location = new Uint8Array(132);
  location.set([2, 0, 0, 0, 0x61]);
  new Call(node, 0xc09c5604, argument(location, { sizeOut: 28 }));
  device.on('VMMDevReq_HGCMCall64', later);
  const call = new Call(node, 0xc0285607, argument([1, 1, 0xffffffff, 0]));
  t.equal(call.code, 'waits');
  device.seen.length = 0;
  node.close();
  t.equal(call.code, 'EINTR');
  t.strictSame(device.types(), [65, 61]);
});

t.test(
  'close: a connect that nothing ends is waited for, and what it gets is given back',
  async (t) => {
    const { node, device } = startedGuest();
    device.on('VMMDevReq_HGCMConnect', (view) => {
      view.setUint32(164, 77, true);
      return VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE;
    });
    const call = new Call(node, 0xc09c5604, argument(new Uint8Array(132), { sizeOut: 28 }));
    const [connect] = device.of('VMMDevReq_HGCMConnect');
    if (connect === undefined) throw new Error('there was no connect');
    filter(node, 0x4);
    device.seen.length = 0;
    call.interrupt();
    node.close();
    t.equal(call.code, 'waits');
    t.strictSame(device.types(), [], 'the session is still there');
    device.complete(connect, 0);
    t.equal(call.code, 'ok');
    t.strictSame(device.types(), [41, 42, 61]);
    t.equal(device.of('VMMDevReq_HGCMDisconnect')[0]?.bytes[32], 77);
  },
);

t.test(
  'the real device: capabilities and filter of all sessions are what the host has',
  async (t) => {
    const { driver, device, node } = realGuest();
    const other = driver.open('vboxguest', ROOT);
    set(node, SEAMLESS);
    acquire(other, GRAPHICS);
    filter(node, 0x40);
    t.equal(device.guest.capabilities, SEAMLESS | GRAPHICS);
    t.equal(device.events.filter, 0x242);
    node.close();
    t.equal(device.guest.capabilities, GRAPHICS);
    t.equal(device.events.filter, 0x202);
    other.close();
    t.equal(device.guest.capabilities, 0);
  },
);
