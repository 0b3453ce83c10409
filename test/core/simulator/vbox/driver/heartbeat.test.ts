/** The heartbeat: how it begins, beats, stops and begins again. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { realGuest, scriptedGuest, startedGuest } from './guest.js';

t.test('start: off, on, a beat at once, then one an interval', async (t) => {
  const { driver, device, advance } = scriptedGuest();
  driver.start();
  const enabled = device.of('VMMDevReq_HeartbeatConfigure').map(({ bytes }) => bytes[32]);
  t.strictSame(enabled, [0, 1]);
  advance(0);
  const beats = () => device.of('VMMDevReq_GuestHeartbeat').length;
  t.equal(beats(), 1);
  advance(1999);
  t.equal(beats(), 1);
  advance(1);
  t.equal(beats(), 2);
  advance(60_000);
  t.equal(beats(), 32);
  const [beat] = device.of('VMMDevReq_GuestHeartbeat');
  t.equal(beat?.bytes.length, 24);
  t.equal(beat?.requestor, 1);
});

t.test('the interval is what the host says, in whole milliseconds', async (t) => {
  const { driver, device, advance, kernelLog } = scriptedGuest();
  device.on('VMMDevReq_HeartbeatConfigure', (view) => {
    view.setBigUint64(24, 500_999_999n, true);
    return 0;
  });
  driver.start();
  advance(5000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 11);
  t.match(kernelLog.at(-1), /every 500 milliseconds$/);
});

t.test('an interval of 0 or of less than a millisecond beats once a millisecond', async (t) => {
  for (const ns of [0n, 999_999n, 1n << 63n]) {
    const { driver, device, advance } = scriptedGuest();
    device.on('VMMDevReq_HeartbeatConfigure', (view) => {
      view.setBigUint64(24, ns, true);
      return 0;
    });
    driver.start();
    advance(10);
    t.ok(device.of('VMMDevReq_GuestHeartbeat').length <= 11);
  }
});

t.test('a host that refuses has no heartbeat, and is not bothered', async (t) => {
  const { driver, device, advance } = scriptedGuest();
  device.refuse('VMMDevReq_HeartbeatConfigure', VBOX_STATUS.VERR_NOT_SUPPORTED);
  driver.start();
  advance(60_000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 0);
  t.equal(device.of('VMMDevReq_HeartbeatConfigure').length, 1, 'off failed, so on is not tried');
  t.ok(driver.running);
});

t.test('heartbeatStopped: the timer goes on, the host hears nothing', async (t) => {
  const { driver, device, advance } = startedGuest();
  driver.heartbeatStopped = true;
  advance(10_000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 0);
  driver.heartbeatStopped = false;
  advance(2000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 1, 'in its old rhythm');
});

t.test('heartbeatStopped stays over a reboot', async (t) => {
  const { driver, device, advance } = startedGuest();
  driver.heartbeatStopped = true;
  driver.reset();
  advance(10_000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 0);
});

t.test('stop: no beat any more, and the host is told', async (t) => {
  const { driver, device, advance } = startedGuest();
  driver.stop();
  t.equal(device.of('VMMDevReq_HeartbeatConfigure').at(-1)?.bytes[32], 0);
  device.seen.length = 0;
  advance(60_000);
  t.strictSame(device.types(), []);
});

t.test('restartHeartbeat: off, on, and the new interval from now on', async (t) => {
  const { driver, device, advance } = startedGuest();
  device.intervalMs = 500;
  driver.restartHeartbeat();
  t.strictSame(
    device.of('VMMDevReq_HeartbeatConfigure').map(({ bytes }) => bytes[32]),
    [0, 1],
  );
  advance(1000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 3);
});

t.test('restartHeartbeat: does nothing without a driver', async (t) => {
  const { driver, device } = scriptedGuest();
  driver.restartHeartbeat();
  t.strictSame(device.types(), []);
});

t.test('reset: one heartbeat, not two', async (t) => {
  const { driver, device, advance } = startedGuest();
  driver.reset();
  advance(0);
  device.seen.length = 0;
  advance(10_000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 5);
});

t.test('beats do not need memory', async (t) => {
  const { device, advance, pages } = startedGuest(2 * 1024 * 1024);
  while (pages.allocate(4096) !== undefined);
  advance(10_000);
  t.equal(device.of('VMMDevReq_GuestHeartbeat').length, 5);
});

t.test('the real device: an hour of beats, silence, and beats again', async (t) => {
  const { driver, device, advance } = realGuest();
  advance(3_600_000);
  t.match(device.heartbeat, { enabled: true, state: 'beating', misses: 0, beats: 1801 });
  driver.heartbeatStopped = true;
  advance(10_000);
  t.match(device.heartbeat, { state: 'flatlined', misses: 1, beats: 1801 });
  driver.heartbeatStopped = false;
  advance(2000);
  t.match(device.heartbeat, { state: 'beating', misses: 1, beats: 1802 });
  driver.stop();
  t.match(device.heartbeat, { state: 'off' });
});
