import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Host, processNumber, random, simulatedHost, until } from '../helpers/host.js';

const MIB = 2 ** 20;
const MAX_MEMORY_KIB = 150 * 1024;

/** Writes random bytes, the same block again and again with a number in it, and gives nothing back. */
function makeFile(path: string, size: number): void {
  const block = random(Math.min(MIB, size));
  const fd = openSync(path, 'w');
  for (let at = 0; at < size; at += block.length) {
    if (block.length >= 8) block.writeDoubleLE(at, 0);
    writeSync(fd, block, 0, Math.min(block.length, size - at));
  }
  closeSync(fd);
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

async function sameFiles(t: Test, host: Host, a: string, b: string): Promise<void> {
  t.equal(await digest(host.path(a)), await digest(host.path(b)), `${b} has the bytes of ${a}`);
}

t.test('a file reaches the other side with the same bytes', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  await host.run(['create', 'web2']);

  const cases: [string, number, string[], string[], string][] = [
    ['64 MiB, guest to host', 64 * MIB, ['--in', 'web1'], [], 'host'],
    ['64 MiB, host to guest', 64 * MIB, [], ['--in', 'web2'], 'web2'],
    ['one byte', 1, ['--in', 'web1'], [], 'host'],
    ['no byte', 0, ['--in', 'web1'], [], 'host'],
    ['within one host', 3 * MIB, [], [], 'local'],
    ['within one guest', 3 * MIB, ['--in', 'web1'], ['--in', 'web1'], 'local'],
    ['within one guest, by its name', 3 * MIB, ['--in', 'web1'], ['--in', 'web1'], 'web1'],
    ['one more than a packet', 65537, ['--in', 'web1'], [], 'host'],
    ['one more than the window', 262145, [], ['--in', 'web1'], 'web1'],
  ];
  for (const [name, size, sender, receiver, to] of cases) {
    await t.test(name, async (t) => {
      makeFile(host.path('in'), size);
      const listen = host.start([...receiver, 'vsock', 'listen', '5000'], { to: host.path('out') });
      await listen.waitFor('listening on vsock port 5000');
      const connect = await host.run([...sender, 'vsock', 'connect', to, '5000'], {
        from: host.path('in'),
      });
      t.match(connect, { status: 0, stderr: '', stdout: Buffer.alloc(0) });
      t.equal((await listen.ended).status, 0);
      await sameFiles(t, host, 'in', 'out');
    });
  }

  await t.test('both directions at once', async (t) => {
    makeFile(host.path('a'), 24 * MIB);
    makeFile(host.path('b'), 24 * MIB + 17);
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '5001'], {
      from: host.path('a'),
      to: host.path('b.copy'),
    });
    await listen.waitFor('listening');
    const connect = await host.run(['vsock', 'connect', 'web1', '5001'], {
      from: host.path('b'),
      to: host.path('a.copy'),
    });
    t.equal(connect.status, 0);
    t.equal((await listen.ended).status, 0);
    await sameFiles(t, host, 'a', 'a.copy');
    await sameFiles(t, host, 'b', 'b.copy');
  });

  await t.test('through pipes', async (t) => {
    makeFile(host.path('in'), 16 * MIB + 3);
    const receive = host.shell('vmmctl vsock listen 5002 | cat > out');
    await receive.waitFor('listening');
    const send = host.shell('cat in | vmmctl --in web1 vsock connect host 5002 | cat');
    t.match(await send.ended, { status: 0, stderr: '' });
    t.equal((await receive.ended).status, 0);
    await sameFiles(t, host, 'in', 'out');
  });

  await t.test('a listener with stdin at /dev/null still receives all', async (t) => {
    makeFile(host.path('in'), 5 * MIB);
    const receive = host.shell('vmmctl vsock listen 5003 < /dev/null > out');
    await receive.waitFor('listening');
    t.equal((await host.shell('vmmctl --in web1 vsock connect host 5003 < in').ended).status, 0);
    t.equal((await receive.ended).status, 0);
    await sameFiles(t, host, 'in', 'out');
  });
});

t.test('a reader that is stopped stops its writer, and nobody grows', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  makeFile(host.path('in'), 192 * MIB);
  const daemon = await host.daemon();
  const before = processNumber(daemon, 'VmRSS');
  const listen = host.start(['vsock', 'listen', '5000'], { to: host.path('out') });
  await listen.waitFor('listening');
  listen.kill('SIGSTOP');
  const connect = host.start(['--in', 'web1', 'vsock', 'connect', 'host', '5000'], {
    from: host.path('in'),
  });
  // Full when what was sent does not change any more: the counters stand still.
  let last = -1;
  await until('the writer is stopped', async () => {
    const { counters } = await host.json<{ counters: { bytes: number } }>(['sim', 'status']);
    const still = counters.bytes === last && last > 0;
    last = counters.bytes;
    return still;
  });
  t.ok(last < 2 * MIB, `${last} bytes were taken for a reader that does not read`);
  t.ok(processNumber(daemon, 'VmRSS') - before < 30 * 1024, 'the daemon did not grow');
  t.ok(processNumber(connect.pid, 'VmHWM') < MAX_MEMORY_KIB);
  listen.kill('SIGCONT');
  await until('half is there', async () => {
    const { counters } = await host.json<{ counters: { bytes: number } }>(['sim', 'status']);
    return counters.bytes > 64 * MIB;
  });
  const alive = [connect.pid, listen.pid].map((pid) => peak(pid));
  for (const kib of alive) t.ok(kib < MAX_MEMORY_KIB, `${kib} KiB at most`);
  t.equal((await connect.ended).status, 0);
  t.equal((await listen.ended).status, 0);
  t.ok(processNumber(daemon, 'VmHWM') < MAX_MEMORY_KIB);
  await sameFiles(t, host, 'in', 'out');
});

/** The most memory of a process, KiB; 0 when it has ended. */
function peak(pid: number): number {
  try {
    return processNumber(pid, 'VmHWM') || 0;
  } catch {
    return 0;
  }
}

const large = { skip: process.env.VMMCTL_LARGE ? false : 'VMMCTL_LARGE=1 moves a gigabyte' };

t.test('a gigabyte', large, async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  makeFile(host.path('in'), 1024 * MIB);
  const listen = host.start(['vsock', 'listen', '5000'], { to: host.path('out') });
  await listen.waitFor('listening');
  const send = { from: host.path('in') };
  t.equal((await host.run(['--in', 'web1', 'vsock', 'connect', 'host', '5000'], send)).status, 0);
  t.equal((await listen.ended).status, 0);
  await sameFiles(t, host, 'in', 'out');
});

t.test('guest to guest', async (t) => {
  const host = await simulatedHost(t);
  const connect = ['--in', 'web1', 'vsock', 'connect', 'web2', '5000', '--timeout', '300ms'];
  const withPolicy = async (policy: string) => {
    t.equal((await host.run(['sim', 'start', '--policy', policy])).status, 0);
    await host.run(['create', 'web1']);
    await host.run(['create', 'web2']);
    const listen = host.start(['--in', 'web2', 'vsock', 'listen', '5000']);
    await listen.waitFor('listening');
    return listen;
  };
  const siblings = await withPolicy('siblings');
  t.equal((await host.run(connect, { input: 'hello' })).status, 0);
  t.equal((await siblings.ended).stdout.toString(), 'hello');

  await host.run(['sim', 'stop']);
  await withPolicy('isolated');
  t.match(await host.run(connect), { status: 6, stderr: /does not answer \(ETIMEDOUT\)/ });

  await host.run(['sim', 'stop']);
  await withPolicy('refuse');
  t.match(await host.run(connect), { status: 6, stderr: /refuses the connection.*\(ECONNRESET\)/ });
});
