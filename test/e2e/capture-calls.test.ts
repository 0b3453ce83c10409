/** Captures as the protocol has them: what a client can do wrong, and what is left of it. */
import t from 'tap';
import { decodeRecords } from '../../src/core/abi/pcap.js';
import { ControlClient } from '../helpers/control-client.js';
import { simulatedHost } from '../helpers/host.js';

t.test('calls of captures', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const client = await ControlClient.open(host);
  t.teardown(() => client.close());
  const ping = () => host.run(['vsock', 'ping', 'web1', '99', '--count', '1']);
  const begin = async () => (await client.call('capture', { snapLength: 100 })).ok.handle;

  await t.test('parameters that make no sense', async (t) => {
    for (const wrong of [{}, { snapLength: 75 }, { snapLength: 262145 }, { snapLength: '100' }]) {
      t.equal((await client.call('capture', wrong)).code, 'EINVAL');
    }
    t.equal((await client.call('capture', { snapLength: 76, port: -1 })).code, 'EINVAL');
    t.equal((await client.call('capture', { snapLength: 76, vm: 'web9' })).code, 'ENOENT');
    t.equal((await client.call('captureRead', { handle: 1 })).code, 'EBADF');
    t.strictSame((await client.call('captureClose', { handle: 1 })).ok, {});
  });

  await t.test(
    'one call may wait; it ends when it is cancelled, and the capture with it',
    async (t) => {
      const handle = await begin();
      let number = 0;
      const waiting = client.call('captureRead', { handle }, (id) => {
        number = id;
      });
      t.equal((await client.call('captureRead', { handle })).code, 'EBUSY');
      client.cancel(number);
      t.match((await waiting).ok, { over: true, lost: 0 });
      t.equal((await client.call('captureRead', { handle })).code, 'EBADF', 'it is forgotten');
    },
  );

  await t.test('what waits at the end is still told', async (t) => {
    const handle = await begin();
    await ping();
    const { ok, binary } = await client.call('captureRead', { handle, end: true });
    t.match(ok, { over: true, lost: 0 });
    t.equal(decodeRecords(binary).length, 2);
  });

  await t.test('a client may have sixteen', async (t) => {
    const handles: unknown[] = [];
    for (let count = 0; count < 16; count++) handles.push(await begin());
    t.equal(new Set(handles).size, 16);
    t.equal((await client.call('capture', { snapLength: 100 })).code, 'EMFILE');
    await client.call('captureClose', { handle: handles[3] });
    t.equal(await begin(), handles[3], 'a number is used again');
  });

  await t.test('a client that is gone leaves no tap behind', async (t) => {
    const other = await ControlClient.open(host);
    const { ok } = await other.call('capture', { snapLength: 100 });
    const waiting = other.call('captureRead', { handle: ok.handle });
    waiting.catch(() => undefined);
    other.close();
    t.equal((await ping()).status, 6);
    t.equal((await host.json<object[]>(['list'])).length, 1);
    const log = (await host.run(['sim', 'log'])).stdout.toString();
    t.notMatch(log, /a call failed/);
  });
});
