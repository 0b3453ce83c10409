/** What ends in a guest whose VM is destroyed, switched off or reset, and who may have that done. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { type Host, type Running, simulatedHost, until } from '../helpers/host.js';

const WAITS = [
  [['hgcm', 'call', 'VmmctlEcho', '4'], 'calling'],
  [['guestprop', 'wait', '/x'], 'waiting'],
  [['events', 'wait'], 'waiting'],
] as const;

/** One of each kind of call that waits in a guest. */
async function waiting(host: Host, vm: string): Promise<Running[]> {
  return Promise.all(
    WAITS.map(async ([words, told]) => {
      const command = host.start(['-v', '--in', vm, ...words]);
      await command.waitFor(told);
      return command;
    }),
  );
}

function logOf(host: Host): string {
  return readFileSync(host.path('s/vmmctl/default/sim.log'), 'utf8');
}

t.test('the end of a VM ends what waits in its guest, and nothing else', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'other']);
  const daemon = await host.daemon();

  await t.test('of one that is destroyed', async (t) => {
    await host.run(['create', 'web1']);
    await host.run(['sim', 'fault', 'web1', 'balloon-lag=20ms']);
    await host.run(['balloon', 'set', 'web1', '200M']);
    const outside = host.start(['-v', 'guestprop', 'wait', '--vm', 'web1', '*']);
    await outside.waitFor('waiting');
    const inside = await waiting(host, 'web1');
    t.match(await host.run(['destroy', 'web1']), { status: 0, stderr: '' });
    for (const { ended } of inside) {
      t.match(await ended, { status: 7, stderr: /the guest 'web1' is gone \(ENODEV\)/ });
    }
    t.match(await outside.ended, { status: 3, stderr: /the VM 'web1' was destroyed \(ENOENT\)/ });
  });

  await t.test('of an ephemeral one', async (t) => {
    const owner = host.start(['create', 'brief', '--ephemeral'], { openStdin: true });
    await owner.waitForOutput('brief');
    const inside = await waiting(host, 'brief');
    owner.stdin.end();
    for (const { ended } of inside) {
      t.match(await ended, { status: 7, stderr: /the guest 'brief' is gone \(ENODEV\)/ });
    }
  });

  await t.test('of one that is reset', async (t) => {
    await host.run(['create', 'again']);
    await host.run(['guestprop', 'set', '--vm', 'again', '/brief', '1', '--flags', 'transreset']);
    const inside = await waiting(host, 'again');
    t.equal((await host.run(['reset', 'again'])).status, 0);
    for (const { ended } of inside) t.match(await ended, { status: 7, stderr: /\(ENODEV\)/ });
    t.equal((await host.run(['guestprop', 'get', '--vm', 'again', '/brief'])).status, 3);
    t.equal((await host.run(['--in', 'again', 'guestprop', 'set', '/y', 'z'])).status, 0);
  });

  await t.test(
    'of one that is switched off, where nothing can be done until a reset',
    async (t) => {
      const flags = ['--flags', 'transient'];
      await host.run(['guestprop', 'set', '--vm', 'again', '/brief', '1', ...flags]);
      const inside = await waiting(host, 'again');
      await host.run(['poweroff', 'again']);
      const off = { status: 7, stderr: /the guest 'again' is off \(poweroff\) \(ENODEV\)\nhint: / };
      for (const { ended } of inside) t.match(await ended, off);
      for (const words of ['guestprop set /y z', 'vsock listen 22', 'vmci id', 'balloon']) {
        t.match(await host.run(['--in', 'again', ...words.split(' ')]), off, words);
      }
      t.equal((await host.run(['guestprop', 'get', '--vm', 'again', '/brief'])).status, 3);
      t.equal((await host.run(['heartbeat', 'again', '--check'])).status, 6);
      t.equal((await host.run(['reset', 'again'])).status, 0);
      t.equal((await host.run(['--in', 'again', 'guestprop', 'get', '/y'])).status, 0);
      t.equal((await host.run(['heartbeat', 'again', '--check'])).status, 0);
    },
  );

  await t.test('the host goes on, and its log has nothing false', async (t) => {
    const beats = async () => {
      const [record] = await host.json<{ beats: number }[]>(['heartbeat', 'other']);
      return record?.beats ?? 0;
    };
    const before = await beats();
    await until('the heart of the other beats', async () => (await beats()) > before);
    t.equal(await host.daemon(), daemon);
    t.notMatch(logOf(host), /error|defect|ENOMEM/);
  });

  await t.test('the end of the host, too', async (t) => {
    const inside = await waiting(host, 'other');
    t.equal((await host.run(['sim', 'stop'])).status, 0);
    for (const { ended } of inside) t.not((await ended).status, 0);
    t.notMatch(logOf(host), /error|defect|ENOMEM/);
  });
});

t.test("another user's VM may be looked at, and not be changed", async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const as = (...words: string[]) => host.run(['--as', '1000:978', ...words]);
  for (const words of [
    'balloon set web1 6M',
    'heartbeat set web1 --off',
    'guestprop set --vm web1 /x 1',
    'guestprop unset --vm web1 /x',
    'events raise web1 vrdp',
    'sim fault web1 agent-stop',
    'sim fault web1 --clear',
    'sim export web1 --cuse',
    'run web1',
    'suspend web1',
  ]) {
    t.match(await as(...words.split(' ')), { status: 5, stderr: /\(E(ACCES|PERM)\)/ }, words);
  }
  for (const words of [
    'balloon web1',
    'heartbeat web1',
    'guestprop list --vm web1',
    'inspect web1',
  ]) {
    t.equal((await as(...words.split(' '))).status, 0, words);
  }
  t.match(await host.json(['inspect', 'web1']), [{ faults: [] }]);
  const own = ['create', 'own', '--ephemeral', '--label', 'a=b'];
  const owner = host.start(['--as', '1000:978', ...own], { openStdin: true });
  await owner.waitForOutput('own');
  t.equal((await as('balloon', 'set', 'own', '6M')).status, 0);
  owner.stdin.end();
  t.equal((await owner.ended).status, 0);
});
