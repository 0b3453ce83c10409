/** Listeners: how one becomes one, and how many connections may wait for it. */
import type { VsockSocket } from '../../../src/core/backend/port/vsock.js';
import { type Bench, outcome, outcomes } from '../bench.js';
import { conformanceCase } from '../case.js';

/** Connects one after the other until that fails, at most `limit` times. */
async function fill(bench: Bench, limit: number): Promise<string> {
  for (let n = 0; n < limit; n++) {
    const said = await outcome(bench.dial());
    if (said !== 'ok') return `${n} wait, then ${said}`;
  }
  return `${limit} wait`;
}

async function listenerWith(bench: Bench, backlog: number): Promise<VsockSocket> {
  return bench.listen({ backlog });
}

export const LISTENING = [
  conformanceCase('listen: a socket without a name', async (bench) => {
    return outcome((await bench.socket()).listen(1));
  }),

  conformanceCase('listen: a connected socket', async (bench) => {
    const { client, server } = await bench.pair();
    return outcomes({ client: () => client.listen(1), server: () => server.listen(1) });
  }),

  conformanceCase('listen: a listener again', async (bench) => {
    const listener = await listenerWith(bench, 0);
    const again = await outcome(listener.listen(2));
    return `${again}, ${await fill(bench, 8)}`;
  }),

  conformanceCase('listen: after a refused connection', async (bench) => {
    const socket = await bench.socket();
    await socket.bind(bench.any());
    const refused = await outcome(socket.connect(bench.local(bench.otherPort(1))));
    return `${refused}, listen ${await outcome(socket.listen(1))}, ${await outcome(bench.dial())}`;
  }),

  conformanceCase('bind: a listener', async (bench) => {
    const listener = await bench.listen();
    return outcome(listener.bind(bench.any(bench.otherPort(1))));
  }),

  conformanceCase('accept: of a socket that does not listen', async (bench) => {
    const bound = await bench.socket();
    await bound.bind(bench.any(bench.otherPort(1)));
    const { client } = await bench.pair();
    const fresh = await bench.socket();
    return outcomes({
      fresh: () => fresh.accept(),
      bound: () => bound.accept(),
      connected: () => client.accept(),
    });
  }),

  ...[0, 1, 3].map((backlog) =>
    conformanceCase(`listen: backlog ${backlog}`, async (bench) => {
      await listenerWith(bench, backlog);
      return fill(bench, 10);
    }),
  ),

  conformanceCase('listen: a negative backlog is the largest', async (bench) => {
    const listener = await bench.socket();
    await listener.bind(bench.any());
    const listens = await outcome(listener.listen(-1));
    return `${listens}, ${await fill(bench, 10)}`;
  }),

  conformanceCase('listen: accept makes room in a full backlog', async (bench) => {
    const listener = await listenerWith(bench, 0);
    const full = await fill(bench, 4);
    await bench.accept(listener);
    return `${full}, accept, ${await fill(bench, 4)}`;
  }),

  conformanceCase('listen: a client that left still takes a place', async (bench) => {
    const listener = await listenerWith(bench, 0);
    await (await bench.dial()).close();
    const full = await outcome(bench.dial());
    const accepted = await bench.accept(listener);
    const end = await outcome(bench.open(accepted));
    return `${full}, accept ok, stream ${end}`;
  }),

  conformanceCase(
    'accept: connections come in the order in which they were made',
    async (bench) => {
      const listener = await bench.listen();
      const ports: number[] = [];
      for (let n = 0; n < 5; n++) ports.push((await (await bench.dial()).localAddress()).port);
      const seen: number[] = [];
      for (let n = 0; n < 5; n++)
        seen.push((await (await bench.accept(listener)).peerAddress()).port);
      return ports.join() === seen.join() ? 'in order' : 'in another order';
    },
  ),

  conformanceCase('accept: one that waits gets the next connection', async (bench) => {
    const listener = await bench.listen();
    const accepting = bench.accept(listener);
    await bench.dial();
    await accepting;
    return 'ok';
  }),

  conformanceCase('accept: two that wait get one each', async (bench) => {
    const listener = await bench.listen();
    const accepting = [bench.accept(listener), bench.accept(listener)];
    const ports = [await bench.dial(), await bench.dial()].map(async (socket) => {
      return (await socket.localAddress()).port;
    });
    const made = (await Promise.all(ports)).sort();
    const accepted = (await Promise.all(accepting)).map(async (socket) => {
      return (await socket.peerAddress()).port;
    });
    const got = (await Promise.all(accepted)).sort();
    return made.join() === got.join() ? 'one each' : 'something else';
  }),

  conformanceCase('accept: what a connection inherits', async (bench) => {
    const listener = await bench.listen({ bufferSize: 4096 });
    await listener.setOption('SO_VM_SOCKETS_CONNECT_TIMEOUT', 1240);
    await bench.dial();
    const server = await bench.accept(listener);
    const size = await server.getOption('SO_VM_SOCKETS_BUFFER_SIZE');
    const timeout = await server.getOption('SO_VM_SOCKETS_CONNECT_TIMEOUT');
    return `size ${size}, connect time-out ${timeout}`;
  }),
];
