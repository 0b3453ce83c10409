/** The balloon as its user has it: set there and back, watched, and refused. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { BalloonRecord } from '../../src/core/backend/port/guest.js';
import { simulatedHost } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';

const MIB = 2 ** 20;

t.test('a balloon', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1', '--memory', '512M']);
  const balloon = async (...args: string[]) => {
    const [record] = await host.json<BalloonRecord[]>(['balloon', 'web1', ...args]);
    if (!record) throw new Error('no balloon');
    return record;
  };

  await t.test('is empty at first, and then has the size that was asked for', async (t) => {
    const empty = { vm: 'web1', memory: 512 * MIB, target: 0, actual: 0, unit: MIB };
    t.match(await balloon(), empty);
    t.match(await host.run(['balloon', 'set', 'web1', '100M', '--wait']), {
      status: 0,
      stdout: Buffer.alloc(0),
      stderr: '',
    });
    t.match(await balloon(), { target: 100 * MIB, actual: 100 * MIB });
    const back = await host.json<BalloonRecord>(['balloon', 'set', 'web1', '0', '--wait']);
    t.match(back, empty);
  });

  await t.test('is rounded up to its unit', async (t) => {
    const record = await host.json<BalloonRecord>(['balloon', 'set', 'web1', '1', '--wait']);
    t.match(record, { target: MIB, actual: MIB });
    await host.run(['balloon', 'set', 'web1', '0', '--wait']);
  });

  await t.test('over the limit is wrong usage, and changes nothing', async (t) => {
    t.match(await host.run(['balloon', 'set', 'web1', '460M']), {
      status: 2,
      stderr: /459 MiB.*\(EINVAL\)/,
    });
    t.match(await balloon(), { target: 0 });
    t.equal((await host.run(['balloon', 'set', 'web1', '459M', '--wait'])).status, 0);
    t.equal((await host.run(['balloon', 'set', 'web1', '0', '--wait'])).status, 0);
  });

  await t.test("is the same in the guest's own view", async (t) => {
    await host.run(['balloon', 'set', 'web1', '64M', '--wait']);
    const [own] = await host.json<BalloonRecord[]>(['--in', 'web1', 'balloon']);
    t.match(own, { vm: null, memory: null, target: null, actual: 64 * MIB, unit: MIB });
    const nobody = await host.run(['--in', 'web1', '--as', '65534', 'balloon', '--json']);
    t.match(JSON.parse(nobody.stdout.toString()), [{ actual: 64 * MIB }], 'by /dev/vboxuser');
    await host.run(['balloon', 'set', 'web1', '0', '--wait']);
    t.equal((await host.run(['--in', 'nobody', 'balloon'])).status, 3);
  });

  await t.test("has the guest's statistics beside it", async (t) => {
    await host.until(['balloon', 'web1', '--json'], ({ stdout }) => {
      const [record] = JSON.parse(stdout.toString()) as BalloonRecord[];
      return record?.guestStats != null;
    });
    const { guestStats } = await balloon();
    t.match(guestStats, { memoryTotal: Number, memoryAvailable: Number, reportedAt: /Z$/ });
  });

  await t.test('of a guest that gives nothing up is status 6, with what was reached', async (t) => {
    t.equal((await host.run(['sim', 'fault', 'web1', 'balloon-refuse'])).status, 0);
    t.match(await host.json(['inspect', 'web1']), [{ faults: ['balloon-refuse'] }]);
    const refused = await host.run(['balloon', 'set', 'web1', '128M', '--wait']);
    t.match(refused, { status: 6, stderr: /the balloon reached 0 of 128M \(ETIMEDOUT\)\nhint: / });
    t.match(await balloon(), { target: 128 * MIB, actual: 0 });
    t.equal((await host.run(['sim', 'fault', 'web1', '--clear'])).status, 0);
    t.match(await host.json(['inspect', 'web1']), [{ faults: [] }]);
    t.equal((await host.run(['balloon', 'set', 'web1', '0', '--wait'])).status, 0);
  });

  await t.test('of a slow guest can be seen on its way', async (t) => {
    await host.run(['sim', 'fault', 'web1', 'balloon-lag=20ms']);
    const watch = host.start(['balloon', 'watch', 'web1', '--interval', '20ms', '--json']);
    await watch.waitForOutput('web1');
    const late = await host.run(['balloon', 'set', 'web1', '128M', '--wait', '--timeout', '600ms']);
    t.match(late, { status: 6, stderr: /the balloon reached \d+M of 128M \(ETIMEDOUT\)/ });
    const whole = await host.run(['balloon', 'set', 'web1', '128M', '--wait']);
    t.match(whole, { status: 0, stderr: '' }, 'with patience it is there');
    await watch.waitForOutput(`"actual":${128 * MIB},`);
    watch.kill('SIGINT');
    const { signal, stdout } = await watch.ended;
    t.equal(signal, 'SIGINT');
    const looks = stdout.toString().trimEnd().split('\n');
    const sizes = looks.map((line) => (JSON.parse(line) as BalloonRecord[])[0]?.actual ?? -1);
    t.ok(new Set(sizes).size > 10, `${sizes.length} looks`);
    t.ok(sizes.every((size) => size >= 0 && size % MIB === 0));
    t.same(
      sizes,
      [...sizes].sort((a, b) => a - b),
      'it only grows',
    );
    await host.run(['sim', 'fault', 'web1', '--clear', 'balloon-lag']);
    t.equal((await host.run(['balloon', 'set', 'web1', '0', '--wait'])).status, 0);
  });

  await t.test('can be given up to wait for, and stays asked for', async (t) => {
    await host.run(['sim', 'fault', 'web1', 'balloon-lag=50ms']);
    const waiting = host.start(['balloon', 'set', 'web1', '128M', '--wait', '--verbose']);
    await waiting.waitFor('asked web1');
    waiting.kill('SIGINT');
    t.match(await waiting.ended, {
      signal: 'SIGINT',
      stderr: 'asked web1 for a balloon of 128M\n',
    });
    t.match(await balloon(), { target: 128 * MIB });
    await host.run(['sim', 'fault', 'web1', '--clear']);
    t.equal((await host.run(['balloon', 'set', 'web1', '0', '--wait'])).status, 0);
  });

  await t.test('that is watched ends with its VM', async (t) => {
    await host.run(['create', 'brief']);
    const watch = host.start(['balloon', 'watch', 'brief', '--interval', '20ms']);
    await watch.waitForOutput('brief');
    await host.run(['destroy', 'brief']);
    t.match(await watch.ended, { status: 3, stderr: /no VM 'brief' \(ENOENT\)/ });
  });

  await t.test('is wanted by the host also after it was killed', async (t) => {
    await host.run(['balloon', 'set', 'web1', '32M', '--wait']);
    await host.run(['sim', 'restart']);
    const { stdout } = await host.until(['balloon', 'web1', '--json'], (ended) => {
      const [record] = JSON.parse(ended.stdout.toString()) as BalloonRecord[];
      return record?.actual === 32 * MIB;
    });
    t.match(JSON.parse(stdout.toString()), [{ target: 32 * MIB }], 'and its guest has followed');
  });
});

t.test('a balloon on a terminal', async (t) => {
  if (!requireTool(t, 'script')) return;
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  await host.run(['balloon', 'set', 'web1', '64M', '--wait']);
  const terminal = async (line: string, name: string) => {
    const { status } = await host.program('script', ['-qec', line, host.path(name)], {
      env: { NO_COLOR: '1' },
    }).ended;
    return { status, text: readFileSync(host.path(name), 'utf8') };
  };
  const live = await terminal('vmmctl balloon watch --interval 10ms --count 3', 'watch');
  t.equal(live.status, 0);
  t.match(live.text, /VM +MEMORY +TARGET +ACTUAL +AVAILABLE +REPORTED +HISTORY/);
  t.match(live.text, /web1 +512M +64M +64M .*█/);
  t.match(live.text, /\u001b\[\?25l.*\u001b\[\?25h/s, 'the cursor is hidden, and there again');
  await host.run(['sim', 'fault', 'web1', 'balloon-lag=5ms']);
  const wait = await terminal('vmmctl balloon set web1 128M --wait', 'wait');
  t.equal(wait.status, 0);
  t.match(wait.text, /web1 \d+M of 128M/);
});
