/** What ends a call that waits. Connecting on the loopback never waits, so there is only what comes before. */
import { SystemError } from '../../../src/core/abi/errno.js';
import { outcome } from '../bench.js';
import { conformanceCase } from '../case.js';

export const INTERRUPTING = [
  conformanceCase('interrupt: accept', async (bench) => {
    const listener = await bench.listen();
    const interrupt = new AbortController();
    const accepting = outcome(bench.accept(listener, interrupt.signal));
    interrupt.abort();
    return accepting;
  }),

  conformanceCase('interrupt: the next connection is not lost', async (bench) => {
    const listener = await bench.listen();
    const interrupt = new AbortController();
    const accepting = outcome(bench.accept(listener, interrupt.signal));
    interrupt.abort();
    const interrupted = await accepting;
    const client = await bench.dial();
    const server = await bench.accept(listener);
    const [mine, seen] = [await client.localAddress(), await server.peerAddress()];
    return `${interrupted}, then ${mine.port === seen.port ? 'the connection' : 'another one'}`;
  }),

  conformanceCase('interrupt: one of two that wait', async (bench) => {
    const listener = await bench.listen();
    const interrupt = new AbortController();
    const first = outcome(bench.accept(listener, interrupt.signal));
    const second = outcome(bench.accept(listener));
    interrupt.abort();
    const interrupted = await first;
    await bench.dial();
    return `${interrupted}, ${await second}`;
  }),

  conformanceCase('interrupt: before accept', async (bench) => {
    const listener = await bench.listen();
    await bench.dial();
    const early = await outcome(bench.accept(listener, AbortSignal.abort()));
    return `${early}, then ${await outcome(bench.accept(listener))}`;
  }),

  conformanceCase('interrupt: before connect', async (bench) => {
    await bench.listen();
    const socket = await bench.socket();
    const early = await outcome(socket.connect(bench.local(), { signal: AbortSignal.abort() }));
    return `${early}, then ${await outcome(socket.connect(bench.local()))}`;
  }),

  conformanceCase('interrupt: after connect', async (bench) => {
    const listener = await bench.listen();
    const interrupt = new AbortController();
    const socket = await bench.socket();
    await socket.connect(bench.local(), { signal: interrupt.signal });
    interrupt.abort();
    const client = await bench.open(socket);
    const server = await bench.open(await bench.accept(listener));
    await client.say('hello');
    client.finish();
    return server.restText();
  }),

  conformanceCase('close: while accept waits', async (bench) => {
    const listener = await bench.listen();
    const accepting = outcome(bench.accept(listener));
    await listener.close();
    return accepting;
  }),

  conformanceCase('errors: say what they are', async (bench) => {
    const socket = await bench.socket();
    try {
      await socket.connect(bench.local());
      return 'connects';
    } catch (error) {
      return error instanceof SystemError ? `${error.syscall} ${error.code}` : String(error);
    }
  }),
];
