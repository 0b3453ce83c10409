/** How the driver ends, reboots and begins again, alone and with the real device. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { codeOf } from '../../../../helpers/vmm.js';
import { argument, Call, realGuest, scriptedGuest, startedGuest } from './guest.js';

t.test('stop: a host that took an address is told that it is gone', async (t) => {
  const { driver, device } = scriptedGuest();
  device.on('VMMDevReq_GetHypervisorInfo', (view) => {
    view.setUint32(28, 0x10000, true);
    return 0;
  });
  driver.start();
  t.equal(device.of('VMMDevReq_SetHypervisorInfo').length, 1);
  driver.stop();
  const last = device.of('VMMDevReq_SetHypervisorInfo').at(-1);
  t.equal(device.of('VMMDevReq_SetHypervisorInfo').length, 2);
  t.strictSame([...(last?.bytes.subarray(24) ?? [])], [0, 0, 0, 0, 0, 0, 0, 0]);
});

t.test(
  'stop: heartbeat off, then filter, capabilities and mouse; all memory is given back',
  async (t) => {
    const { driver, device, pages, deadlines } = scriptedGuest();
    const { free } = pages;
    driver.start();
    device.seen.length = 0;
    driver.stop();
    t.strictSame(device.types(), [220, 42, 56, 2]);
    t.notOk(driver.running);
    t.equal(pages.free, free);
    t.equal(deadlines.size, 0, 'nothing is due any more');
    t.equal(
      codeOf(() => driver.open('vboxguest', ROOT)),
      'ENOENT',
    );
  },
);

t.test('stop: an open node ends, and gives ENODEV then; start makes new ones', async (t) => {
  const { driver, node } = startedGuest();
  const wait = new Call(node, 0xc020560a, argument([0xffffffff, 0x4], { sizeOut: 28 }));
  t.equal(wait.code, 'waits');
  driver.stop();
  t.equal(wait.code, 'EINTR');
  t.equal(new Call(node, 0xc018560b, argument([])).code, 'ENODEV');
  node.close();
  t.equal(new Call(node, 0xc018560b, argument([])).code, 'EBADF');
  driver.start();
  t.equal(new Call(driver.open('vboxguest', ROOT), 0xc018560b, argument([])).code, 'ok');
});

t.test('stop: what the host refuses does not keep the driver', async (t) => {
  const { driver, device, kernelLog } = startedGuest();
  device.refuse('VMMDevReq_CtlGuestFilterMask', VBOX_STATUS.VERR_GENERAL_FAILURE);
  device.refuse('VMMDevReq_HeartbeatConfigure', VBOX_STATUS.VERR_GENERAL_FAILURE);
  driver.stop();
  t.notOk(driver.running);
  t.match(kernelLog.join('\n'), /vbg_core_exit error: EPROTO/);
});

t.test('reset: the guest starts from nothing, and its programs are gone', async (t) => {
  const { driver, device, node, pages } = startedGuest();
  const { free } = pages;
  new Call(node, 0xc020560c, argument([0x4, 0], { sizeOut: 24 }));
  const wait = new Call(node, 0xc020560a, argument([0xffffffff, 0x4], { sizeOut: 28 }));
  device.seen.length = 0;
  driver.reset();
  t.equal(wait.code, 'ENODEV');
  t.equal(new Call(node, 0xc018560b, argument([])).code, 'ENODEV');
  t.strictSame(device.types().slice(0, 4), [4, 58, 50, 42], 'the host is told nothing of the old');
  t.equal(pages.free, free);
  t.ok(driver.running);
});

t.test('interrupt: one that was raised before the start is taken at its end', async (t) => {
  const { driver, device } = scriptedGuest();
  device.raise(0x10);
  t.strictSame(device.types(), [], 'there is no driver to look');
  driver.start();
  t.equal(device.types().at(-1), 41);
  const wait = new Call(
    driver.open('vboxguest', ROOT),
    0xc020560a,
    argument([0, 0x10], { sizeOut: 28 }),
  );
  t.equal(wait.word(24), 0x10);
});

t.test('the real device: the driver reports itself, and is active', async (t) => {
  const { device, driver, hostLog } = realGuest();
  t.ok(driver.running);
  t.match(device.guest, { isReady: true, osType: 0x53100, runLevel: 1 });
  t.match(hostLog.join('\n'), /Guest Log: vboxguest: host-version: 7\.0\.14r161095 0x8000000f/);
  t.match(hostLog.join('\n'), /Version 6\.0\.0 r127566 '6\.0\.0'/);
  t.equal(driver.hostVersionText(), '7.0.14r161095\n');
  t.equal(driver.hostFeaturesText(), '0x8000000f\n');
});

t.test('the real device: after a reset of both the driver is there again', async (t) => {
  const { device, driver, node } = realGuest();
  device.reset();
  driver.reset();
  t.ok(driver.running);
  t.ok(device.guest.isReady);
  t.equal(new Call(node, 0xc018560b, argument([])).code, 'ENODEV');
});
