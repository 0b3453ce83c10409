import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

const EVENTS = ['--in', 'web1', 'events', 'wait'];

t.test('events go from a host to its guest', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const text = async (args: readonly string[]) => (await host.run(args)).stdout.toString();

  await t.test('one that came before anybody asked is not lost', async (t) => {
    const raised = await host.run(['events', 'raise', 'web1', 'restored', 'VRDP']);
    t.match(raised, { status: 0, stdout: Buffer.alloc(0), stderr: '' });
    t.equal(await text(EVENTS), 'restored\nvrdp\n');
  });

  await t.test('one that comes later wakes who waits', async (t) => {
    const waiting = host.start([...EVENTS, '--mask', 'cpu-hotplug', '--verbose', '--json']);
    await waiting.waitFor('waiting for cpu-hotplug');
    t.same(await host.json(['events', 'raise', 'web1', 'cpu_hotplug', 'restored']), {
      vm: 'web1',
      events: ['restored', 'cpu-hotplug'],
      mask: 0x410,
    });
    const { status, stdout } = await waiting.ended;
    t.equal(status, 0);
    t.same(JSON.parse(stdout.toString()), { events: ['cpu-hotplug'], mask: 0x400 });
    t.equal(
      await text([...EVENTS, '--mask', 'restored']),
      'restored\n',
      'the other is still there',
    );
  });

  await t.test('it goes to one of those who wait', async (t) => {
    const waits = ['a', 'b'].map(() => host.start([...EVENTS, '--mask', 'vrdp', '--verbose']));
    await Promise.all(waits.map((each) => each.waitFor('waiting')));
    const first = Promise.race(waits.map((each) => each.ended));
    await host.run(['events', 'raise', 'web1', 'vrdp']);
    t.match(await first, { status: 0 });
    await host.run(['events', 'raise', 'web1', 'vrdp']);
    for (const each of waits) t.match(await each.ended, { status: 0 });
    t.match(await host.run([...EVENTS, '--timeout', '50ms']), { status: 6 }, 'none is left');
  });

  await t.test('other guests do not see it', async (t) => {
    await host.run(['create', 'web2']);
    await host.run(['events', 'raise', 'web2', 'restored']);
    t.match(await host.run([...EVENTS, '--timeout', '50ms']), { status: 6 });
    t.equal(await text(['--in', 'web2', 'events', 'wait']), 'restored\n');
  });

  await t.test('waiting ends in time, and by a signal', async (t) => {
    t.match(await host.run([...EVENTS, '--timeout', '50ms']), {
      status: 6,
      stderr: 'vmmctl: events wait: no event came within 50ms (ETIMEDOUT)\n',
    });
    const waiting = host.start([...EVENTS, '--verbose']);
    await waiting.waitFor('waiting');
    waiting.kill('SIGINT');
    const ended = await waiting.ended;
    t.equal(ended.signal, 'SIGINT');
    t.notMatch(ended.stderr, /\(E[A-Z]+\)/);
    const destroyed = host.start(['--in', 'web2', 'events', 'wait', '--verbose']);
    await destroyed.waitFor('waiting');
    await host.run(['destroy', 'web2']);
    t.not((await destroyed.ended).status, 0, 'and when its VM is destroyed');
  });

  await t.test('a VM that there is not', async (t) => {
    t.match(await host.run(['--in', 'nobody', 'events', 'wait']), { status: 3 });
    const raise = await host.run(['events', 'raise', 'web3', 'restored']);
    t.match(raise, { status: 3, stderr: /did you mean 'web1'/ });
  });
});
