/** How a session ends. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { argument, Call, realGuest, startedGuest } from './guest.js';
import { later } from './scripted-device.js';
import { acquire, filter, GRAPHICS, KERNEL, SEAMLESS, set, told, WINDOWS } from './told.js';

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
