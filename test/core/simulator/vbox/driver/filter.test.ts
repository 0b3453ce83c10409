/** The events that sessions want from the host. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { startedGuest } from './guest.js';
import { ASKED, filter, told } from './told.js';

const MIB = 1024 * 1024;

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
