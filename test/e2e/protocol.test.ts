import { connect, type Socket } from 'node:net';
import t from 'tap';
import { SeededRng } from '../../src/core/simulator/rng.js';
import { type Host, processNumber, simulatedHost } from '../helpers/host.js';

/** A whole number below a bound, the same ones for the same seed. */
type Chance = (bound: number) => number;

function chance(seed: number): Chance {
  const rng = new SeededRng(seed);
  return (bound) => rng.below(bound);
}

function dial(host: Host): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(`${host.runtime}/sim.sock`);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      socket.resume();
      resolve(socket);
    });
  });
}

const closed = (socket: Socket) =>
  new Promise<void>((resolve) => {
    if (socket.destroyed) resolve();
    socket.once('close', () => resolve());
  });

function frame(json: string | object, binary: Uint8Array = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
  const head = Buffer.alloc(8);
  head.writeUInt32LE(text.length, 0);
  head.writeUInt32LE(binary.length, 4);
  return Buffer.concat([head, text, binary]);
}

const HELLO = 'VMMCTL/1 control {}\n';

t.test('whatever comes to its socket, the daemon goes on serving', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const pid = await host.daemon();
  const serves = async (t: { equal(a: unknown, b: unknown): unknown }) => {
    t.equal((await host.json<object[]>(['list'])).length, 1);
    t.equal(await host.daemon(), pid);
  };

  await t.test('first lines that make no sense', async (t) => {
    const lines = ['\n', 'GET / HTTP/1.1\r\n\r\n', 'VMMCTL/9 control {}\n', 'VMMCTL/1 dance\n'];
    const more = ['VMMCTL/1 stream nothing\n', 'VMMCTL/1 control {\n', 'x'.repeat(10_000), '\0\n'];
    for (const line of [...lines, ...more, 'VMMCTL/1 control []\n']) {
      const socket = await dial(host);
      socket.end(line);
      await closed(socket);
    }
    const silent = await dial(host);
    silent.destroy();
    await serves(t);
  });

  await t.test('frames that make no sense: the client is dropped', async (t) => {
    const huge = Buffer.alloc(8, 0xff);
    const bad = [huge, frame('not json'), frame('[]'), frame('"x"'), frame({ op: 'vms' })];
    for (const data of [...bad, frame({ id: 'x', op: 'vms' }), frame({ id: 1, op: 7 })]) {
      const socket = await dial(host);
      socket.write(HELLO);
      socket.write(data);
      await closed(socket);
    }
    const half = await dial(host);
    half.end(Buffer.concat([Buffer.from(HELLO), frame({ id: 1, op: 'vms' }).subarray(0, 12)]));
    await closed(half);
    await serves(t);
  });

  await t.test('thousands of random calls', async (t) => {
    const below = chance(0x5eed);
    const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
    const ops = ['open', 'ioctl', 'close', 'readdir', 'sysctl', 'socket', 'bind', 'listen'];
    const others = ['accept', 'connect', 'setOption', 'getOption', 'addresses', 'stream', 'vm'];
    const last = [
      'closeSocket',
      'localCid',
      'inspect',
      'configure',
      'diag',
      'cancel',
      'constructor',
    ];
    const names = ['handle', 'vm', 'type', 'cid', 'port', 'name', 'path', 'access', 'value'];
    const rest = ['request', 'argument', 'backlog', 'option', 'labels', 'call', '__proto__'];
    const ofCaptures = ['snapLength', 'end'];
    const captures = ['capture', 'captureRead', 'captureClose'];
    const all = [...ops, ...others, ...last, ...captures];
    const values = [0, 1, 2, 3, -1, 2 ** 32, 1.5, null, true, '', 'web1', 'stream', 'rw', [], {}];
    const more = ['/dev/vmmctl', 'x'.repeat(300), '../..', 'size', { a: 1 }, 'dgram', 7000];
    for (let round = 0; round < 40; round++) {
      const socket = await dial(host);
      socket.write(HELLO);
      for (let id = 1; id <= 100; id++) {
        const parameters = Array.from({ length: below(6) }, () => [
          pick([...names, ...rest, ...ofCaptures]),
          pick([...values, ...more]),
        ]);
        const call = { ...Object.fromEntries(parameters), id, op: pick(all) };
        // A VM that is configured is not what this test is about.
        if (call.op === 'configure') call.name = 'nobody';
        socket.write(frame(call, Buffer.alloc(below(3) === 0 ? below(600) : 0, below(256))));
      }
      socket.end();
      await closed(socket);
    }
    await serves(t);
  });

  await t.test('random bytes', async (t) => {
    const below = chance(1);
    for (let round = 0; round < 100; round++) {
      const socket = await dial(host);
      if (below(2) === 0) socket.write(HELLO);
      socket.end(Buffer.from(Array.from({ length: below(200) }, () => below(256))));
      await closed(socket);
    }
    await serves(t);
  });

  await t.test('a client that asks and does not read', async (t) => {
    const before = processNumber(pid, 'VmRSS');
    const socket = await dial(host);
    socket.pause();
    socket.write(HELLO);
    const call = frame({ id: 1, op: 'inspect', name: 'web1' });
    let accepted = 0;
    // Until the daemon takes no more.
    for (let id = 1; id < 400_000 && socket.writableLength < 4_000_000; id++) {
      const more = frame({ id, op: 'inspect', name: 'web1' });
      socket.write(more);
      accepted = id;
      if (id % 1000 === 0) await new Promise((next) => setImmediate(next));
    }
    t.ok(accepted > 1000 && call.length > 0);
    await serves(t);
    t.ok(processNumber(pid, 'VmRSS') - before < 64 * 1024, 'it does not grow');
    socket.destroy();
    await serves(t);
  });

  t.ok(processNumber(pid, 'VmHWM') < 200 * 1024);
  const log = (await host.run(['sim', 'log', '--lines', '100000'])).stdout.toString();
  t.notMatch(log, /a call failed/, 'no call met a defect');
});
