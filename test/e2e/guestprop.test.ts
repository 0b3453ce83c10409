import t from 'tap';
import { type Ended, type Running, simulatedHost } from '../helpers/host.js';

interface Property {
  name: string;
  value: string;
  timestamp: string;
  flags: string[];
}

t.test('guest properties are shared by a guest and its host', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const SIDES = { host: ['--vm', 'web1'], guest: ['--in', 'web1'] } as const;
  type Side = keyof typeof SIDES;
  const line = (side: Side, words: readonly string[]) => ['guestprop', ...words, ...SIDES[side]];
  const run = (side: Side, ...words: string[]) => host.run(line(side, words));
  const json = <T>(side: Side, ...words: string[]) => host.json<T>(line(side, words));
  const start = (side: Side, ...words: string[]) => host.start(line(side, words));
  const must = async (side: Side, ...words: string[]) => {
    const { status, stderr } = await run(side, ...words);
    t.equal(status, 0, `${side}: ${words.join(' ')} ${stderr}`);
  };

  await t.test('both sides see what either sets', async (t) => {
    for (const [one, other] of [
      ['host', 'guest'],
      ['guest', 'host'],
    ] as const) {
      const value = `from the ${one}: é 日本 \u001b[2J`;
      await must(one, 'set', '/x', value, '--flags', 'transient');
      t.equal((await run(other, 'get', '/x')).stdout.toString(), `${value}\n`);
      const seen = await json<Property>(other, 'get', '/x');
      t.match(seen, { name: '/x', value, flags: ['TRANSIENT'] });
      t.ok(Math.abs(Number(BigInt(seen.timestamp) / 1_000_000n) - Date.now()) < 60_000);
      t.same(await json<Property>(one, 'get', '/x'), seen);
      await must(other, 'set', '/x', 'plain');
      t.match(await json<Property>(one, 'get', '/x'), { value: 'plain', flags: [] });
      await must(other, 'unset', '/x');
      t.match(await run(one, 'get', '/x'), { status: 3, stderr: /no property '\/x' \(ENOENT/ });
      await must(one, 'unset', '/x');
    }
  });

  await t.test('lists are the same on both sides', async (t) => {
    for (const name of ['/list/b', '/list/a', '/list/c', '/other'])
      await must('host', 'set', name, '');
    const listed = await json<Property[]>('guest', 'list', '/list/*');
    t.same(
      listed.map(({ name }) => name),
      ['/list/a', '/list/b', '/list/c'],
    );
    t.same(await json('host', 'list', '/list/*'), listed);
    const two = await json<Property[]>('guest', 'list', '/list/?|/other');
    t.equal(two.length, 4);
    t.same(await json('host', 'list', '/list/?|/other'), two);
    t.same(await json('host', 'list', 'nothing'), []);
    const all = await json<Property[]>('host', 'list');
    t.ok(all.some(({ name }) => name === '/VirtualBox/HostInfo/VBoxVer'));
    t.same(await json('guest', 'list'), all);
    const table = (await run('host', 'list', '/list/*')).stdout.toString();
    t.match(table, /^NAME +VALUE +TIMESTAMP +FLAGS\n\/list\/a /);
  });

  await t.test('a list that needs a larger buffer', async (t) => {
    const value = 'x'.repeat(1000);
    for (let i = 0; i < 8; i++) await must('host', 'set', `/large/${i}`, value);
    const listed = await json<Property[]>('guest', 'list', '/large/*');
    t.equal(listed.length, 8);
    t.ok(listed.every((each) => each.value === value));
  });

  await t.test('rights', async (t) => {
    await must('host', 'set', '/fixed', '1', '--flags', 'rdonlyguest');
    const refused = { status: 5, stderr: /\(EACCES/ };
    t.match(await run('guest', 'set', '/fixed', '2'), refused);
    t.match(await run('guest', 'unset', '/fixed'), refused);
    t.match(await run('guest', 'set', '/fixed', '2', '--json'), {
      status: 5,
      stdout: Buffer.alloc(0),
      stderr: /"cause":"VERR_PERMISSION_DENIED"/,
    });
    await must('host', 'set', '/fixed', '3');
    await must('guest', 'set', '/fixed', '4', '--flags', 'RDONLYHOST');
    t.match(await run('host', 'set', '/fixed', '5'), refused);
    t.match(await run('host', 'unset', '/fixed'), refused);
    await must('guest', 'unset', '/fixed');
    t.match(await run('guest', 'set', '/VirtualBox/HostInfo/VBoxVer', '1'), refused);
  });

  await t.test('values that are too long, names that are none', async (t) => {
    await must('guest', 'set', '/long', 'x'.repeat(1023));
    for (const side of ['host', 'guest'] as const) {
      const long = await run(side, 'set', '/long', 'x'.repeat(1024));
      t.match(long, { status: 1, stderr: /\(E2BIG/ }, side);
      t.match(await run(side, 'set', 'x'.repeat(64), '1'), { status: 2 }, side);
    }
  });

  await t.test('waits end with the next change', async (t) => {
    for (const [one, other] of [
      ['host', 'guest'],
      ['guest', 'host'],
    ] as const) {
      const set = await seen(start(one, 'wait', '/w/*'), () => run(other, 'set', '/w/a', 'now'));
      t.match(set, { status: 0, stderr: '' });
      t.equal(set.stdout.toString(), 'set  /w/a  now\n');
      let turn = 0;
      const counted = await seen(start(one, 'wait', '/w/*', '--count', '3', '--json'), () =>
        run(other, 'set', '/w/a', String(++turn)),
      );
      const changes = counted.stdout.toString().trimEnd().split('\n');
      const values = changes.map((each) => Number(JSON.parse(each).value));
      const first = values[0] ?? 0;
      t.same(values, [first, first + 1, first + 2], 'none in between is missed');
      await must(one, 'set', '/gone', '1');
      const waiting = start(one, 'wait', '/gone|/begun', '--count', '1000');
      let begun = false;
      const heard = waiting.waitForOutput('set  /begun').finally(() => {
        begun = true;
      });
      while (!begun) await must(other, 'set', '/begun', '1');
      await heard;
      await must(other, 'unset', '/gone');
      await waiting.waitForOutput('deleted  /gone\n');
      waiting.kill();
      await waiting.ended;
    }
  });

  await t.test('waits end in time, and by a signal', async (t) => {
    for (const side of ['host', 'guest'] as const) {
      t.match(await run(side, 'wait', '/never', '--timeout', '100ms'), {
        status: 6,
        stderr: /\(ETIMEDOUT\)/,
      });
      const waiting = start(side, 'wait', '/never', '--verbose');
      await waiting.waitFor('waiting');
      waiting.kill('SIGINT');
      const ended = await waiting.ended;
      t.equal(ended.signal, 'SIGINT');
      t.notMatch(ended.stderr, /\(E[A-Z]+\)/);
    }
  });

  await t.test('what is not transient is there after a restart', async (t) => {
    await must('host', 'set', '/stays', '1');
    await must('guest', 'set', '/goes', '1', '--flags', 'transient');
    await host.run(['sim', 'restart']);
    t.equal((await run('guest', 'get', '/stays')).stdout.toString(), '1\n');
    t.match(await run('host', 'get', '/goes'), { status: 3 });
  });

  await t.test('the host is the one that its device tells of', async (t) => {
    const told = await host.json<{ product: string; version: string; revision: string }>([
      ...['host-version', '--in', 'web1'],
    ]);
    t.equal(told.product, 'VirtualBox');
    const property = (name: string) =>
      json<Property>('guest', 'get', `/VirtualBox/HostInfo/${name}`);
    t.equal((await property('VBoxVer')).value, told.version);
    t.equal((await property('VBoxRev')).value, told.revision);
  });

  await t.test('a VM that there is not', async (t) => {
    const missing = await host.run(['guestprop', 'list', '--vm', 'web2']);
    t.match(missing, { status: 3, stderr: /no VM 'web2'.*\nhint: did you mean 'web1'/ });
    t.match(await host.run(['guestprop', 'list', '--in', 'web2']), { status: 3 });
  });
});

/** Makes changes again and again until the one who waits for them has ended: nobody can tell when it begins to wait. */
async function seen(waiting: Running, change: () => Promise<unknown>): Promise<Ended> {
  let over = false;
  const ended = waiting.ended.finally(() => {
    over = true;
  });
  while (!over) await change();
  return ended;
}
