/** The guest's agent, against a node that is scripted. */
import t from 'tap';
import { AgentLab } from './scripted-node.js';

const SET_PROPERTIES = [
  'connect VBoxGuestPropSvc 2',
  property('/VirtualBox/GuestAdd/Version', '7.0.14'),
  property('/VirtualBox/GuestAdd/VersionExt', '7.0.14_simulated'),
  property('/VirtualBox/GuestAdd/Revision', '161095'),
  property('/VirtualBox/GuestInfo/OS/Product', 'Linux'),
  property('/VirtualBox/GuestInfo/OS/Release', 'simulated'),
  property('/VirtualBox/GuestInfo/OS/Version', 'web1, simulated by vmmctl'),
  property('/VirtualBox/GuestInfo/OS/LoggedInUsers', '0'),
  property('/VirtualBox/GuestInfo/OS/NoLoggedInUsers', 'true'),
  property('/VirtualBox/GuestInfo/Net/Count', '0'),
  'disconnect 5',
];
const RUNNING = ['status 100 50', 'filter +c0 -0', 'interval 80', 'wait 80 ffffffff'];
const STARTED = ['open', 'status 100 30', ...SET_PROPERTIES, ...RUNNING];

function property(name: string, value: string): string {
  const texts = [name, value, 'TRANSIENT, TRANSRESET'].map((text) => JSON.stringify(`${text}\0`));
  return `set 5 2 ${texts.join(' ')}`;
}

function started(change: Partial<AgentLab> = {}): AgentLab {
  const lab = Object.assign(new AgentLab(), change);
  lab.agent.start();
  lab.take();
  return lab;
}

/** What it does for two CPUs. */
const REPORTS = ['balloon', 'report 0', 'report 1'];

t.test('it starts: status, properties, filter, interval, a wait', async (t) => {
  const lab = new AgentLab();
  t.notOk(lab.agent.running);
  lab.agent.start();
  t.ok(lab.agent.running);
  t.same(lab.take(), STARTED);
  lab.agent.start();
  t.same(lab.take(), [], 'and once only');
  t.same(lab.kernelLog, []);
  t.equal(lab.deadlines.size, 0, 'without statistics it has no timer');
});

t.test('it stops: status, and its node is closed', async (t) => {
  const lab = started({ interval: 5 });
  lab.agent.stop();
  t.same(lab.take(), ['status 100 101', 'close']);
  lab.advance(100_000);
  t.same(lab.take(), [], 'nothing comes after it');
  t.equal(lab.deadlines.size, 0);
  t.same(lab.kernelLog, [], 'and its own end is no failure');
  lab.agent.start();
  t.same(lab.take(), STARTED, 'it can start again');
});

t.test('it is killed without a word', async (t) => {
  const lab = started({ interval: 5 });
  lab.agent.kill();
  t.same(lab.take(), ['close']);
  t.notOk(lab.agent.running);
  t.equal(lab.deadlines.size, 0);
});

t.test('a slow service of properties is waited for, one property at a time', async (t) => {
  const lab = new AgentLab();
  lab.slow = true;
  lab.agent.start();
  t.same(lab.take(), ['open', 'status 100 30', ...SET_PROPERTIES.slice(0, 2)]);
  for (const expected of SET_PROPERTIES.slice(2, -1)) {
    lab.pending.shift()?.();
    t.same(lab.take(), [], 'not within what ended the call');
    lab.advance(0);
    t.same(lab.take(), [expected]);
  }
  lab.pending.shift()?.();
  lab.advance(0);
  t.same(lab.take(), ['disconnect 5', ...RUNNING]);
});

t.test('a stop while a call waits is the end of it', async (t) => {
  const lab = new AgentLab();
  lab.slow = true;
  lab.agent.start();
  lab.take();
  lab.agent.stop();
  lab.pending.shift()?.();
  lab.advance(1000);
  t.same(lab.take(), ['status 100 101', 'close']);
});

t.test('an answer that comes with the stop is not looked at', async (t) => {
  const lab = new AgentLab();
  lab.slow = true;
  lab.agent.start();
  lab.take();
  lab.pending.shift()?.();
  lab.agent.stop();
  lab.advance(1000);
  t.same(lab.take(), ['status 100 101', 'close']);
  t.same(lab.kernelLog, []);
});

t.test(
  'it reports statistics at once and at the interval of the host, one for each CPU',
  async (t) => {
    const lab = started({ interval: 5 });
    lab.advance(0);
    t.same(lab.take(), REPORTS);
    lab.advance(4999);
    t.same(lab.take(), []);
    lab.advance(1);
    t.same(lab.take(), REPORTS);
    lab.advance(10_000);
    t.same(lab.take(), [...REPORTS, ...REPORTS]);
    t.match(lab.reports.slice(0, 2), [
      {
        u32CpuId: 0,
        u32StatCaps: 0xc3c7,
        u32CpuLoad_Idle: 100,
        u32MemoryLoad: 41,
        u32PageSize: 4096,
        u32PhysMemTotal: 131072,
        u32PhysMemAvail: 76800,
        u32PhysMemBalloon: 17,
      },
      { u32CpuId: 1, u32StatCaps: 7, u32CpuLoad_Idle: 100, u32PhysMemTotal: 0 },
    ]);
  },
);

t.test('it reports the facts of the moment, and at most 8 CPUs', async (t) => {
  const lab = started({ interval: 1, cpus: 64 });
  lab.free = 0;
  lab.advance(0);
  t.equal(lab.reports.length, 8);
  t.match(lab.reports[0], { u32MemoryLoad: 100, u32PhysMemAvail: 0 });
});

t.test('event 7 makes it ask for the interval anew', async (t) => {
  const lab = started();
  lab.interval = 2;
  lab.event();
  t.same(lab.take(), ['interval 80', 'wait 80 ffffffff', ...REPORTS]);
  lab.advance(2000);
  t.same(lab.take(), REPORTS);
  lab.interval = 10;
  lab.event();
  lab.advance(0);
  lab.take();
  lab.advance(9999);
  t.same(lab.take(), [], 'the old interval is over');
  lab.interval = 0;
  lab.event();
  t.same(lab.take(), ['interval 80', 'wait 80 ffffffff']);
  lab.advance(100_000);
  t.same(lab.take(), [], 'and none is no reports');
  t.equal(lab.deadlines.size, 0);
});

t.test('agent-stop: it is stopped while halted, and started again after', async (t) => {
  const lab = started({ interval: 5 });
  lab.agent.halted = true;
  t.same(lab.take(), ['status 100 101', 'close']);
  lab.agent.start();
  t.same(lab.take(), [], 'whoever starts it');
  lab.agent.halted = false;
  t.same(lab.take(), STARTED);
  lab.agent.stop();
  lab.take();
  lab.agent.halted = true;
  lab.agent.halted = false;
  t.same(lab.take(), [], 'one that was not started stays so');
});

t.test('agent-refuse: it takes its filter back and reports nothing', async (t) => {
  const lab = started({ interval: 5 });
  lab.advance(0);
  lab.take();
  lab.agent.refusing = true;
  t.same(lab.take(), ['filter +0 -c0']);
  lab.event();
  lab.advance(100_000);
  t.same(lab.take(), ['wait 80 ffffffff']);
  t.ok(lab.agent.running);
  lab.agent.refusing = true;
  t.same(lab.take(), []);
  lab.agent.refusing = false;
  t.same(lab.take(), ['filter +c0 -0', 'interval 80']);
  lab.advance(5000);
  t.same(lab.take(), [...REPORTS, ...REPORTS]);
});

t.test('agent-refuse holds for one that starts later', async (t) => {
  const lab = new AgentLab();
  lab.agent.refusing = true;
  lab.agent.start();
  t.same(lab.take().slice(-3), ['status 100 50', 'filter +0 -c0', 'wait 80 ffffffff']);
});

t.test('agent-lag: reactions and reports come later', async (t) => {
  const lab = started({ interval: 5 });
  lab.advance(0);
  lab.take();
  lab.agent.lagMs = 3000;
  lab.event();
  lab.advance(2999);
  t.same(lab.take(), []);
  lab.advance(1);
  t.same(lab.take(), ['interval 80', 'wait 80 ffffffff']);
  lab.advance(2999);
  t.same(lab.take(), []);
  lab.advance(1);
  t.same(lab.take(), REPORTS);
  lab.advance(7999);
  t.same(lab.take(), []);
  lab.advance(1);
  t.same(lab.take(), REPORTS);
  lab.event();
  lab.agent.stop();
  lab.take();
  t.equal(lab.deadlines.size, 0);
  t.same(lab.take(), [], 'a stop does not wait for it');
});

t.test('a guest without the node has no agent, and its log says so', async (t) => {
  const lab = new AgentLab();
  lab.openError = 'ENODEV';
  lab.agent.start();
  t.notOk(lab.agent.running);
  t.same(lab.kernelLog, ["vmmctl-agent: can't open /dev/vboxguest: ENODEV"]);
  lab.openError = undefined;
  lab.agent.start();
  t.ok(lab.agent.running);
});

const FAILURES: readonly (readonly [asked: string, line: string])[] = [
  ['status', 'report the status'],
  ['connect', 'connect to VBoxGuestPropSvc'],
  ['set', 'set /VirtualBox/GuestInfo/Net/Count'],
  ['disconnect', 'disconnect from VBoxGuestPropSvc'],
  ['filter', 'change the filter'],
  ['interval', 'ask for the statistics interval'],
  ['balloon', 'ask for the balloon'],
  ['report', 'report statistics'],
  ['wait', 'wait for events'],
];
for (const [asked, line] of FAILURES) {
  for (const [failure, reason] of [
    ['EPERM', 'EPERM'],
    [-8, 'VERR_NO_MEMORY'],
  ] as const) {
    if (asked === 'wait' && failure === -8) continue;
    t.test(`when it can't ${line} (${reason}) it says so once and goes on`, async (t) => {
      const lab = new AgentLab();
      lab.interval = 1;
      lab.failures.set(asked, failure);
      lab.agent.start();
      lab.advance(10_000);
      t.ok(lab.agent.running);
      const lines = lab.kernelLog.filter(
        (text) => text === `vmmctl-agent: can't ${line}: ${reason}`,
      );
      t.equal(lines.length, 1);
      t.ok(lab.log.includes('status 100 50'), 'it became active');
      if (asked === 'wait') t.equal(lab.log.filter((words) => words.startsWith('wait')).length, 1);
    });
  }
}

t.test('a thousand agents without statistics have no timer', async (t) => {
  const labs = Array.from({ length: 1000 }, () => started());
  t.equal(
    labs.reduce((sum, { deadlines }) => sum + deadlines.size, 0),
    0,
  );
});
