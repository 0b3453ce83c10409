/** Queue pairs of VMCI by the commands: both directions, half-closes, ends that die, and what is refused. */
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { type Host, type Running, random, simulatedHost, until } from '../helpers/host.js';

/** A host with a VM. */
async function withVm(t: Parameters<typeof simulatedHost>[0]): Promise<Host> {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  return host;
}

/** The handle that a creator says. */
async function handleOf(creator: Running): Promise<string> {
  return (await creator.waitFor(/listening on (\d+:\d+)/))[1] ?? '';
}

const create = (side: readonly string[], ...more: string[]) => {
  return [...side, 'vmci', 'queue', 'create', ...more];
};
const attach = (side: readonly string[], handle: string) => {
  return [...side, 'vmci', 'queue', 'attach', handle];
};
const HOST: readonly string[] = [];
const GUEST = ['--in', 'web1'];

for (const [name, creator, attacher] of [
  ['host to guest', HOST, GUEST],
  ['guest to host', GUEST, HOST],
  ['host to host', HOST, HOST],
  ['guest to itself', GUEST, GUEST],
] as const) {
  t.test(`bytes pass both ways, ${name}`, async (t) => {
    const host = await withVm(t);
    const [forth, back] = [random(3_000_000), random(1_000_000)];
    writeFileSync(host.path('forth'), forth);
    const one = host.start(create(creator, '64K'), {
      from: host.path('forth'),
      to: host.path('got'),
    });
    const handle = await handleOf(one);
    const other = await host.run(attach(attacher, handle), { input: back });
    t.equal(other.status, 0, other.stderr);
    t.ok(other.stdout.equals(forth), 'what the creator sent');
    t.match(await one.ended, { status: 0, stderr: /^listening on/ });
    t.ok(readFileSync(host.path('got')).equals(back), 'and what came back');
    t.strictSame(await host.json(['vmci', 'queue', 'list']), [], 'nothing is left');
  });
}

t.test('an end of input ends one direction alone', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(HOST, '4K'), { input: 'question\n' });
  const other = host.start(attach(GUEST, await handleOf(one)), { openStdin: true });
  await other.waitForOutput('question');
  other.stdin.end('answer\n');
  t.match(await one.ended, { status: 0, stdout: Buffer.from('answer\n') });
  t.equal((await other.ended).status, 0);
});

t.test('a queue of the least size carries all the same', async (t) => {
  const host = await withVm(t);
  // The end of input is there long before the last byte has gone.
  const bytes = random(200);
  const one = host.start(create(HOST, '2'), { input: bytes });
  const other = await host.run(attach(GUEST, await handleOf(one)));
  t.equal(other.status, 0, other.stderr);
  t.ok(other.stdout.equals(bytes), 'byte by byte');
  t.equal((await one.ended).status, 0);
});

t.test('the pair is listed with its states and what waits in it', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(GUEST, '64K', '--peer', 'host', '--receive-size', '100'), {
    openStdin: true,
  });
  const handle = await handleOf(one);
  const list = () => host.json<{ state: string; produce: object }[]>(['vmci', 'queue', 'list']);
  const record = { handle, creator: 3, attacher: null, peer: 2, flags: [] };
  const sizes = { produceSize: 65536, consumeSize: 100 };
  t.match(await list(), [{ ...record, ...sizes, state: 'CREATED_MEM' }]);
  const other = host.start(attach(HOST, handle), { openStdin: true });
  // The reader is stopped, so that what was written stays where it is.
  await until('it is attached', async () => (await list())[0]?.state === 'ATTACHED_MEM');
  other.kill('SIGSTOP');
  one.stdin.write('12345');
  await until('bytes wait', async () =>
    JSON.stringify((await list())[0]?.produce).includes('"ready":5'),
  );
  t.match(await list(), [{ produce: { tail: 5, head: 0, ready: 5, free: 65530 } }]);
  const { stdout } = await host.run(['vmci', 'queue', 'list', '--no-header']);
  t.match(stdout.toString(), new RegExp(`^${handle} +ATTACHED_MEM +3 +2 +2 +64K +5 +100 +0\n$`));
  other.kill('SIGCONT');
  other.stdin.end();
  one.stdin.end();
  t.equal((await one.ended).status, 0);
  t.match(await other.ended, { status: 0, stdout: Buffer.from('12345') });
});

t.test('a reader that dies leaves the writer with status 6', async (t) => {
  const host = await withVm(t);
  const one = host.shell('yes | vmmctl vmci queue create 64K');
  const other = host.start(attach(GUEST, await handleOf(one)));
  await other.waitForOutput('y\ny\n');
  other.kill('SIGKILL');
  const { status, stderr } = await one.ended;
  t.equal(status, 6);
  t.match(stderr, /the other end of the queue pair|closed before it had taken/);
});

t.test('what a writer that dies had written is read, then the status is 6', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(GUEST, '64K'), { openStdin: true });
  const handle = await handleOf(one);
  const other = host.start(attach(HOST, handle), { openStdin: true });
  await until('it is attached', async () => {
    const [pair] = await host.json<{ state: string }[]>(['vmci', 'queue', 'list']);
    return pair?.state === 'ATTACHED_MEM';
  });
  other.kill('SIGSTOP');
  one.stdin.write('the last words');
  await until('they are written', async () => {
    const [pair] = await host.json<{ produce: { ready: number } }[]>(['vmci', 'queue', 'list']);
    return pair?.produce.ready === 14;
  });
  one.kill('SIGKILL');
  await one.ended;
  other.kill('SIGCONT');
  t.match(await other.ended, { status: 6, stdout: Buffer.from('the last words') });
});

t.test('a VM that is destroyed takes its end along', async (t) => {
  for (const [side, other] of [
    [GUEST, HOST],
    [HOST, GUEST],
  ] as const) {
    const host = await withVm(t);
    const one = host.start(create(side, '64K'), { openStdin: true });
    const two = host.start(attach(other, await handleOf(one)), { openStdin: true });
    one.stdin.write('x');
    await two.waitForOutput('x');
    await host.run(['destroy', 'web1']);
    const ends = new Map([
      [side, await one.ended],
      [other, await two.ended],
    ]);
    t.match(ends.get(GUEST), { status: 7, stderr: /the guest 'web1' is gone \(ENODEV\)/ });
    t.equal(ends.get(HOST)?.status, 6);
  }
});

t.test('a VM that is destroyed ends who waits in it for the other end', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(GUEST, '4K'));
  await handleOf(one);
  await host.run(['destroy', 'web1']);
  t.match(await one.ended, { status: 7, stderr: /the guest 'web1' is gone \(ENODEV\)/ });
});

t.test('a writer that is interrupted is an error for the reader', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(HOST, '64K'), { openStdin: true });
  const two = host.start(attach(GUEST, await handleOf(one)), { openStdin: true });
  one.stdin.write('x');
  await two.waitForOutput('x');
  one.kill('SIGINT');
  t.equal((await one.ended).signal, 'SIGINT');
  t.equal((await two.ended).status, 6);
});

t.test('a signal ends who waits for the other end', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(HOST, '64K'), { openStdin: true });
  const handle = await handleOf(one);
  one.kill('SIGINT');
  t.equal((await one.ended).signal, 'SIGINT');
  const late = await host.run(attach(GUEST, handle));
  t.match(late, { status: 6, stderr: /there is no queue pair/ });
});

t.test('nobody comes in time', async (t) => {
  const host = await withVm(t);
  const { status, stderr } = await host.run([...create(HOST, '64K'), '--timeout', '100ms']);
  t.equal(status, 6);
  t.match(stderr, /ETIMEDOUT/);
});

t.test('the end of the simulated host is an error', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(HOST, '64K'), { openStdin: true });
  const two = host.start(attach(GUEST, await handleOf(one)), { openStdin: true });
  one.stdin.write('x');
  await two.waitForOutput('x');
  await host.run(['sim', 'stop']);
  t.equal((await one.ended).status, 6);
  t.equal((await two.ended).status, 6);
});

t.test('the handle is said in each form', async (t) => {
  const host = await withVm(t);
  const known = ['--handle', '2:77'];
  const quiet = host.start([...create(HOST, '4K', ...known), '--quiet'], { openStdin: true });
  await quiet.waitFor(/^2:77\n$/);
  quiet.kill('SIGINT');
  await quiet.ended;
  const json = host.start([...create(HOST, '4K', ...known), '--json'], { openStdin: true });
  await json.waitFor(/^{"handle":"2:77"}\n$/);
  json.kill('SIGINT');
  await json.ended;
});

t.test('what is refused, and with which status', async (t) => {
  const host = await withVm(t);
  await host.run(['create', 'web2']);
  const taken = host.start(create(HOST, '4K', '--handle', '2:77'), { openStdin: true });
  await handleOf(taken);
  const cases = [
    [create(HOST, '64M', '--receive-size', '67108865'), 1, /at most 128 MiB.*NO_RESOURCES/],
    [create(HOST, '1T'), 1, /at most 128 MiB/],
    [create(HOST, '1'), 2, /has no room/],
    [create(HOST, '4K', '--handle', '2:77'), 4, /ALREADY_EXISTS/],
    [create(HOST, '4K', '--handle', '9:1'), 5, /NO_ACCESS/],
    [create(GUEST, '4K', '--peer', 'web2'), 6, /DST_UNREACHABLE/],
    [create(HOST, '4K', '--peer', 'nobody'), 3, /nobody/],
    [create(HOST, '4K', '--handle', 'web1'), 2, /not a handle/],
    [create(HOST), 2, /SIZE/],
    [attach(HOST, '2:78'), 6, /there is no queue pair 2:78/],
    [attach(['--in', 'nobody'], '2:77'), 3, /nobody/],
    [[...create(HOST, '4K'), '--backend', 'device'], 7, /between kernels/],
    [[...create(HOST, '4K'), '--as', '1000'], 5, /CAP_SYS_ADMIN/],
  ] as const;
  for (const [args, status, words] of cases) {
    const ended = await host.run(args);
    t.equal(ended.status, status, args.join(' '));
    t.match(ended.stderr, words);
    t.equal(ended.stdout.length, 0);
  }
  taken.kill('SIGINT');
  await taken.ended;
});

t.test('a pair for one VM is not for another one', async (t) => {
  const host = await withVm(t);
  await host.run(['create', 'web2']);
  const one = host.start(create(HOST, '4K', '--peer', 'web1'), { input: 'for web1' });
  const handle = await handleOf(one);
  const stranger = attach(['--in', 'web2'], handle);
  t.match(await host.run(stranger), { status: 5, stderr: /is not for this end.*NO_ACCESS/ });
  const other = await host.run(attach(GUEST, handle));
  t.equal(other.stdout.toString(), 'for web1');
  t.equal((await one.ended).status, 0);
});

t.test('a handle that a pair has is not given to another one', async (t) => {
  const host = await withVm(t);
  const cases = [
    ['2:3101', create(HOST, '4K', '--peer', 'web1'), create(GUEST, '4K', '--peer', 'host'), GUEST],
    ['3:3104', create(GUEST, '4K', '--peer', 'host'), create(HOST, '4K', '--peer', 'web1'), HOST],
    ['2:3105', create(HOST, '4K', '--peer', 'host'), create(HOST, '8K', '--peer', 'host'), HOST],
    ['2:3106', create(HOST, '4K', '--peer', 'host'), create(GUEST, '8K', '--peer', 'host'), HOST],
  ] as const;
  for (const [handle, first, second, attacher] of cases) {
    const one = host.start([...first, '--handle', handle], { input: 'first' });
    await handleOf(one);
    const again = await host.run([...second, '--handle', handle], { input: 'second' });
    t.match(
      again,
      { status: 4, stderr: /a queue pair \d+:\d+ already \(EEXIST, from VMCI_/ },
      handle,
    );
    const other = await host.run(attach(attacher, handle), { input: 'answer' });
    t.equal(other.stdout.toString(), 'first', 'the first one is as it was');
    t.match(await one.ended, { status: 0, stdout: Buffer.from('answer') });
  }
});

t.test('a pair of which both ends are taken has no third one', async (t) => {
  const host = await withVm(t);
  await host.run(['create', 'web2']);
  const one = host.start(create(HOST, '4K'), { openStdin: true });
  const handle = await handleOf(one);
  const other = host.start(attach(GUEST, handle), { openStdin: true });
  one.stdin.write('x');
  await other.waitForOutput('x');
  for (const [side, code] of [
    [['--in', 'web2'], 'EBUSY'],
    [GUEST, 'EEXIST'],
    [HOST, 'EEXIST'],
  ] as const) {
    const { status, stderr } = await host.run(attach(side, handle));
    t.equal(status, 4, stderr);
    t.match(stderr, code);
  }
  one.stdin.end();
  other.stdin.end();
  t.equal((await one.ended).status, 0);
  t.equal((await other.ended).status, 0);
});

t.test('all pairs of a guest together have a limit, which is told as such', async (t) => {
  const host = await withVm(t);
  const one = host.start(create(GUEST, '64M'), { openStdin: true });
  await handleOf(one);
  const { status, stderr } = await host.run(create(GUEST, '4K'));
  t.equal(status, 1);
  t.match(stderr, /of a guest together have at most 128 MiB.*\n.*vmci queue list/);
  one.kill('SIGINT');
  await one.ended;
});
