import t from 'tap';
import {
  VMMDevReqGuestHeartbeat,
  VMMDevReqHeartbeat,
} from '../../../../../src/core/abi/vmmdev-requests.js';
import type { VmmDevConfig } from '../../../../../src/core/simulator/vbox/device/config.js';
import { codeOf } from '../../../../helpers/vmm.js';
import { Rig } from '../../../../helpers/vmmdev.js';

const HOUR = 3_600_000;
const SILENT =
  'VMMDev: vmmDevHeartbeatFlatlinedTimer: Guest seems to be unresponsive. Last heartbeat received 4 seconds ago';
const SET = 'VMMDev: Heartbeat flatline timer set to trigger after 4 000 000 000 ns';

function configure(rig: Rig, enabled: boolean): bigint {
  const answered = rig.ask('VMMDevReq_HeartbeatConfigure', VMMDevReqHeartbeat, {
    fEnabled: Number(enabled),
  });
  if (answered.rc !== 0) throw new Error(`HeartbeatConfigure gave ${answered.rc}`);
  return VMMDevReqHeartbeat.decode(answered.bytes).cNsInterval;
}

function beat(rig: Rig): number {
  return rig.ask('VMMDevReq_GuestHeartbeat', VMMDevReqGuestHeartbeat).rc;
}

/** A guest that has switched its heartbeat on. */
function beating(config: Partial<VmmDevConfig> = {}): Rig {
  const rig = new Rig({ config });
  configure(rig, true);
  rig.lines.length = 0;
  return rig;
}

t.test('an hour of beats is silent, and costs one deadline', async (t) => {
  const rig = beating();
  for (let ms = 0; ms < HOUR; ms += 2000) {
    t.equal(beat(rig), 0);
    rig.pass(2000);
  }
  t.same(rig.lines, []);
  t.same(rig.device.heartbeat, {
    enabled: true,
    intervalMs: 2000,
    timeoutMs: 4000,
    lastBeatAtMs: Date.UTC(2026, 0, 1) + HOUR - 2000,
    beats: 1800,
    misses: 0,
    state: 'beating',
  });
  for (let i = 0; i < 10_000; i++) beat(rig);
  t.equal(rig.deadlines.size, 1, 'a flood of beats costs no more');
});

t.test('a silent guest is logged once, and does nothing else', async (t) => {
  const rig = beating();
  beat(rig);
  rig.pass(3999);
  t.same(rig.lines, []);
  rig.pass(1);
  t.same(rig.lines, [SILENT]);
  rig.pass(HOUR);
  t.same(rig.lines, [SILENT]);
  t.equal(rig.device.heartbeat.state, 'flatlined');
  t.equal(rig.device.heartbeat.misses, 1);
  t.ok(rig.device.guest.isReady, 'nothing is reset');
  t.notOk(rig.interrupt);
  t.equal(rig.deadlines.size, 0);
});

t.test('the first beat after that is logged with how long the guest was gone', async (t) => {
  const rig = beating();
  beat(rig);
  rig.pass(10_000);
  rig.lines.length = 0;
  beat(rig);
  t.same(rig.lines, ['VMMDev: GuestHeartBeat: Guest is alive (gone 10 000 000 000 ns)']);
  t.equal(rig.device.heartbeat.state, 'beating');
  beat(rig);
  t.equal(rig.lines.length, 1);
  rig.pass(4000);
  t.same(rig.lines[1], SILENT, 'then it may fall silent again');
  t.equal(rig.device.heartbeat.misses, 2);
});

t.test('a guest that switches on and never beats flatlines too', async (t) => {
  const rig = beating();
  rig.pass(4000);
  t.same(rig.lines, [SILENT]);
  t.equal(rig.device.heartbeat.lastBeatAtMs, null);
});

t.test('a beat is late after the interval and a quarter of the rest', async (t) => {
  const rig = beating();
  beat(rig);
  rig.pass(2500);
  t.equal(rig.device.heartbeat.state, 'beating');
  rig.pass(1);
  t.equal(rig.device.heartbeat.state, 'late');
  beat(rig);
  t.equal(rig.device.heartbeat.state, 'beating');
});

t.test(
  'request 220: gives the interval in nanoseconds both ways, and logs the change',
  async (t) => {
    const rig = new Rig({ config: { heartbeatIntervalMs: 500 } });
    t.equal(configure(rig, true), 500_000_000n);
    t.same(rig.lines, ['VMMDev: Heartbeat flatline timer set to trigger after 1 000 000 000 ns']);
    t.equal(configure(rig, false), 500_000_000n);
    t.equal(rig.lines[1], 'VMMDev: Heartbeat checking timer has been stopped (rc=VINF_SUCCESS)');
    t.equal(rig.device.heartbeat.state, 'off');
  },
);

t.test('request 220: without a change says so', async (t) => {
  const rig = new Rig();
  const text = 'VMMDev: vmmDevReqHandler_HeartbeatConfigure: No change (fHeartbeatActive=';
  configure(rig, false);
  t.same(rig.lines, [`${text}false)`]);
  configure(rig, true);
  configure(rig, true);
  t.same(rig.lines.slice(1), [SET, `${text}true)`]);
});

t.test('request 220: an hour off logs nothing', async (t) => {
  const rig = beating();
  beat(rig);
  configure(rig, false);
  rig.lines.length = 0;
  rig.pass(HOUR);
  t.same(rig.lines, []);
  t.equal(rig.device.heartbeat.enabled, false);
});

t.test('request 219: while it is off a beat is a success without effect', async (t) => {
  const rig = new Rig();
  t.equal(beat(rig), 0);
  t.equal(rig.device.heartbeat.beats, 0);
  t.equal(rig.device.heartbeat.state, 'off');
  rig.pass(HOUR);
  t.same(rig.lines, []);
});

t.test('a host that expects no beats stops the timer, and ignores what comes', async (t) => {
  const rig = beating();
  beat(rig);
  rig.device.setHeartbeat({ enabled: false });
  t.equal(rig.device.heartbeat.state, 'off');
  t.equal(beat(rig), 0);
  t.equal(configure(rig, true), 2_000_000_000n, 'the guest is still told the interval');
  rig.lines.length = 0;
  rig.pass(HOUR);
  t.same(rig.lines, []);
  t.equal(rig.device.heartbeat.beats, 1);
  rig.device.setHeartbeat({ enabled: true });
  t.equal(rig.device.heartbeat.state, 'beating', 'on again it is as if just beaten');
  rig.pass(4000);
  t.same(rig.lines, [SILENT]);
});

t.test('a host that wants beats again does not arm for a guest that is off', async (t) => {
  const rig = new Rig();
  rig.device.setHeartbeat({ enabled: false });
  rig.device.setHeartbeat({ enabled: true });
  t.equal(rig.device.heartbeat.state, 'off');
  t.equal(rig.deadlines.size, 0);
});

t.test('a guest that switches on while no beats are expected is armed later', async (t) => {
  const rig = new Rig();
  rig.device.setHeartbeat({ enabled: false });
  configure(rig, true);
  t.equal(rig.deadlines.size, 0);
  t.same(rig.lines, [], 'no timer is set, so none is logged');
  rig.device.setHeartbeat({ enabled: true });
  t.equal(rig.device.heartbeat.state, 'beating');
});

t.test('a flatlined guest that is not expected to beat is off, and not gone', async (t) => {
  const rig = beating();
  rig.pass(4000);
  rig.device.setHeartbeat({ enabled: false });
  t.equal(rig.device.heartbeat.state, 'off');
  rig.device.setHeartbeat({ enabled: true });
  rig.lines.length = 0;
  beat(rig);
  t.same(rig.lines, []);
});

t.test('interval and time-out have their least values', async (t) => {
  const { device } = new Rig();
  const set = (intervalMs?: number, timeoutMs?: number) =>
    codeOf(() => device.setHeartbeat({ intervalMs, timeoutMs }));
  t.equal(set(49), 'EINVAL');
  t.equal(set(50), 'ok');
  t.equal(device.heartbeat.timeoutMs, 100, 'the time-out is twice the interval');
  t.equal(set(50, 99), 'EINVAL');
  t.equal(set(1000, 1010), 'EINVAL', 'a time-out has to be over 10 ms longer');
  t.equal(set(1000, 1011), 'ok');
  t.equal(set(1001), 'EINVAL', 'a time-out that was set stays');
  t.equal(set(undefined, 2000), 'ok');
  t.equal(set(1001), 'ok');
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, -1, 2 ** 40]) {
    t.equal(set(wrong), 'EINVAL', `${wrong}`);
    t.equal(set(100, wrong), 'EINVAL', `${wrong}`);
  }
  t.same([device.heartbeat.intervalMs, device.heartbeat.timeoutMs], [1001, 2000]);
  t.equal(
    codeOf(() => new Rig({ config: { heartbeatIntervalMs: 10 } })),
    'EINVAL',
  );
});

t.test('a new time-out counts from when it is set', async (t) => {
  const short = beating();
  beat(short);
  short.pass(1000);
  short.device.setHeartbeat({ timeoutMs: 2100 });
  short.pass(2099);
  t.not(short.device.heartbeat.state, 'flatlined');
  short.pass(1);
  t.equal(short.device.heartbeat.state, 'flatlined', 'before the old one would have been over');
  const rig = beating();
  beat(rig);
  rig.pass(3000);
  rig.device.setHeartbeat({ timeoutMs: 2500 });
  rig.pass(2499);
  t.same(rig.lines, []);
  rig.pass(1);
  t.equal(rig.device.heartbeat.state, 'flatlined');
  beat(rig);
  rig.device.setHeartbeat({ timeoutMs: 60_000 });
  rig.pass(59_999);
  t.not(rig.device.heartbeat.state, 'flatlined');
  rig.pass(1);
  t.equal(rig.device.heartbeat.state, 'flatlined');
});

t.test('a reset stops the timer, but the switch stays on', async (t) => {
  const rig = beating();
  beat(rig);
  rig.device.reset();
  t.equal(rig.device.heartbeat.state, 'off');
  rig.pass(HOUR);
  t.same(rig.lines, []);
  rig.report();
  rig.lines.length = 0;
  beat(rig);
  t.equal(rig.device.heartbeat.state, 'beating', 'a beat starts it again');
  configure(rig, true);
  t.match(rig.lines[0], /No change \(fHeartbeatActive=true\)/);
});

t.test('a VM that is gone leaves no deadline', async (t) => {
  const rig = beating();
  beat(rig);
  rig.device.close();
  t.equal(rig.deadlines.size, 0);
});

t.test('a guest that switches on and off for ever fills neither log nor queue', async (t) => {
  const rig = new Rig();
  for (let i = 0; i < 10_000; i++) configure(rig, i % 2 === 0);
  t.ok(rig.lines.length <= 201);
  t.ok(rig.deadlines.size <= 1);
});
