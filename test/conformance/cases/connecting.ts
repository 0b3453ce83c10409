/** How connections come about, and what keeps them from it. */
import { outcome, outcomes } from '../bench.js';
import { conformanceCase } from '../case.js';

export const CONNECTING = [
  conformanceCase('connect: to nobody', async (bench) => {
    const socket = await bench.socket();
    const connected = await outcome(socket.connect(bench.local()));
    const peer = await outcome(socket.peerAddress());
    return `${connected}, local ${bench.text(await socket.localAddress())}, peer ${peer}`;
  }),

  conformanceCase('connect: to a socket that is bound and does not listen', async (bench) => {
    await (await bench.socket()).bind(bench.any());
    return outcome(bench.dial());
  }),

  conformanceCase('connect: to its own address', async (bench) => {
    const socket = await bench.socket();
    await socket.bind(bench.any());
    return outcome(socket.connect(bench.local()));
  }),

  conformanceCase('connect: to CIDs that nobody has', async (bench) => {
    const connect = async (cid: number) =>
      (await bench.socket()).connect({ cid, port: bench.port });
    return outcomes({
      0: () => connect(0),
      3: () => connect(3),
      4711: () => connect(4711),
      any: () => connect(0xffffffff),
    });
  }),

  conformanceCase('connect: to the CID of the host, on itself', async (bench) => {
    const listener = await bench.listen();
    const client = await bench.socket();
    const connected = await outcome(client.connect({ cid: 2, port: bench.port }));
    if (connected !== 'ok') return connected;
    const server = await bench.accept(listener);
    const [local, peer] = [await server.localAddress(), await server.peerAddress()];
    return `${connected}, accepted ${bench.text(local)} from ${bench.text(peer)}`;
  }),

  conformanceCase('connect: to the automatic port', async (bench) => {
    const socket = await bench.socket();
    return outcome(socket.connect({ cid: 1, port: 0xffffffff }));
  }),

  conformanceCase('connect: the other type of socket listens', async (bench) => {
    await bench.listen({ type: 'seqpacket' });
    await bench.listen({ type: 'stream', port: bench.otherPort(1) });
    return outcomes({
      'stream to seqpacket': () => bench.dial(bench.port, 'stream'),
      'seqpacket to stream': () => bench.dial(bench.otherPort(1), 'seqpacket'),
    });
  }),

  conformanceCase('connect: to a listener of one CID', async (bench) => {
    await bench.listen({ cid: 1 });
    return outcome(bench.dial());
  }),

  conformanceCase('connect: twice', async (bench) => {
    const { client } = await bench.pair();
    return outcome(client.connect(bench.local()));
  }),

  conformanceCase('connect: again after a refusal', async (bench) => {
    const socket = await bench.socket();
    const refused = await outcome(socket.connect(bench.local()));
    await bench.listen();
    return `${refused}, then ${await outcome(socket.connect(bench.local()))}`;
  }),

  conformanceCase('connect: a listener', async (bench) => {
    const listener = await bench.listen();
    await bench.listen({ port: bench.otherPort(1) });
    return outcome(listener.connect(bench.local(bench.otherPort(1))));
  }),

  conformanceCase('connect: an accepted socket', async (bench) => {
    const { server } = await bench.pair();
    return outcome(server.connect(bench.local()));
  }),

  conformanceCase('connect: from a port of its own', async (bench) => {
    const listener = await bench.listen();
    const client = await bench.socket();
    await client.bind(bench.any(bench.otherPort(1)));
    await client.connect(bench.local());
    const server = await bench.accept(listener);
    const peer = await server.peerAddress();
    return `local ${bench.text(await client.localAddress())}, peer sees ${bench.text(peer)}`;
  }),

  conformanceCase('connect: from a port at CID 1', async (bench) => {
    const listener = await bench.listen();
    const client = await bench.socket();
    await client.bind(bench.local(bench.otherPort(1)));
    await client.connect(bench.local());
    const server = await bench.accept(listener);
    const peer = await server.peerAddress();
    return `local ${bench.text(await client.localAddress())}, peer sees ${bench.text(peer)}`;
  }),

  conformanceCase('connect: two connections of one port', async (bench) => {
    await bench.listen();
    await bench.listen({ port: bench.otherPort(1) });
    const [first, second] = [await bench.socket(), await bench.socket()];
    await first.bind(bench.any(bench.otherPort(2)));
    await first.connect(bench.local());
    return outcomes({ bind: () => second.bind(bench.any(bench.otherPort(2))) });
  }),

  conformanceCase('addresses: of both ends', async (bench) => {
    const { client, server, listener } = await bench.pair();
    const both = async (socket: typeof client) => {
      const [local, peer] = [await socket.localAddress(), await socket.peerAddress()];
      return `${bench.text(local)} to ${bench.text(peer)}`;
    };
    const listens = await listener.localAddress();
    return `client ${await both(client)}; server ${await both(server)}; listener ${bench.text(listens)}`;
  }),

  conformanceCase('addresses: each end knows the other by its port', async (bench) => {
    const { client, server } = await bench.pair();
    const [mine, seen] = [await client.localAddress(), await server.peerAddress()];
    return mine.port === seen.port ? 'same port' : 'different ports';
  }),

  conformanceCase('addresses: of a listener there is no peer', async (bench) => {
    return outcome((await bench.listen()).peerAddress());
  }),

  conformanceCase('local CID', async (bench) => String(await bench.machine.localCid())),
];
