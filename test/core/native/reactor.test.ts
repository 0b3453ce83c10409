/** What is told of descriptors, and when. */
import t, { type Test } from 'tap';
import { loadLibc } from '../../../src/core/native/libc.js';
import {
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  Reactor,
} from '../../../src/core/native/reactor.js';
import { connectedPair } from '../../helpers/unix.js';

const libc = await loadLibc();

async function start(t: Test): Promise<Reactor> {
  const reactor = await Reactor.start();
  if (typeof reactor === 'number') throw new Error(`epoll_create1 = ${reactor}`);
  t.teardown(() => reactor.close());
  return reactor;
}

/** The events of a descriptor, each waited for. */
function eventsOf(reactor: Reactor, fd: number): () => Promise<number> {
  const seen: number[] = [];
  let wake: () => void = () => undefined;
  const result = reactor.add(fd, (events) => {
    seen.push(events);
    wake();
  });
  if (result < 0) throw new Error(`epoll_ctl = ${result}`);
  return async () => {
    while (seen.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return seen.shift() ?? 0;
  };
}

t.test('what is ready at the start is told, then what changes', async (t) => {
  const reactor = await start(t);
  const [near, far] = connectedPair(t, libc);
  const next = eventsOf(reactor, near);
  t.equal(await next(), EPOLLOUT);
  libc.write(far, new Uint8Array(3));
  t.equal(await next(), EPOLLIN | EPOLLOUT);
  libc.close(far);
  t.equal(await next(), EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP);
  reactor.remove(near);
  libc.close(near);
});

t.test('a promise that an event settles goes on in the same turn of the event loop', async (t) => {
  const reactor = await start(t);
  const [near, far] = connectedPair(t, libc);
  const next = eventsOf(reactor, near);
  await next();
  const order: string[] = [];
  const told = next().then(() => order.push('event'));
  libc.write(far, new Uint8Array(1));
  await told;
  await new Promise<void>((resolve) => setImmediate(() => resolve()));
  order.push('later');
  t.same(order, ['event', 'later']);
  reactor.remove(near);
  for (const fd of [near, far]) libc.close(fd);
});

t.test('many descriptors at once, more than one look takes', async (t) => {
  const reactor = await start(t);
  const pairs = Array.from({ length: 200 }, () => connectedPair(t, libc));
  const waits = pairs.map(([near]) => eventsOf(reactor, near));
  const events = await Promise.all(waits.map((next) => next()));
  t.ok(events.every((bits) => bits === EPOLLOUT));
  for (const [near, far] of pairs) {
    reactor.remove(near);
    libc.close(near);
    libc.close(far);
  }
});

t.test(
  'a descriptor that is not one is refused, and one is told nothing after its removal',
  async (t) => {
    const reactor = await start(t);
    t.ok(reactor.add(-1, () => t.fail('told')) < 0);
    const [near, far] = connectedPair(t, libc);
    t.equal(
      reactor.add(near, () => t.fail('told')),
      0,
    );
    reactor.remove(near);
    const next = eventsOf(reactor, far);
    libc.write(near, new Uint8Array(1));
    await next();
    for (const fd of [near, far]) {
      reactor.remove(fd);
      libc.close(fd);
    }
  },
);
