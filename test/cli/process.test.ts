import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const FAKE_HOST = fileURLToPath(new URL('./fixtures/fake-host.js', import.meta.url));

interface Ended {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
  calls: string;
}

interface Options {
  env?: Record<string, string>;
  stdout?: number | 'pipe';
}

t.test('output of any length reaches a pipe whole', async (t) => {
  const { out, code } = await start(['list', '--json'], { env: { FAKE_VMS: '5000' } }).ended;
  t.equal(code, 0);
  t.equal(JSON.parse(out).length, 5000);
});

t.test('a closed stdout ends the process quietly with 141', async (t) => {
  const { child, ended } = start(['list', '--json'], { env: { FAKE_VMS: '20000' } });
  child.stdout?.once('data', () => child.stdout?.destroy());
  t.match(await ended, { code: 141, err: '' });
});

const full = { skip: existsSync('/dev/full') ? false : 'there is no /dev/full' };

t.test('a full disk is one line and 1', full, async (t) => {
  const { code, err } = await start(['list'], { stdout: openSync('/dev/full', 'w') }).ended;
  t.equal(code, 1);
  t.match(err, /^vmmctl: stdout: .*\(ENOSPC\)\n$/);
});

t.test('an ephemeral VM lives until the end of input', async (t) => {
  const { child, ended, line } = start(['create', 'x', '--ephemeral']);
  t.equal(await line, 'x');
  child.stdin?.end();
  t.match(await ended, { code: 0, out: 'x\n', err: '', calls: /close \/dev\/vmmctl$/ });
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  t.test(`${signal} ends it in order, and the shell sees the signal`, async (t) => {
    const { child, ended, line } = start(['create', 'x', '--ephemeral']);
    await line;
    child.kill(signal);
    t.match(await ended, { signal, out: 'x\n', err: '' });
  });
}

t.test('a command that does not react is ended a while after the signal', async (t) => {
  const { child, ended, connected } = start(['list'], { env: { FAKE_HANG: '1' } });
  await connected;
  child.kill('SIGTERM');
  t.match(await ended, { signal: 'SIGTERM', out: '', err: '' });
});

t.test('a second signal ends it as the first one', async (t) => {
  const { child, ended, connected } = start(['list'], { env: { FAKE_HANG: '1' } });
  await connected;
  child.kill('SIGINT');
  child.kill('SIGTERM');
  t.match(await ended, { signal: /^SIG(INT|TERM)$/, out: '', err: '' });
});

const shell = (script: string) => ['create', 'x', '--ephemeral', '--', 'sh', '-c', script];

t.test('create -- CMD ends with the status of CMD, which knows the VM', async (t) => {
  const script = 'echo $VMMCTL_VM $VMMCTL_CID $VMMCTL_BACKEND; exit 7';
  t.match(await start(shell(script)).ended, {
    code: 7,
    out: 'x 3 sim\n',
    err: '',
    calls: /close \/dev\/vmmctl$/,
  });
  t.match(await start([...shell('echo "$@"'), '-', 'a', 'b', 'a', '--', '-q']).ended, {
    out: 'a b a -- -q\n',
  });
  const slow = { env: { VMMCTL_NO_FAST: '1' } };
  t.match(await start([...shell('echo "$@"'), '-', 'a', 'b', 'a', '--', '-q'], slow).ended, {
    out: 'a b a -- -q\n',
  });
});

t.test('create -- CMD gives 127, 126, 125 and 128+N as env(1) does', async (t) => {
  const create = ['create', 'x', '--ephemeral', '--'];
  t.match(await start([...create, '/nonexistent/cmd']).ended, { code: 127, err: /ENOENT/ });
  t.match(await start([...create, '/etc/passwd']).ended, { code: 126, err: /EACCES/ });
  const taken = ['create', 'vm-0', '--ephemeral', '--', 'true'];
  t.match(await start(taken, { env: { FAKE_VMS: '1' } }).ended, { code: 125, err: /EEXIST/ });
  t.match(await start(shell('kill -9 $$')).ended, { code: 137, err: '' });
});

t.test('signals are passed to CMD, which decides', async (t) => {
  const { child, ended, line } = start(
    shell('trap "exit 9" TERM; echo up; while :; do sleep 0.1; done'),
  );
  t.equal(await line, 'up');
  child.kill('SIGTERM');
  t.match(await ended, { code: 9, calls: /close \/dev\/vmmctl$/ });
});

function start(
  argv: string[],
  options: Options = {},
): {
  child: ChildProcess;
  ended: Promise<Ended>;
  line: Promise<string>;
  /** It has a host, and hears of signals; only with FAKE_HANG. */
  connected: Promise<void>;
} {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', ...options.env };
  const child = spawn(process.execPath, [FAKE_HOST, ...argv], {
    env,
    stdio: ['pipe', options.stdout ?? 'pipe', 'pipe', 'pipe'],
  });
  const texts = [1, 2, 3].map((fd) => collect(child, fd));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => {
      const [out = '', err = '', calls = ''] = texts.map((text) => text());
      resolve({ code, signal, out, err, calls });
    });
  });
  const line = new Promise<string>((resolve) => {
    child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString().trimEnd()));
  });
  const connected = new Promise<void>((resolve) => {
    child.stdio[3]?.once('data', () => resolve());
  });
  return { child, ended, line, connected };
}

function collect(child: ChildProcess, fd: number): () => string {
  const chunks: Buffer[] = [];
  child.stdio[fd]?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}
