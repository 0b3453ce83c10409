/** VMCI between the commands of two users of the simulated host: host and guest, kernels and programs. */
import t from 'tap';
import { type Host, random, simulatedHost } from '../helpers/host.js';

const MAX_PAYLOAD = 69608;

async function withGuests(t: Parameters<typeof simulatedHost>[0]): Promise<Host> {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1', '--cid', '3']);
  await host.run(['create', 'web2', '--cid', '4']);
  return host;
}

const IN_WEB1 = ['--in', 'web1'];

t.test('VMCI', async (t) => {
  const host = await withGuests(t);

  await t.test('who one is', async (t) => {
    t.strictSame(await host.json(['vmci', 'id']), { contextId: 2 });
    t.strictSame(await host.json([...IN_WEB1, 'vmci', 'id']), { contextId: 3 });
    t.strictSame(await host.json(['vmci', 'id', '--node']), { contextId: 16 });
    t.strictSame(await host.json(['vmci', 'id', '--context', '40']), { contextId: 40 });
    t.match(await host.run(['--in', 'web9', 'vmci', 'id']), { status: 3 });
    const user = await host.run(['vmci', 'id', '--as', '1000']);
    t.match(user, { status: 5, stderr: /\(EPERM\)/ });
    t.match(await host.run(['vmci', 'id', '--as', '1000', '--node']), { status: 5 });
  });

  await t.test('a datagram from the host to a guest, and back', async (t) => {
    const payload = random(MAX_PAYLOAD);
    const guest = host.start([...IN_WEB1, 'vmci', 'receive', '500']);
    await guest.waitFor('listening on 3:500');
    t.match(await host.run(['vmci', 'send', 'web1:500'], { input: payload }), { status: 0 });
    const { status, stdout } = await guest.ended;
    t.equal(status, 0);
    t.ok(stdout.equals(payload), 'all of it');

    const answered = host.start(['vmci', 'receive', '5000', '--json', '-v']);
    await answered.waitFor('listening on 2:5000');
    await host.run([...IN_WEB1, 'vmci', 'send', 'host:5000', '--from', '501'], { input: 'hi' });
    t.strictSame(JSON.parse((await answered.ended).stdout.toString()), {
      src: '3:501',
      dst: '2:5000',
      size: 2,
      base64: 'aGk=',
      text: 'hi',
    });
  });

  await t.test('datagrams keep their order between kernels', async (t) => {
    const receiver = host.start(['vmci', 'receive', '5000', '--count', '3']);
    await receiver.waitFor('listening');
    for (const text of ['one,', 'two,', 'three']) {
      await host.run([...IN_WEB1, 'vmci', 'send', 'host:5000', '--data', text]);
    }
    t.equal((await receiver.ended).stdout.toString(), 'one,two,three');
  });

  await t.test('where nobody is', async (t) => {
    const send = (...args: string[]) => host.run([...args, '--data', 'x']);
    t.match(await send(...IN_WEB1, 'vmci', 'send', 'host:9999'), {
      status: 6,
      stderr: /nobody listens at 2:9999 \(EHOSTUNREACH, from VMCI_ERROR_INVALID_RESOURCE\)/,
    });
    t.match(await send(...IN_WEB1, 'vmci', 'send', 'web2:1'), {
      status: 6,
      stderr: /VMCI_ERROR_DST_UNREACHABLE\)\nhint: /,
    });
    t.match(await send('vmci', 'send', '99:1'), { status: 6, stderr: /DST_UNREACHABLE/ });
    t.match(await send('vmci', 'send', 'web9:1'), { status: 3 });
    const long = await host.run(['vmci', 'send', 'web1:1'], { input: random(MAX_PAYLOAD + 1) });
    t.match(long, { status: 1, stderr: /\(EMSGSIZE\)/ });
  });

  await t.test('one resource has one owner, until that ends', async (t) => {
    const first = host.start(['vmci', 'receive', '600']);
    await first.waitFor('listening');
    t.match(await host.run(['vmci', 'receive', '600']), { status: 4, stderr: /\(EEXIST/ });
    first.kill('SIGINT');
    t.equal((await first.ended).signal, 'SIGINT');
    const second = host.start(['vmci', 'receive', '600']);
    await second.waitFor('listening on 2:600');
    second.kill('SIGKILL');
    await second.ended;
    await host.until(['vmci', 'receive', '600', '--timeout', '1ms'], ({ status }) => status === 6);
  });

  await t.test('doorbells', async (t) => {
    const guest = host.start([...IN_WEB1, 'vmci', 'doorbell', 'wait', '2000']);
    await guest.waitFor('listening on 3:2000');
    t.match(await host.run(['vmci', 'doorbell', 'ring', 'web1:2000']), { status: 0 });
    t.match(await guest.ended, { status: 0, stdout: Buffer.from('3:2000\n') });
    t.match(await host.run(['vmci', 'doorbell', 'ring', 'web1:2000']), {
      status: 6,
      stderr: /VMCI_ERROR_NOT_FOUND/,
    });
    const own = host.start(['vmci', 'doorbell', 'wait', '--json', '-v']);
    const [, handle = ''] = await own.waitFor(/listening on (2:\d+)/);
    await host.run([...IN_WEB1, 'vmci', 'doorbell', 'ring', handle]);
    t.strictSame(JSON.parse((await own.ended).stdout.toString()), { handle });
    const late = await host.run(['vmci', 'doorbell', 'wait', '--timeout', '50ms']);
    t.match(late, { status: 6, stderr: /\(ETIMEDOUT\)/ });
  });

  await t.test('programs on /dev/vmci', async (t) => {
    const program = host.start(['vmci', 'receive', '500', '--context', '40']);
    await program.waitFor('listening on 40:500');
    t.match(await host.run(['vmci', 'send', '40:500', '--data', 'hello']), { status: 0 });
    t.equal((await program.ended).stdout.toString(), 'hello');

    const bell = host.start(['vmci', 'doorbell', 'wait', '7', '--context', '41']);
    await bell.waitFor('listening on 41:7');
    t.match(await host.run(['vmci', 'doorbell', 'ring', '41:7']), { status: 0 });
    t.equal((await bell.ended).stdout.toString(), '41:7\n');

    const kernel = host.start(['vmci', 'receive', '5000', '--json', '-v']);
    await kernel.waitFor('listening');
    await host.run(['vmci', 'send', 'host:5000', '--context', '42', '--data', 'x']);
    t.match(JSON.parse((await kernel.ended).stdout.toString()), { src: '42:1024' });
    t.match(await host.run(['vmci', 'send', 'web1:1', '--node', '--data', 'x']), {
      status: 7,
      stderr: /reaches the host's endpoints and itself alone \(EOPNOTSUPP, from VMCI_ERROR_DST_UN/,
    });
    const inside = await host.run([...IN_WEB1, 'vmci', 'id', '--node']);
    t.match(inside, { status: 0, stdout: Buffer.from('16\n') }, 'also in a guest');
  });

  await t.test('a program is told of a context that ends', async (t) => {
    const watching = ['vmci', 'events', '--context', '1', '--watch', '60', '--count', '1'];
    const watcher = host.start(watching);
    await watcher.waitFor('listening on the events of context 1');
    await host.run(['vmci', 'id', '--context', '60']);
    t.equal((await watcher.ended).stdout.toString(), 'ctx-removed context 60\n');
    t.match(await host.run(['vmci', 'events', '--node', '--watch', '60']), { status: 7 });
    t.match(await host.run(['vmci', 'events', '--watch', '60']), {
      status: 7,
      stderr: /only a program can watch.*\(EOPNOTSUPP\)\nhint: add --node/,
    });
  });

  await t.test('a queue pair comes and goes', async (t) => {
    const events = ['vmci', 'events', '--count', '2', '--json', '-v'];
    const watching = host.start(events);
    await watching.waitFor('listening on the events of context 2');
    const creator = host.start(['vmci', 'queue', 'create', '64K'], { openStdin: true });
    const [, handle = ''] = await creator.waitFor(/(2:\d+)/);
    const attach = [...IN_WEB1, 'vmci', 'queue', 'attach', handle];
    const attacher = host.start(attach, { openStdin: true });
    creator.stdin.write('hello');
    await attacher.waitForOutput('hello');
    // Only who stays is told that the other one has left.
    attacher.kill('SIGTERM');
    t.equal((await attacher.ended).signal, 'SIGTERM');
    t.equal((await creator.ended).status, 6);
    const lines = (await watching.ended).stdout.toString().trim().split('\n');
    const about = { handle, peer: 3 };
    t.strictSame(
      lines.map((line) => JSON.parse(line)),
      [
        { event: 'qp-peer-attach', ...about },
        { event: 'qp-peer-detach', ...about },
      ],
    );
  });

  await t.test('what waits in a guest ends with it', async (t) => {
    await host.run(['create', 'gone', '--cid', '9']);
    const receiver = host.start(['--in', 'gone', 'vmci', 'receive', '500']);
    const bell = host.start(['--in', 'gone', 'vmci', 'doorbell', 'wait', '500']);
    const program = host.start(['--in', 'gone', 'vmci', 'receive', '500', '--node']);
    const waiting = [receiver, bell, program];
    await Promise.all(waiting.map((each) => each.waitFor('listening')));
    await host.run(['destroy', 'gone']);
    t.match(await receiver.ended, { status: 7, stderr: /the guest 'gone' is gone \(ENODEV\)/ });
    t.match(await bell.ended, { status: 7 });
    t.match(await program.ended, { status: 7 });
    t.match(await host.run(['vmci', 'send', '9:500', '--data', 'x']), { status: 6 });
  });

  await t.test('a context follows the CID of its VM', async (t) => {
    await host.run(['create', 'moves', '--cid', '20']);
    t.strictSame(await host.json(['--in', 'moves', 'vmci', 'id']), { contextId: 20 });
    t.strictSame(await host.json(['vmci', 'id', '--context', '20']), { contextId: 21 });
  });

  await t.test('nobody has to know of it', async (t) => {
    const words = (await host.run(['__complete', 'vms', '--timeout', '1m'])).stdout.toString();
    t.match(words, /web1/);
    t.match(await host.run(['help', 'vmci']), { status: 0, stdout: /doorbell/ });
    t.match(await host.run(['help', 'vmci', 'doorbell', 'wait']), { status: 0 });
  });
});
