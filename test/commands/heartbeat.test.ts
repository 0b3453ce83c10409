import t from 'tap';
import type { HeartbeatRecord } from '../../src/core/backend/port/guest.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';
import { Kernel } from '../helpers/kernel.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const lines = (text: string) => text.trimEnd().split('\n');

function host(change: Partial<HeartbeatRecord> = {}): FakeBackend {
  const backend = new FakeBackend().add('db1').add('web1');
  backend.devices.heartbeats.set('db1', { ...backend.devices.heartbeat('db1'), ...change });
  return backend;
}

const OFF = { enabled: false, state: 'off', beats: 0, lastBeat: null } as const;
const FLAT = { state: 'flatlined', misses: 2, intervalMs: 1500 } as const;

for (const way of WAYS) {
  t.test(`heartbeat shows who beats (${way})`, async (t) => {
    const backend = host(FLAT);
    const show = async (text: string) => (await runLine(line(text), { way, backend })).out;
    t.equal(
      await show('heartbeat'),
      [
        'VM    STATE      INTERVAL  TIMEOUT  LAST-BEAT  BEATS  MISSES',
        'db1   flatlined    1500ms       4s         1s      7       2',
        'web1  beating          2s       4s         1s      7       0',
        '',
      ].join('\n'),
    );
    t.equal(await show('heartbeat -q'), 'db1\nweb1\n');
    t.same(JSON.parse(await show('heartbeat web1 --json')), [
      {
        vm: 'web1',
        enabled: true,
        intervalMs: 2000,
        timeoutMs: 4000,
        lastBeat: '2026-01-02T03:04:04.000Z',
        beats: 7,
        misses: 0,
        state: 'beating',
      },
    ]);
    backend.devices.heartbeats.set('db1', { ...backend.devices.heartbeat('db1'), ...OFF });
    t.match(await show('heartbeat db1'), /^db1 +off +1500ms +4s +- +0 +2$/m);
  });

  t.test(`an unknown VM is status 3, and the others are shown (${way})`, async (t) => {
    const ran = await runLine(line('heartbeat web2 db1'), { way, backend: host() });
    t.match(ran, { status: 3, out: /^db1 /m, err: /no VM 'web2'.*\nhint: did you mean 'web1'/ });
    t.match(await runLine(line('heartbeat web2 db1 --json'), { way, backend: host() }), {
      status: 3,
      out: '',
    });
  });

  t.test(
    `heartbeat --check is 6 unless all are beating, and says who is not (${way})`,
    async (t) => {
      const check = (text: string, backend: FakeBackend) =>
        runLine(line(`heartbeat --check ${text}`), { way, backend });
      t.match(await check('', host()), { status: 0, err: '', out: /beating/ });
      for (const change of [FLAT, OFF, { state: 'late' } as const]) {
        const backend = host(change);
        const ran = await check('', backend);
        t.match(ran, { status: 6, out: /^web1/m });
        t.equal(ran.err, `vmmctl: heartbeat: not beating: db1 (${change.state}) (ETIMEDOUT)\n`);
        t.match(await check('web1', backend), { status: 0, err: '' }, 'only those that are named');
        const json = await check('--json', backend);
        t.match(json, { status: 6, err: '' });
        t.match(JSON.parse(json.out), [{ vm: 'db1', state: change.state }, { vm: 'web1' }]);
      }
      t.match(await check('nobody db1', host(FLAT)), { status: 3, err: /nobody(.|\n)*db1/ });
      t.match(await check('', new FakeBackend()), { status: 0 }, 'without VMs nobody is silent');
    },
  );

  t.test(`heartbeat set changes what is named, and says nothing (${way})`, async (t) => {
    const backend = host();
    const set = (text: string) => runLine(line(`heartbeat set ${text}`), { way, backend });
    t.match(await set('db1 --interval 1s --host-timeout 5s'), { status: 0, out: '', err: '' });
    t.match(backend.devices.heartbeats.get('db1'), { intervalMs: 1000, timeoutMs: 5000 });
    t.match(await set('db1 --off -v'), { err: 'db1: no heartbeat\n' });
    t.match(backend.devices.heartbeats.get('db1'), { enabled: false, intervalMs: 1000 });
    t.match(await set('db1 --on -v'), { err: 'db1: a beat each 1s, a miss after 5s\n' });
    t.match(JSON.parse((await set('db1 --on --json')).out), { vm: 'db1', enabled: true });
    t.match(await set('db1 --interval 10ms'), { status: 2, err: /not below 50 ms \(EINVAL\)/ });
    t.match(await set('db2 --on'), { status: 3, err: /no VM 'db2'/ });
  });

  t.test(`wrong usage of the heartbeat is found before anything is sent (${way})`, async (t) => {
    const backend = host();
    for (const text of [
      'heartbeat set',
      'heartbeat set web1',
      'heartbeat set web1 --on --off',
      'heartbeat set web1 --interval 5',
      'heartbeat set web1 web2 --on',
      'heartbeat set web1 --on --in web1',
      'heartbeat watch --count x',
      'heartbeat a:b',
    ]) {
      const ran = await runLine(line(text), { way, backend });
      t.match(ran, { status: 2, out: '', err: /^vmmctl: heartbeat.*\(EINVAL\)\n/ }, text);
    }
    t.same(
      backend.calls.filter((call) => call !== 'connect'),
      [],
    );
    t.equal(
      (await runLine(line('heartbeat set web1 --on --off'), { way })).err,
      'vmmctl: heartbeat set: --on and --off exclude each other (EINVAL)\n' +
        "hint: see 'vmmctl heartbeat set --help'\n",
    );
  });
}

t.test('a guest and a machine without management can not tell: status 7', async (t) => {
  for (const text of ['--in web1 heartbeat', '--in web1 heartbeat watch']) {
    t.match(await runLine(line(text), { backend: host() }), {
      status: 7,
      out: '',
      err: /a guest does not know .*\(EOPNOTSUPP\)\nhint: .*--in host/,
    });
  }
  const kernel = new Kernel().add('web1');
  const connect = async () => kernel;
  for (const text of ['heartbeat', 'heartbeat watch', 'heartbeat set web1 --off']) {
    t.match(await runLine(line(text), { connect }), { status: 7, out: '' }, text);
  }
});

/** A guest whose count of beats is that of the table at each look; it begins anew in between. */
function beating(): FakeBackend {
  const backend = host(OFF);
  const { devices } = backend;
  devices.onLook = (looks) => {
    const beats = [7, 9, 9, 0, 1, 1][looks] ?? 1;
    devices.heartbeats.set('web1', { ...devices.heartbeat('web1'), beats });
  };
  return backend;
}

t.test('heartbeat watch has a line for each change, and an array with --json', async (t) => {
  const watch = 'heartbeat watch --interval 1ms --count 6';
  const plain = await runLine(line(watch), { backend: beating() });
  const time = '2026-01-02T03:04:05.000Z';
  t.same(lines(plain.out), [
    `${time}  db1  off  2s  4s  -  0  0`,
    `${time}  web1  beating  2s  4s  1s  7  0`,
    `${time}  web1  beating  2s  4s  1s  9  0`,
    `${time}  web1  beating  2s  4s  1s  0  0`,
    `${time}  web1  beating  2s  4s  1s  1  0`,
  ]);
  const json = await runLine(line(`${watch} --json`), { backend: beating() });
  const arrays = lines(json.out).map((text) => JSON.parse(text) as HeartbeatRecord[]);
  t.same(
    arrays.map((array) => array.map(({ beats }) => beats)),
    [
      [0, 7],
      [0, 9],
      [0, 0],
      [0, 1],
    ],
  );
  const quiet = await runLine(line(`${watch} --quiet`), { backend: beating() });
  t.equal(quiet.out, 'db1\nweb1\nweb1\nweb1\nweb1\n');
});

t.test('on a terminal there is a plot of the beats between two looks', async (t) => {
  const watch = line('heartbeat watch --interval 1ms --count 6');
  const ran = await runLine(watch, { backend: beating(), tty: true, width: 100 });
  const last = ran.out.split('\u001b[0J').at(-1) ?? '';
  t.match(last, /^web1 .* {2}█▁▁▅▁$/m, 'a guest that begins anew has no beats less than none');
  t.match(last, /^db1 .* {2}▁{5}$/m);
});
