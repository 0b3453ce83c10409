/** What the guest can do, set and acquired. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { startedGuest } from './guest.js';
import {
  ASKED,
  acquire,
  DISPLAY_EVENT,
  GRAPHICS,
  SEAMLESS,
  SEAMLESS_EVENT,
  set,
  told,
  WINDOWS,
  wait,
} from './told.js';

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
