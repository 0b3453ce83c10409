/** Faults of a guest as others see them: peers over vsock, and those who look at the VM. */
import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

t.test('faults', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const echo = ['--in', 'web1', 'vsock', 'listen', '7000', '--keep-open', '--exec', 'cat'];
  await host.start(echo).waitFor('listening');
  const ping = async () =>
    (await host.run(['vsock', 'ping', 'web1', '7000', '--count', '1', '--timeout', '1s'])).status;
  const fault = async (...args: string[]) =>
    host.json<{ faults: string[] }>(['sim', 'fault', 'web1', ...args]);

  await t.test('that keep packets away make a peer time out, until they are cleared', async (t) => {
    for (const kind of ['vsock-stall', 'drop-packets=100%']) {
      t.equal(await ping(), 0);
      t.match(await fault(kind), { faults: [kind.replace(/=.*/, '')] });
      t.equal(await ping(), 6, kind);
      t.same((await fault('--clear')).faults, []);
    }
    t.equal(await ping(), 0);
    t.match(await fault('drop-packets=0'), { faults: ['drop-packets'] });
    t.equal(await ping(), 0, 'of none are lost');
    await fault('--clear');
  });

  await t.test('that reset connections are over at once', async (t) => {
    const joined = host.start(['vsock', 'connect', 'web1', '7000'], { openStdin: true });
    joined.stdin.write('hello\n');
    await joined.waitForOutput('hello');
    t.same((await fault('vsock-reset')).faults, []);
    t.match(await joined.ended, { status: 6, stderr: /\(ECONNRESET/ });
  });

  await t.test('of one VM are not those of another, and end with it', async (t) => {
    await host.run(['create', 'web2']);
    await fault('agent-stop');
    const faultsOf = async (name: string) =>
      (await host.json<{ faults: string[] }[]>(['inspect', name]))[0]?.faults;
    t.same(await faultsOf('web1'), ['agent-stop']);
    t.same(await faultsOf('web2'), []);
    await host.run(['destroy', 'web1']);
    await host.run(['create', 'web1']);
    t.same(await faultsOf('web1'), []);
  });
});
