/** The vsock commands on a real kernel: both ends ours over its loopback transport, and each end against other programs. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { requireTool } from '../helpers/requires.js';
import type { Finished } from './command.js';
import { type Lab, NOBODY } from './lab.js';

const MIB = 2 ** 20;
const V = 'vmmctl -b device vsock';
const LISTENING = /listening on vsock port/;

/** What a command is expected to have done: its status, all that it wrote, what its errors say. */
interface Expected {
  status?: number;
  out?: string;
  err?: RegExp;
}

function check(t: Test, finished: Finished, { status = 0, out = '', err }: Expected): void {
  t.strictSame([finished.status, finished.stdout.toString()], [status, out], finished.stderr);
  if (err !== undefined) t.match(finished.stderr, err);
}

async function checkRun(t: Test, lab: Lab, command: string, expected: Expected): Promise<void> {
  check(t, await lab.run(command), expected);
}

/** @param mebibytes how much is moved in the large transfers. */
export async function testVsockCommands(t: Test, lab: Lab, mebibytes: number): Promise<void> {
  await t.test('connect and listen, both ours', async (t) => {
    const listener = lab.start(`printf 'from listen' | ${V} listen 5000`);
    await listener.waitFor(LISTENING);
    await checkRun(t, lab, `printf 'from connect' | ${V} connect local 5000`, {
      out: 'from listen',
    });
    check(t, await listener.exited, { out: 'from connect' });
  });

  await t.test('socat connects to our listener, and we to its', async (t) => {
    if (!requireTool(t, 'socat')) return;
    const ours = lab.start(`printf ours | ${V} listen 5001`);
    await ours.waitFor(LISTENING);
    const client = 'printf theirs | socat -t 30 - VSOCK-CONNECT:1:5001';
    await checkRun(t, lab, client, { out: 'ours' });
    check(t, await ours.exited, { out: 'theirs' });

    const theirs = lab.start('printf theirs | socat -d -d -t 30 VSOCK-LISTEN:5002 -');
    await theirs.waitFor('listening on');
    await checkRun(t, lab, `printf ours | ${V} connect 1 5002`, { out: 'theirs' });
    t.equal((await theirs.exited).stdout.toString(), 'ours');
  });

  await t.test('ncat connects to our listener, and we to its', async (t) => {
    if (!requireTool(t, 'ncat')) return;
    const ours = lab.start(`printf ours | ${V} listen 5003`);
    await ours.waitFor(LISTENING);
    await checkRun(t, lab, 'printf theirs | ncat --vsock 1 5003', { out: 'ours' });
    check(t, await ours.exited, { out: 'theirs' });

    const theirs = lab.start('printf theirs | ncat -v -l --vsock 5004');
    await theirs.waitFor(/Listening on/i);
    await checkRun(t, lab, `printf ours | ${V} connect 1 5004`, { out: 'theirs' });
    t.equal((await theirs.exited).stdout.toString(), 'ours');
  });

  await t.test('a half-close in either direction leaves the other one open', async (t) => {
    const digest = `${createHash('sha256').update(Buffer.alloc(100_000)).digest('hex')}  -\n`;
    const theirs = lab.start('socat -d -d VSOCK-LISTEN:5005 SYSTEM:"cat | sha256sum"');
    await theirs.waitFor('listening on');
    const question = 'head -c 100000 /dev/zero';
    await checkRun(t, lab, `${question} | ${V} connect 1 5005`, { out: digest });

    const ours = lab.start(`${V} listen 5006 --exec sha256sum`);
    await ours.waitFor(LISTENING);
    await checkRun(t, lab, `${question} | socat -t 30 - VSOCK-CONNECT:1:5006`, { out: digest });
    t.equal((await ours.exited).status, 0);
  });

  await t.test('a peer that vanishes while we have more for it', async (t) => {
    const peer = lab.start('socat -d -d -u VSOCK-LISTEN:5007 SYSTEM:"head -c 100000 >/dev/null"');
    await peer.waitFor('listening on');
    await checkRun(t, lab, `yes | ${V} connect 1 5007`, {
      status: 6,
      err: /the peer closed before it had taken all bytes \(EPIPE\)/,
    });
    await peer.exited;
  });

  await t.test('a peer that is killed while nobody says anything', async (t) => {
    const peer = lab.start('exec socat -d -d VSOCK-LISTEN:5017 SYSTEM:"echo hello; sleep 600"');
    await peer.waitFor('listening on');
    // Its input goes on.
    const idle = 'mkfifo /tmp/idle; sleep 600 >/tmp/idle &';
    const ours = lab.start(`${idle} exec ${V} connect 1 5017 </tmp/idle`);
    await ours.waitForOutput('hello');
    await peer.kill('SIGKILL');
    check(t, await ours.exited, { out: 'hello\n' });
  });

  await t.test(`${mebibytes} MiB each way arrive as they were sent`, async (t) => {
    const bytes = randomBytes(mebibytes * MIB);
    const sent = `${lab.directory}/sent`;
    writeFileSync(sent, bytes);
    const wanted = createHash('sha256').update(bytes).digest('hex');
    const received = `${lab.directory}/received`;
    const arrived = () => createHash('sha256').update(readFileSync(received)).digest('hex');

    const ours = lab.start(`${V} listen 5008 >${received}`);
    await ours.waitFor(LISTENING);
    await checkRun(t, lab, `${V} cat file:${sent} 1:5008`, {});
    t.equal((await ours.exited).status, 0);
    t.equal(arrived(), wanted, 'ours to ours');

    const theirs = lab.start(`socat -d -d -u VSOCK-LISTEN:5009 CREATE:${received}`);
    await theirs.waitFor('listening on');
    await checkRun(t, lab, `${V} cat file:${sent} 1:5009`, {});
    await theirs.exited;
    t.equal(arrived(), wanted, 'ours to socat');

    const again = lab.start(`${V} cat vsock-listen:5010 file:${received}`);
    await again.waitFor(LISTENING);
    await checkRun(t, lab, `socat -u FILE:${sent} VSOCK-CONNECT:1:5010`, {});
    t.equal((await again.exited).status, 0);
    t.equal(arrived(), wanted, 'socat to ours');
  });

  await t.test('messages keep their bounds between two of ours', async (t) => {
    const listener = lab.start(`${V} listen 5011 --type seqpacket --exec 'head -c 5; cat'`);
    await listener.waitFor(LISTENING);
    await checkRun(t, lab, `printf 'one message' | ${V} connect 1 5011 --type seqpacket`, {
      out: 'one message',
    });
    t.equal((await listener.exited).status, 0);
    await checkRun(t, lab, `${V} connect 1 5011 --type dgram`, { status: 7, err: /ENODEV/ });
  });

  await t.test('what can go wrong has its status and its hint', async (t) => {
    const listener = lab.start(`${V} listen 5012 --keep-open`);
    await listener.waitFor(LISTENING);
    const cases: [string, Expected][] = [
      [`${V} listen 5012`, { status: 4, err: /port 5012 is in use \(EADDRINUSE\)\nhint: .*list/ }],
      [
        `${V} connect 1 5099`,
        { status: 6, err: /nothing listens there, or it takes no more \(ECONNRESET\)\nhint:/ },
      ],
      [`${V} connect 99 22`, { status: 6, err: /no machine has the CID.*ENODEV/ }],
      [`${V} connect web1 22`, { status: 3, err: /has no names of VMs/ }],
      [`${V} listen 5013 --cid 7`, { status: 1, err: /no such CID/ }],
      ['vmmctl -b device --in web1 vsock list', { status: 7, err: /simulated host/ }],
    ];
    const finished = await Promise.all(cases.map(([command]) => lab.run(command)));
    for (const [index, [command, expected]] of cases.entries()) {
      const result = finished[index];
      if (result === undefined) t.fail(command);
      else check(t, result, expected);
    }
    await listener.kill('SIGINT');
    t.equal((await listener.exited).status, 130);
  });

  await t.test('a user without rights gets a port, but no privileged one', async (t) => {
    check(t, await lab.run(`${V} listen 22`, { user: NOBODY }), {
      status: 5,
      err: /port 22 is privileged \(EACCES\)\nhint: /,
    });
    const listener = lab.start(`printf yes | ${V} listen 5014`, { user: NOBODY });
    await listener.waitFor(LISTENING);
    const client = await lab.run(`${V} connect local 5014`, { user: NOBODY });
    check(t, client, { out: 'yes' });
  });

  await t.test('ping and list', async (t) => {
    const listener = lab.start(`${V} listen 5015 --keep-open`);
    await listener.waitFor(LISTENING);
    const ping = await lab.run(`${V} ping 1 5015 --count 3`);
    t.equal(ping.status, 0);
    t.match(ping.stdout.toString(), /seq=3 open/);

    const row = {
      type: 'stream',
      state: 'listen',
      local: { cid: 0xffffffff, port: 5015 },
      peer: null,
      owner: 1,
    };
    const listed = async (...options: Parameters<Lab['run']>) => {
      const { status, stdout, stderr } = await lab.run(...options);
      t.equal(status, 0, stderr);
      const rows: (typeof row)[] = JSON.parse(stdout.toString());
      return rows.find(({ local }) => local.port === 5015);
    };
    t.match(await listed(`${V} list --json`), row, 'by vsock_diag');
    await lab.unloadModule('vsock_diag');
    t.match(await listed(`${V} list --json`), { ...row, bufAlloc: 262144 }, 'through /proc');
    t.equal(await listed(`${V} list --json`, { user: NOBODY }), undefined, "not another user's");
    await lab.loadModule('vsock_diag');
    await listener.kill();
    await listener.exited;
  });

  await t.test('a port forwarder serves many at once', async (t) => {
    const echo = lab.start('socat -d -d VSOCK-LISTEN:5016,fork,backlog=64 PIPE');
    const forwarder = lab.start(`${V} cat unix-listen:/tmp/forwarded 1:5016 --fork`);
    await Promise.all([echo.waitFor('listening on'), forwarder.waitFor(/listening on/)]);
    const client =
      'for i in $(seq 10); do echo $i | socat -t 30 - UNIX:/tmp/forwarded & done; wait';
    const { stdout } = await lab.run(client);
    const numbers = stdout.toString().trim().split('\n').map(Number);
    t.strictSame(
      numbers.sort((a, b) => a - b),
      Array.from({ length: 10 }, (_, index) => index + 1),
    );
    await Promise.all([echo.kill(), forwarder.kill()]);
    await Promise.all([echo.exited, forwarder.exited]);
    t.equal(forwarder.stderr, 'listening on unix-listen:/tmp/forwarded\n', 'and says nothing else');
  });
}

/** What is said when the kernel lacks a part. It ends without vsock. */
export async function testMissingTransport(t: Test, lab: Lab): Promise<void> {
  await t.test('without a transport', async (t) => {
    await unload(lab, 'vsock_loopback');
    await checkRun(t, lab, `${V} connect local 5000`, {
      status: 7,
      err: /no vsock transport for itself.*ENODEV.*\nhint: .*modprobe vsock_loopback/,
    });
    await checkRun(t, lab, `${V} connect 2 5000`, {
      status: 7,
      err: /no vsock transport .*ENODEV.*\nhint: .*doctor/,
    });
  });

  await t.test('without AF_VSOCK', async (t) => {
    await lab.unloadModule('vsock_diag');
    await unload(lab, 'vsock');
    await checkRun(t, lab, `${V} connect local 5000`, {
      status: 7,
      err: /no vsock sockets \(EAFNOSUPPORT\)\nhint: .*modprobe vsock/,
    });
  });
}

/** A connection that was not closed by both sides holds its transport for eight seconds. */
async function unload(lab: Lab, module: string): Promise<void> {
  const attempt = `modprobe -C /dev/null -d /run/lab/root -r ${module}`;
  const { status } = await lab.run(`until ${attempt}; do sleep 0.5; done`, { timeoutMs: 30_000 });
  if (status !== 0) throw new Error(`${module} can't be unloaded`);
}
