/** VMCI as the protocol has it: what a client can do wrong, and what is left of it. */
import fc from 'fast-check';
import t from 'tap';
import { ControlClient } from '../helpers/control-client.js';
import { simulatedHost } from '../helpers/host.js';

const MAX_ENDPOINTS = 1024;
/** All calls about VMCI but those that would wait, and poll. */
const CALLS = [
  'vmciContext',
  'vmciCreateDatagramHandle',
  'vmciSendDatagram',
  'vmciCreateDoorbell',
  'vmciRingDoorbell',
  'vmciSubscribe',
  'vmciRelease',
];

t.test('calls of VMCI', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const client = await ControlClient.open(host);
  t.teardown(() => client.close());
  const code = async (op: string, parameters: object) => (await client.call(op, parameters)).code;
  const listen = async (resource: number) =>
    (await client.call('vmciCreateDatagramHandle', { resource })).ok;

  await t.test('parameters that make no sense', async (t) => {
    const handle = { context: 2, resource: 5 };
    for (const wrong of [undefined, null, 5, 'x', {}, { context: 2 }, { ...handle, context: -1 }]) {
      t.equal(await code('vmciRingDoorbell', { handle: wrong }), 'EINVAL');
      t.equal(await code('vmciSendDatagram', { dst: wrong, src: handle }), 'EINVAL');
    }
    for (const resource of [undefined, -1, 2 ** 32, 1.5]) {
      t.equal(await code('vmciCreateDatagramHandle', { resource }), 'EINVAL');
    }
    for (const events of [undefined, 3, [1.5], [-1], Array.from({ length: 65 }, () => 1)]) {
      t.equal(await code('vmciSubscribe', { events }), 'EINVAL');
    }
    t.equal(await code('vmciContext', { vm: 'web9' }), 'ENOENT');
    for (const op of ['vmciReceiveDatagram', 'vmciWaitDoorbell', 'vmciReadEvent']) {
      t.equal(await code(op, { endpoint: 77 }), 'EBADF');
    }
    t.strictSame((await client.call('vmciRelease', { endpoint: 77 })).ok, {});
  });

  await t.test('an event that nobody can subscribe to is a result', async (t) => {
    const { ok } = await client.call('vmciSubscribe', { events: [1, 5] });
    t.strictSame(ok, { result: -2 });
  });

  await t.test('one call may wait; a cancelled one loses nothing', async (t) => {
    const { endpoint, handle } = await listen(700);
    let number = 0;
    const waiting = client.call('vmciReceiveDatagram', { endpoint }, (id) => {
      number = id;
    });
    t.equal(await code('vmciReceiveDatagram', { endpoint }), 'EBUSY');
    client.cancel(number);
    t.equal((await waiting).code, 'EINTR');
    t.match(await host.run(['vmci', 'send', 'host:700', '--data', 'kept']), { status: 0 });
    const { ok, binary } = await client.call('vmciReceiveDatagram', { endpoint });
    t.match(ok, { dst: handle });
    t.equal(Buffer.from(binary).toString(), 'kept');
    const last = client.call('vmciReceiveDatagram', { endpoint });
    await client.call('vmciRelease', { endpoint });
    t.equal((await last).code, 'EBADF');
  });

  await t.test('who does not fetch is told that the queue is full', async (t) => {
    const { endpoint } = await listen(701);
    const fill = () => host.run(['vmci', 'send', 'host:701'], { input: Buffer.alloc(69608) });
    t.match(await fill(), { status: 0 });
    await fill();
    // The host delivers to itself later, so the sender can't know.
    const ringing = await host.run([
      '--in',
      'web1',
      'vmci',
      'send',
      'host:701',
      '-d',
      'x'.repeat(69608),
    ]);
    t.match(ringing, { status: 1, stderr: /the queue of 2:701 is full \(ENOBUFS/ });
    await client.call('vmciReceiveDatagram', { endpoint });
    t.match(await host.run(['--in', 'web1', 'vmci', 'send', 'host:701', '-d', 'x']), { status: 0 });
    await client.call('vmciRelease', { endpoint });
  });

  await t.test('a client has so many endpoints at most', async (t) => {
    const other = await ControlClient.open(host);
    const create = () => other.call('vmciCreateDoorbell', {});
    for (let count = 0; count < MAX_ENDPOINTS; count++) t.equal((await create()).ok.result, 0);
    t.equal((await create()).code, 'EMFILE');
    other.close();
  });

  await t.test('what a client had ends with it', async (t) => {
    const other = await ControlClient.open(host);
    t.match((await other.call('vmciCreateDatagramHandle', { resource: 702 })).ok, { result: 0 });
    t.match(await listen(702), { result: -22 });
    other.close();
    await host.until(['vmci', 'receive', '702', '--timeout', '1ms'], ({ status }) => status === 6);
  });

  await t.test('a node is polled by one call, until it is closed', async (t) => {
    const open = async (path: string) =>
      (await client.call('open', { path, access: 'rw' })).ok.handle;
    const vsock = await open('/dev/vsock');
    t.equal(await code('poll', { handle: vsock }), 'EOPNOTSUPP');
    const handle = await open('/dev/vmci');
    const waiting = client.call('poll', { handle });
    t.equal(await code('poll', { handle }), 'EBUSY');
    await client.call('close', { handle });
    t.equal((await waiting).code, 'EINTR');
  });

  await t.test('any parameters at all', async (t) => {
    const word = fc.oneof(fc.nat(3000), fc.constantFrom(0, 2, 3, 0xffffffff, -1, '2', null));
    const handle = fc.oneof(word, fc.record({ context: word, resource: word }));
    const parameters = fc.record(
      {
        vm: fc.constantFrom('web1', 'web9', 5),
        resource: word,
        handle,
        dst: handle,
        src: handle,
        events: fc.array(word, { maxLength: 3 }),
        endpoint: word,
      },
      { requiredKeys: [] },
    );
    const bytes = fc.uint8Array({ maxLength: 100 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...CALLS), parameters, bytes, async (op, given, binary) => {
        const { code, ok } = await client.call(op, given, undefined, binary);
        t.ok(code === undefined || code !== 'EIO', `${op} ${code} ${JSON.stringify(ok)}`);
      }),
      { numRuns: 500 },
    );
    t.strictSame(await host.json(['vmci', 'id']), { contextId: 2 });
    const log = (await host.run(['sim', 'log'])).stdout.toString();
    t.notMatch(log, /a call failed/);
  });
});
