/** Streams over descriptors. The sockets here are AF_UNIX ones, which every machine has. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import { Descriptor, type SocketSystem } from '../../../../src/core/backend/device/descriptor.js';
import { SocketStream } from '../../../../src/core/backend/device/stream.js';
import type { SocketType } from '../../../../src/core/backend/port/vsock.js';
import { loadLibc } from '../../../../src/core/native/libc.js';
import { Reactor } from '../../../../src/core/native/reactor.js';
import { connectedPair, datagramPair, SOCK_SEQPACKET, SOCK_STREAM } from '../../../helpers/unix.js';

const libc = await loadLibc();

async function startSystem(t: Test): Promise<SocketSystem> {
  const reactor = await Reactor.start();
  if (typeof reactor === 'number') throw new Error(`epoll_create1 = ${reactor}`);
  t.teardown(() => reactor.close());
  return { libc, reactor };
}

async function streams(
  t: Test,
  type: SocketType = 'stream',
): Promise<[SocketStream, SocketStream]> {
  const system = await startSystem(t);
  const pair = connectedPair(t, libc, type === 'stream' ? SOCK_STREAM : SOCK_SEQPACKET);
  const [near, far] = pair.map((fd) => {
    const stream = new SocketStream(new Descriptor(system, fd), { type, longestMessage: 1 << 16 });
    t.teardown(() => stream.duplex.destroy());
    return stream;
  });
  if (near === undefined || far === undefined) throw new Error('no pair');
  return [near, far];
}

async function textOf({ duplex }: SocketStream): Promise<string> {
  let text = '';
  // It must not be destroyed: its other direction goes on.
  for await (const piece of duplex.iterator({ destroyOnReturn: false })) text += String(piece);
  return text;
}

t.test('bytes go both ways, each end is a half-close, and both streams end well', async (t) => {
  const [near, far] = await streams(t);
  near.duplex.end('question');
  t.equal(await textOf(far), 'question');
  far.duplex.end('answer');
  t.equal(await textOf(near), 'answer');
  await Promise.all([near.ended, far.ended, near.hungUp, far.hungUp]);
});

t.test('what nobody reads is not taken, and arrives whole when it is', async (t) => {
  const [near, far] = await streams(t);
  const piece = Buffer.alloc(300_000, 'x');
  let written = 0;
  const write = () => {
    written += piece.length;
    return near.duplex.write(piece);
  };
  while (write());
  t.ok(written < 4_000_000, `stops after ${written} bytes`);
  near.duplex.end();
  let received = 0;
  for await (const bytes of far.duplex) received += bytes.length;
  t.equal(received, written);
});

t.test('reading into own memory', async (t) => {
  const [near, far] = await streams(t);
  far.duplex.write('0123456789');
  const into = new Uint8Array(4);
  t.equal(await near.read(into), 4);
  t.equal(Buffer.from(into).toString(), '0123');
  t.equal(await near.read(into), 4);
  t.equal(await near.read(into), 2);
  const stop = new AbortController();
  const waiting = near.read(into, { signal: stop.signal });
  stop.abort();
  t.equal(await waiting, 0, 'aborting ends the wait');
  far.duplex.end('x');
  t.equal(await near.read(into), 1);
  t.equal(await near.read(into), 0, 'the end');
  near.duplex.end();
  await near.ended;
});

// As datagrams: an AF_UNIX socket takes an empty message, by which a vsock one is asked whether its peer is there.
t.test('messages keep their bounds, whatever their size', async (t) => {
  const [near, far] = await streams(t, 'dgram');
  const sizes = [1, 2, 4095, 4096, 4097, 60_000, 65_536, 1];
  for (const size of sizes) near.duplex.write(Buffer.alloc(size, size % 251));
  const seen: number[] = [];
  for await (const message of far.duplex) {
    seen.push(message.length);
    if (seen.length === sizes.length) break;
  }
  t.same(seen, sizes);
});

t.test('a message that is longer than can be taken is an error, and not cut', async (t) => {
  const [near, far] = await streams(t, 'dgram');
  near.duplex.write(Buffer.alloc(70_000));
  far.duplex.resume();
  await once(far.duplex, 'end');
  far.duplex.end();
  await t.rejects(far.ended, { code: 'EMSGSIZE' });
});

t.test(
  'a peer that is gone: it hangs up, and what is written then is lost, which is told',
  async (t) => {
    const [near, far] = await streams(t);
    far.duplex.write('last words');
    far.duplex.end();
    far.closeWhenSent();
    far.duplex.destroy();
    await near.hungUp;
    near.duplex.write('too late');
    t.equal(await textOf(near), 'last words');
    await t.rejects(near.ended, { code: 'EPIPE', message: /before it had taken all bytes/ });
  },
);

t.test(
  'closing sends what was written, and tells a peer that goes on that nobody reads',
  async (t) => {
    const [near, far] = await streams(t);
    near.duplex.write(Buffer.alloc(4_000_000, 'x'));
    near.closeWhenSent();
    t.equal((await textOf(far)).length, 4_000_000);
    await near.ended;
    far.duplex.write('is anybody there?');
    await t.rejects(far.ended, { code: 'EPIPE' });
  },
);

t.test('no descriptor is left of 10,000 connections', async (t) => {
  const system = await startSystem(t);
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let round = 0; round < 10_000; round++) {
    const [first, second] = connectedPair(t, libc);
    const near = new SocketStream(new Descriptor(system, first), {
      type: 'stream',
      longestMessage: 1,
    });
    libc.close(second);
    if (round % 2 === 0) {
      near.duplex.destroy();
      await once(near.duplex, 'close');
    } else {
      near.duplex.resume();
      near.duplex.end();
    }
    await near.ended;
  }
  t.ok(open() <= before + 2, `${open()} descriptors, ${before} before`);
});

t.test('a datagram socket answers whoever spoke first', async (t) => {
  const system = await startSystem(t);
  const [first, second] = datagramPair(t, libc);
  const options = { type: 'dgram', longestMessage: 1000 } as const;
  const server = new SocketStream(new Descriptor(system, first), options);
  const client = new SocketStream(new Descriptor(system, second), options);
  t.teardown(() => {
    for (const { duplex } of [server, client]) duplex.destroy();
  });
  server.duplex.write('too early to have somebody to say it to');
  client.duplex.write('question');
  client.duplex.write('');
  const heard = server.duplex[Symbol.asyncIterator]();
  t.equal(String((await heard.next()).value), 'question');
  t.equal((await heard.next()).value.length, 0, 'an empty one is no end');
  const [answer] = await once(client.duplex, 'data');
  t.match(String(answer), /^too early/);
  client.duplex.end();
  await client.ended;
});
