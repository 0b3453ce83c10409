import t from 'tap';
import { VMMDEV_EVENT } from '../../../../../src/core/abi/vmmdev.js';
import {
  VMMDevGetStatisticsChangeRequest,
  VMMDevReportGuestStats,
} from '../../../../../src/core/abi/vmmdev-memory.js';
import { codeOf } from '../../../../helpers/vmm.js';
import { Rig } from '../../../../helpers/vmmdev.js';

const { VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST: EVENT } = VMMDEV_EVENT;

/** The fields after the number of the CPU, in their order: 1, 2, 3, ... */
function report(rig: Rig, cpu: number, caps: number): number {
  const words = new Uint32Array(25);
  words.forEach((_, i) => {
    words[i] = i - 7;
  });
  words[6] = cpu;
  words[7] = caps;
  const bytes = new Uint8Array(words.buffer);
  return rig.send(110, bytes).rc;
}

function interval(rig: Rig, eventAck = 0): number {
  const { bytes } = rig.ask(
    'VMMDevReq_GetStatisticsChangeRequest',
    VMMDevGetStatisticsChangeRequest,
    { eventAck },
  );
  return VMMDevGetStatisticsChangeRequest.decode(bytes).u32StatInterval;
}

t.test('request 110: a report is decoded, memory in bytes', async (t) => {
  const rig = new Rig();
  rig.pass(1500);
  t.equal(VMMDevReportGuestStats.size, 100);
  t.equal(report(rig, 0, 0xffff), 0);
  t.same(rig.device.statistics, [
    {
      cpu: 0,
      reportedAtMs: Date.UTC(2026, 0, 1) + 1500,
      cpuIdle: 1,
      cpuKernel: 2,
      cpuUser: 3,
      threads: 4,
      processes: 5,
      handles: 6,
      memoryLoad: 7,
      memoryTotal: 9 * 4096,
      memoryAvailable: 10 * 4096,
      memoryBalloon: 11 * 2 ** 20,
      memoryCommitted: 12 * 4096,
      kernelTotal: 13 * 4096,
      kernelPaged: 14 * 4096,
      kernelNonPaged: 15 * 4096,
      systemCache: 16 * 4096,
      pageFileSize: 17 * 4096,
    },
  ]);
});

t.test('request 110: what the caps leave out is null', async (t) => {
  const order = [
    'cpuIdle',
    'cpuKernel',
    'cpuUser',
    'threads',
    'processes',
    'handles',
    'memoryLoad',
    'memoryTotal',
    'memoryAvailable',
    'memoryBalloon',
    'memoryCommitted',
    'kernelTotal',
    'kernelPaged',
    'kernelNonPaged',
    'systemCache',
    'pageFileSize',
  ] as const;
  for (const [bit, name] of order.entries()) {
    const rig = new Rig();
    report(rig, 0, 1 << bit);
    const [only] = rig.device.statistics;
    const given = order.filter((each) => only?.[each] !== null);
    t.same(given, [name]);
  }
});

t.test('request 110: the last report of each CPU is kept, of 256 at most', async (t) => {
  const rig = new Rig();
  for (const cpu of [3, 0, 3, 1]) report(rig, cpu, 1);
  t.same(
    rig.device.statistics.map(({ cpu }) => cpu),
    [0, 1, 3],
  );
  for (let cpu = 0; cpu < 1000; cpu++) t.equal(report(rig, cpu, 1), 0);
  t.equal(report(rig, 0xffffffff, 1), 0);
  t.equal(rig.device.statistics.length, 256);
});

t.test('request 112: the interval is what the host has set', async (t) => {
  const rig = new Rig();
  t.equal(interval(rig), 5);
  rig.device.setStatisticsInterval(1);
  t.equal(rig.device.events.pending, EVENT);
  t.equal(interval(rig, EVENT), 1);
});

t.test('an interval is compared with the last one that the guest read', async (t) => {
  const rig = new Rig();
  rig.device.setStatisticsInterval(0);
  t.equal(rig.device.events.pending, 0, 'nothing was read, which counts as 0');
  t.equal(interval(rig, EVENT), 5);
  rig.device.setStatisticsInterval(5);
  t.equal(rig.device.events.pending, 0);
  rig.device.setStatisticsInterval(0);
  t.equal(rig.device.events.pending, EVENT);
  t.equal(interval(rig), 0);
});

t.test('an interval is a number of 32 bits', async (t) => {
  const { device } = new Rig();
  for (const wrong of [-1, 0.5, 2 ** 32, Number.NaN]) {
    t.equal(
      codeOf(() => device.setStatisticsInterval(wrong)),
      'EINVAL',
      `${wrong}`,
    );
  }
});

t.test('a reset forgets the reports, and keeps the interval', async (t) => {
  const rig = new Rig();
  report(rig, 0, 1);
  interval(rig, EVENT);
  rig.device.reset();
  rig.report();
  t.same(rig.device.statistics, []);
  t.equal(interval(rig), 5);
});
