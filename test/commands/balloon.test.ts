import t from 'tap';
import { Interrupts } from '../../src/cli/interrupts.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { NOW, runLine, WAYS } from '../cli/helpers/io.js';
import { Kernel } from '../helpers/kernel.js';
import { recordedMachine } from '../helpers/tree-machine.js';

const MIB = 2 ** 20;
const line = (text: string) => text.split(' ').filter(Boolean);
const lines = (text: string) => text.trimEnd().split('\n');

const STATISTICS = {
  reportedAt: new Date(NOW - 2000).toISOString(),
  cpuUser: 1,
  cpuKernel: 2,
  cpuIdle: 97,
  threads: 100,
  processes: 50,
  memoryLoad: 40,
  memoryTotal: 512 * MIB,
  memoryAvailable: 300 * MIB,
  memoryBalloon: 64 * MIB,
  memoryCommitted: null,
  kernelTotal: null,
  systemCache: null,
  pageFileSize: null,
};

function twoVms(): FakeBackend {
  const backend = new FakeBackend().add('web1').add('db1');
  const web1 = { ...backend.devices.balloon('web1'), target: 64 * MIB, actual: 64 * MIB };
  backend.devices.balloons.set('web1', { ...web1, guestStats: STATISTICS });
  return backend;
}

for (const way of WAYS) {
  t.test(`balloon shows what is wanted and what is given up (${way})`, async (t) => {
    const backend = twoVms();
    const show = async (text: string) => (await runLine(line(text), { way, backend })).out;
    t.equal(
      await show('balloon'),
      [
        'VM    MEMORY  TARGET  ACTUAL  AVAILABLE  REPORTED',
        'db1     512M       0       0          -         -',
        'web1    512M     64M     64M       300M        2s',
        '',
      ].join('\n'),
    );
    t.equal(await show('balloon -q'), 'db1\nweb1\n');
    t.equal(await show('balloon web1 db1 -q'), 'web1\ndb1\n', 'in the order that was asked for');
    const json = JSON.parse(await show('balloon web1 --json'));
    t.same(json, [
      {
        vm: 'web1',
        memory: 512 * MIB,
        target: 64 * MIB,
        actual: 64 * MIB,
        unit: MIB,
        guestStats: STATISTICS,
      },
    ]);
  });

  t.test(`an unknown VM is status 3, and the others are shown (${way})`, async (t) => {
    const backend = twoVms();
    const ran = await runLine(line('balloon web2 db1'), { way, backend });
    t.match(ran, { status: 3, out: /^db1 /m });
    t.equal(ran.err, "vmmctl: balloon: no VM 'web2' (ENOENT)\nhint: did you mean 'web1'?\n");
    t.match(await runLine(line('balloon web2 db1 --json'), { way, backend }), {
      status: 3,
      out: '',
    });
  });

  t.test(`balloon set asks, and says nothing (${way})`, async (t) => {
    const backend = twoVms();
    const set = (text: string) => runLine(line(`balloon set ${text}`), { way, backend });
    t.match(await set('db1 100M'), { status: 0, out: '', err: '' });
    t.equal(backend.devices.balloons.get('db1')?.target, 100 * MIB);
    t.equal(backend.devices.balloons.get('db1')?.actual, 0, 'nobody has waited');
    t.match(await set('db1 1 -v'), { err: 'asked db1 for a balloon of 1M\n' });
    t.match(JSON.parse((await set('db1 0 --json')).out), { vm: 'db1', target: 0, unit: MIB });
    t.match(await set('db2 0'), { status: 3, err: /no VM 'db2'.*\nhint: did you mean 'db1'/ });
    t.match(await set('db1 500M'), { status: 2, err: /: not below 460M \(EINVAL\)\n$/ });
    t.equal(backend.devices.balloons.get('db1')?.target, 0, 'the refused size is not asked for');
  });

  t.test(`wrong usage of the balloon is found before anything is sent (${way})`, async (t) => {
    const backend = twoVms();
    for (const text of [
      'balloon set',
      'balloon set web1',
      'balloon set web1 x',
      'balloon set web1 -1',
      'balloon set web1 1.5',
      'balloon set 3 1M',
      'balloon set web1 1M x',
      'balloon set web1 1M --in web1',
      'balloon a:b',
      'balloon web1 --in web1',
      'balloon watch --interval 5',
      'balloon watch --count -1',
      'balloon watch web1 --in web1',
    ]) {
      const ran = await runLine(line(text), { way, backend });
      t.match(ran, { status: 2, out: '', err: /^vmmctl: balloon.*\(EINVAL\)\n/ }, text);
    }
    t.same(
      backend.calls.filter((call) => call !== 'connect'),
      [],
    );
  });

  t.test(`balloon set --wait ends when the size is there, both ways (${way})`, async (t) => {
    const backend = twoVms();
    const up = await runLine(line('balloon set db1 128M --wait --json'), { way, backend });
    t.match(JSON.parse(up.out), { vm: 'db1', target: 128 * MIB, actual: 128 * MIB });
    const down = await runLine(line('balloon set db1 0 --wait -v'), { way, backend });
    t.match(down, { status: 0, out: '' });
    t.equal(down.err, 'asked db1 for a balloon of 0\nthe balloon has 0\n');
    t.equal(backend.devices.balloons.get('db1')?.actual, 0);
  });
}

t.test('a guest that stops short is status 6, with what was reached', async (t) => {
  const backend = twoVms();
  backend.devices.most = 180 * MIB;
  const short = await runLine(line('balloon set web1 256M --wait --timeout 600ms'), { backend });
  t.match(short, { status: 6, out: '' });
  t.match(
    short.err,
    /^vmmctl: balloon set: the balloon reached 180M of 256M \(ETIMEDOUT\)\nhint: /,
  );
  backend.devices.step = 0;
  const stuck = await runLine(line('balloon set web1 0 --wait --timeout 200ms --json'), {
    backend,
  });
  t.match(stuck, { status: 6, out: '' });
  t.match(JSON.parse(stuck.err), {
    error: { code: 'ETIMEDOUT', message: 'the balloon still has 180M, and not 0' },
  });
});

t.test('whoever is overtaken, or loses the VM, is told so', async (t) => {
  const backend = twoVms();
  backend.devices.step = MIB;
  backend.devices.onLook = (looks) => {
    if (looks === 2) void backend.management.setBalloon('db1', 8 * MIB);
    if (looks === 5) backend.vms.delete('db1');
  };
  t.match(await runLine(line('balloon set db1 64M --wait'), { backend }), {
    status: 4,
    err: /somebody else has asked for 8M meanwhile \(EBUSY\)/,
  });
  t.match(await runLine(line('balloon set db1 64M --wait'), { backend }), { status: 3 });
});

t.test('a host that keeps its target is not taken for one that has the new', async (t) => {
  const backend = twoVms();
  backend.devices.keepsTarget = true;
  t.match(await runLine(line('balloon set web1 1M'), { backend }), {
    status: 4,
    out: '',
    err: /the target stays 64M, .*\(EBUSY\)\nhint: /,
  });
  t.equal((await runLine(line('balloon set web1 67108863'), { backend })).status, 0);
});

t.test('a terminal has a bar while it waits, and nothing is left of it', async (t) => {
  const backend = twoVms();
  const ran = await runLine(line('balloon set db1 128M --wait'), { backend, tty: true });
  t.match(ran, { status: 0, out: '' });
  t.match(ran.err, /\r\u001b\[K█{10}░{10} db1 64M of 128M\r/);
  t.ok(ran.err.endsWith('\r\u001b[K'));
  const back = await runLine(line('balloon set db1 0 --wait'), { backend, tty: true });
  t.match(back.err, /█{10}░{10} db1 64M of 0\r/, 'it fills on the way back too');
  for (const quiet of ['--quiet', '--json']) {
    const argv = [...line('balloon set db1 64M --wait'), quiet];
    t.equal((await runLine(argv, { backend, tty: true })).err, '', quiet);
  }
});

t.test('the guest sees its own balloon', async (t) => {
  const call = {
    request: 0xc0205611,
    argument: `180000000100010000000000${'00000000'}20000000${'00'.repeat(12)}`,
    answer: `180000000100010000000000${'00000000'}2000000000000000${'40000000'}00000000`,
  };
  const guest = () => {
    const { machine } = recordedMachine('/dev/vboxguest', [call]);
    return Object.assign(twoVms(), { machine: () => machine });
  };
  const show = (text: string) => runLine(line(text), { backend: guest() });
  t.match((await show('--in web1 balloon')).out, /^- +- +- +64M +- +-$/m);
  t.equal((await show('--in web1 balloon -q')).out, '64M\n');
  t.match(JSON.parse((await show('--in web1 balloon --json')).out), [
    { vm: null, memory: null, target: null, actual: 64 * MIB, unit: MIB, guestStats: null },
  ]);
  const watched = await show('--in web1 balloon watch --count 1');
  t.match(watched.out, /Z {2}- {2}- {2}- {2}64M/);
  t.equal((await show('--in web1 balloon watch --count 1 -q')).out, '64M\n');
  const env = { VMMCTL_IN: 'web1' };
  t.equal((await runLine(line('balloon -q --in host'), { backend: twoVms(), env })).status, 0);
  t.match(await runLine(line('balloon web1'), { backend: twoVms(), env }), {
    status: 2,
    err: /hint: .*--in host/,
  });
});

t.test('a machine without management and without a balloon is status 7', async (t) => {
  const kernel = new Kernel().add('web1');
  const connect = async () => kernel;
  for (const text of ['balloon', 'balloon watch', 'balloon web1', 'balloon set web1 1M']) {
    t.match(await runLine(line(text), { connect }), { status: 7, out: '' }, text);
  }
});

t.test('balloon watch has a line for each change, and the time', async (t) => {
  const backend = twoVms();
  backend.devices.onLook = (looks) => {
    if (looks === 2) void backend.management.setBalloon('db1', 64 * MIB);
    if (looks === 4) backend.vms.delete('web1');
  };
  const watch = line('balloon watch --interval 1ms --count 6');
  const ran = await runLine(watch, { backend });
  const time = '2026-01-02T03:04:05.000Z';
  t.same(lines(ran.out), [
    `${time}  db1  512M  0  0  -  -`,
    `${time}  web1  512M  64M  64M  300M  2s`,
    `${time}  db1  512M  64M  64M  -  -`,
    `${time}  web1  gone`,
  ]);
  t.same(ran.status, 0);
});

t.test('balloon watch --json has the whole array when something has changed', async (t) => {
  const backend = twoVms();
  backend.devices.onLook = (looks) => {
    if (looks === 2) void backend.management.setBalloon('db1', 128 * MIB);
  };
  const { out } = await runLine(line('balloon watch -i 1ms -c 6 --json'), { backend, tty: true });
  const arrays = lines(out).map((text) => JSON.parse(text));
  t.same(
    arrays.map((array) =>
      array.map(({ vm, actual }: { vm: string; actual: number }) => [vm, actual / MIB]),
    ),
    [
      [
        ['db1', 0],
        ['web1', 64],
      ],
      [
        ['db1', 64],
        ['web1', 64],
      ],
      [
        ['db1', 128],
        ['web1', 64],
      ],
    ],
  );
});

t.test('balloon watch names what it can not find, and ends when nothing is left', async (t) => {
  const backend = twoVms();
  t.match(await runLine(line('balloon watch db1 web2 -c 1'), { backend }), {
    status: 3,
    out: '',
    err: /no VM 'web2'.*\nhint: did you mean 'web1'/,
  });
  backend.devices.onLook = () => {
    backend.devices.onLook = () => backend.vms.delete('web1');
  };
  const ran = await runLine(line('balloon watch web1 -i 1ms'), { backend });
  t.match(ran, { status: 3, err: /no VM 'web1' \(ENOENT\)/ });
  t.equal(lines(ran.out).length, 1);
});

t.test('on a terminal the balloons are drawn anew with their plots', async (t) => {
  const backend = twoVms();
  backend.devices.onLook = (looks) => {
    if (looks === 1) void backend.management.setBalloon('db1', 128 * MIB);
  };
  const watch = line('balloon watch db1 --interval 1ms --count 4');
  const ran = await runLine(watch, { backend, tty: true, width: 80 });
  t.ok(ran.out.startsWith('\u001b[?25l'));
  t.ok(ran.out.endsWith('\u001b[?25h'), 'the cursor is there again');
  const last = ran.out.split('\u001b[0J').at(-1) ?? '';
  t.match(last, /^VM .*REPORTED {2}HISTORY\n/);
  t.match(last, /^db1 +512M +128M +128M .* ▁▅██$/m, 'as high as its target');
  const dumb = await runLine(watch, { backend, tty: true, env: { TERM: 'dumb' } });
  t.notMatch(dumb.out, '\u001b');
});

t.test('a watch ends with the signal, and with its time-out', async (t) => {
  const interrupts = new Interrupts();
  const backend = twoVms();
  backend.devices.onLook = () => interrupts.interrupt('SIGINT');
  const ran = await runLine(line('balloon watch'), { backend, tty: true, interrupts });
  t.match(ran, { err: '', out: /\u001b\[\?25h$/ });
  const late = await runLine(line('balloon watch --timeout 20ms'), { backend: twoVms() });
  t.match(late, { status: 6, err: /not done within 20ms/ });
});
