/** The heartbeat as its user has it: a guest that falls silent is seen, and so is its return. */
import t from 'tap';
import type { HeartbeatRecord } from '../../src/core/backend/port/guest.js';
import { simulatedHost } from '../helpers/host.js';

t.test('a heartbeat', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  await host.run(['create', 'db1']);
  const beat = async (name = 'web1') => {
    const [record] = await host.json<HeartbeatRecord[]>(['heartbeat', name]);
    if (!record) throw new Error('no heartbeat');
    return record;
  };
  const stateOf = (stdout: Buffer) =>
    (JSON.parse(stdout.toString()) as HeartbeatRecord[])[0]?.state;
  const untilState = (...states: string[]) =>
    host.until(['heartbeat', 'web1', '--json'], ({ stdout }) =>
      states.includes(stateOf(stdout) ?? ''),
    );
  const countInLog = async (pattern: RegExp) => {
    const { stdout } = await host.run(['sim', 'log', '--lines', '10000']);
    return [...stdout.toString().matchAll(pattern)].length;
  };

  await t.test('is there from the start, every two seconds', async (t) => {
    t.match(await beat(), {
      vm: 'web1',
      enabled: true,
      intervalMs: 2000,
      timeoutMs: 4000,
      misses: 0,
      state: 'beating',
    });
    const order = 'vm enabled intervalMs timeoutMs lastBeat beats misses state';
    t.equal(Object.keys(await beat()).join(' '), order);
    t.match(await host.run(['heartbeat', '--check', '--quiet']), {
      status: 0,
      stdout: Buffer.from('db1\nweb1\n'),
      stderr: '',
    });
  });

  await t.test('can be quicker, and the guest follows', async (t) => {
    const times = ['--interval', '50ms', '--host-timeout', '400ms'];
    const set = await host.json<HeartbeatRecord>(['heartbeat', 'set', 'web1', ...times]);
    t.match(set, { intervalMs: 50, timeoutMs: 400 });
    const before = (await beat()).beats;
    await host.until(['heartbeat', 'web1', '--json'], ({ stdout }) => {
      const [record] = JSON.parse(stdout.toString()) as HeartbeatRecord[];
      return (record?.beats ?? 0) >= before + 10;
    });
    t.match(await beat(), { misses: 0, lastBeat: /Z$/ });
    t.match(await beat('db1'), { intervalMs: 2000, timeoutMs: 4000 }, 'the other is left alone');
  });

  await t.test('that stops is late, then flatlined, one line in the log each', async (t) => {
    const watch = host.start(['heartbeat', 'watch', 'web1', '--interval', '10ms', '--json']);
    await watch.waitForOutput('beating');
    t.equal((await host.run(['sim', 'fault', 'web1', 'heartbeat-stop'])).status, 0);
    await watch.waitForOutput('flatlined');
    watch.kill('SIGINT');
    const looks = (await watch.ended).stdout.toString().trimEnd().split('\n');
    const states = looks.map((line) => (JSON.parse(line) as HeartbeatRecord[])[0]?.state);
    const changes = states.filter((state, i) => state !== states[i - 1]);
    t.same(changes.slice(-2), ['late', 'flatlined']);
    const { misses } = await beat();
    t.equal(misses, 1);
    const checked = await host.run(['heartbeat', '--check']);
    t.match(checked, {
      status: 6,
      stderr: 'vmmctl: heartbeat: not beating: web1 (flatlined) (ETIMEDOUT)\n',
    });
    t.equal((await host.run(['heartbeat', 'db1', '--check'])).status, 0);
    t.equal(await countInLog(/unresponsive/g), 1);
  });

  await t.test('that is back is one line more, and no other miss', async (t) => {
    t.equal((await host.run(['sim', 'fault', 'web1', '--clear', 'heartbeat-stop'])).status, 0);
    await untilState('beating');
    t.equal(await countInLog(/Guest is alive/g), 1);
    t.equal(await countInLog(/unresponsive/g), 1);
    t.match(await beat(), { misses: 1 });
  });

  await t.test('can be silent for a time', async (t) => {
    await host.run(['sim', 'fault', 'web1', 'heartbeat-stop', '--for', '1s']);
    // It may be over before anybody looks; its miss stays.
    await host.until(['heartbeat', 'web1', '--json'], ({ stdout }) => {
      const [record] = JSON.parse(stdout.toString()) as HeartbeatRecord[];
      return (record?.misses ?? 0) > 1;
    });
    await untilState('beating');
    t.match(await beat(), { misses: 2 });
    t.match(await host.json(['inspect', 'web1']), [{ faults: [] }]);
  });

  await t.test('can be switched off and on', async (t) => {
    t.match(await host.run(['heartbeat', 'set', 'web1', '--off']), { status: 0, stderr: '' });
    t.match(await beat(), { enabled: false, state: 'off' });
    t.equal((await host.run(['heartbeat', 'web1', '--check', '--json'])).status, 6);
    t.match(await host.run(['heartbeat', 'set', 'web1', '--on']), { status: 0, stderr: '' });
    await untilState('beating');
    t.match(await beat(), { enabled: true });
  });

  await t.test('takes no times that the device does not take', async (t) => {
    for (const times of [
      ['--interval', '49ms'],
      ['--interval', '10s', '--host-timeout', '10010ms'],
      ['--host-timeout', '99ms'],
    ]) {
      const ran = await host.run(['heartbeat', 'set', 'web1', ...times]);
      t.match(ran, { status: 2, stderr: /\(EINVAL\)/ }, times.join(' '));
    }
    t.match(await beat(), { intervalMs: 50, timeoutMs: 400 });
  });

  await t.test('is not known inside the guest, nor on this machine', async (t) => {
    t.equal((await host.run(['--in', 'web1', 'heartbeat'])).status, 7);
    t.equal((await host.run(['-b', 'device', 'heartbeat'])).status, 7);
  });
});
