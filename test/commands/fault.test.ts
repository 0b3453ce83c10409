import t from 'tap';
import { FAULT_KINDS } from '../../src/core/client/faults.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';

const line = (text: string) => text.split(' ').filter(Boolean);

for (const way of WAYS) {
  t.test(`sim fault gives a VM a fault, and says nothing (${way})`, async (t) => {
    const backend = new FakeBackend().add('web1');
    const fault = (text: string) => runLine(line(`sim fault ${text}`), { way, backend });
    t.match(await fault('web1 heartbeat-stop'), { status: 0, out: '', err: '' });
    t.match(await fault('web1 balloon-lag=100ms --for 1m'), { status: 0, out: '', err: '' });
    t.same(backend.devices.faults.get('web1'), [
      { kind: 'heartbeat-stop', forMs: undefined },
      { kind: 'balloon-lag', value: 100, forMs: 60_000 },
    ]);
    const json = await fault('web1 agent-lag=1s --json');
    t.same(JSON.parse(json.out), {
      vm: 'web1',
      faults: ['heartbeat-stop', 'balloon-lag', 'agent-lag'],
    });
    for (const [share, value] of [
      ['5%', 0.05],
      ['0.5', 0.5],
      ['1', 1],
      ['0%', 0],
    ] as const) {
      t.equal((await fault(`web1 drop-packets=${share}`)).status, 0, share);
      t.match(backend.devices.faults.get('web1')?.at(-1), { kind: 'drop-packets', value }, share);
    }
    await fault('web1 --clear drop-packets');
    t.match(await fault('web1 --clear heartbeat-stop'), { status: 0, out: '', err: '' });
    t.match(backend.devices.faults.get('web1'), [{ kind: 'balloon-lag' }, { kind: 'agent-lag' }]);
    t.same(JSON.parse((await fault('--clear web1 --json')).out), { vm: 'web1', faults: [] });
    t.match(await fault('web2 agent-stop'), { status: 3, err: /no VM 'web2'.*\nhint: .*'web1'/ });
    t.match(await fault('web2 --clear'), { status: 3 });
  });

  t.test(`wrong usage of a fault is found before anything is sent (${way})`, async (t) => {
    const backend = new FakeBackend().add('web1');
    for (const text of [
      '',
      'web1',
      'web1 agent-lag',
      'web1 agent-lag=',
      'web1 agent-lag=5',
      'web1 agent-stop=5s',
      'web1 constructor',
      'web1 drop-packets',
      'web1 drop-packets=101%',
      'web1 drop-packets=2',
      'web1 drop-packets=-1',
      'web1 drop-packets=1s',
      'web1 agent-stop --for 5',
      'web1 --clear x',
      'web1 agent-stop --clear --for 1s',
      'web1 --list',
      '--list --clear',
      'web1 agent-stop -b device',
      'web1 agent-stop --in web1',
    ]) {
      const ran = await runLine(line(`sim fault ${text}`), { way, backend });
      t.match(ran, { status: 2, out: '', err: /^vmmctl: sim fault.*\(EINVAL\)\n/ }, text);
    }
    t.same(backend.calls, []);
    for (const text of ['web1 --clear --for 1s', 'web1 --for 1s --clear']) {
      const { err } = await runLine(line(`sim fault ${text}`), { way, backend });
      t.match(
        err,
        /^vmmctl: sim fault: --\w+ and --\w+ exclude each other \(EINVAL\)\nhint: [^\n]+\n$/,
      );
    }
    const typo = await runLine(line('sim fault web1 agent-stob'), { way, backend });
    t.match(typo.err, "hint: did you mean 'agent-stop'?");
  });
}

t.test('what the host finds wrong with a fault is wrong usage', async (t) => {
  const backend = new FakeBackend().add('web1').failing('setFault', 'EINVAL');
  t.match(await runLine(line('sim fault web1 agent-stop'), { backend }), { status: 2 });
});

t.test('sim fault --list shows the kinds, and asks no host', async (t) => {
  const backend = new FakeBackend();
  const { out } = await runLine(line('sim fault --list'), { backend });
  for (const { kind, value, summary } of FAULT_KINDS) {
    const written = { none: kind, ms: `${kind}=DURATION`, share: `${kind}=SHARE` }[value];
    t.ok(out.split('\n').some((row) => row.startsWith(`${written} `) && row.endsWith(summary)));
  }
  const json = await runLine(line('sim fault --list --json'), { backend });
  t.same(JSON.parse(json.out), FAULT_KINDS);
  const quiet = await runLine(line('sim fault --list -q'), { backend });
  t.equal(quiet.out, FAULT_KINDS.map(({ kind }) => `${kind}\n`).join(''));
  t.same(backend.calls, []);
});

t.test('inspect shows the faults with what they are', async (t) => {
  const backend = new FakeBackend().add('web1');
  backend.devices.faults.set('web1', [{ kind: 'agent-stop' }, { kind: 'new\u001b-kind' }]);
  const page = await runLine(line('inspect web1'), { backend, tty: true });
  t.match(page.out, /^ {2}faults:\n {4}agent-stop +the guest's agent is stopped\n {4}new/m);
  t.notMatch(page.out, '\u001b');
  t.match(JSON.parse((await runLine(line('inspect web1'), { backend })).out), [
    { faults: ['agent-stop', 'new\u001b-kind'] },
  ]);
});
