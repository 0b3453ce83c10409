/** Captures as the protocol has them: what a client can do wrong, and what is left of it. */
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { decodeRecords } from '../../src/core/abi/pcap.js';
import { encodeFrame, type Frame, FrameReader } from '../../src/core/daemon/wire.js';
import { type Host, simulatedHost } from '../helpers/host.js';

/** A control connection that makes calls as it likes. */
class Client {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #waiting = new Map<number, (frame: Frame) => void>();
  #next = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#reader.push(chunk))
        this.#waiting.get(Number(frame.json.id))?.(frame);
    });
  }

  static open(host: Host): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect(`${host.runtime}/sim.sock`);
      socket.once('error', reject);
      socket.write('VMMCTL/1 control {}\n');
      // The first line comes alone: nothing was asked for yet.
      socket.once('data', () => resolve(new Client(socket)));
    });
  }

  /** The number of the call is given to `begun`. */
  async call(op: string, parameters: object, begun: (id: number) => void = () => undefined) {
    const id = this.#next++;
    const answer = new Promise<Frame>((resolve) => this.#waiting.set(id, resolve));
    for (const part of encodeFrame({ id, op, ...parameters })) this.#socket.write(part);
    begun(id);
    const { json, binary } = await answer;
    const { ok, error } = json as { ok?: Record<string, unknown>; error?: { code: string } };
    return { ok: ok ?? {}, code: error?.code, binary };
  }

  cancel(call: number): void {
    for (const part of encodeFrame({ id: 0, op: 'cancel', call })) this.#socket.write(part);
  }

  close(): void {
    this.#socket.destroy();
  }
}

t.test('calls of captures', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const client = await Client.open(host);
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
    const other = await Client.open(host);
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
