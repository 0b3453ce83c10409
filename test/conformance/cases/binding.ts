/** Names of sockets: which ones they may have, and which ones they get. */
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from '../../../src/core/abi/vm-sockets.js';
import { outcome, outcomes } from '../bench.js';
import { conformanceCase } from '../case.js';

export const BINDING = [
  conformanceCase('socket: the types that there are', (bench) =>
    outcomes({
      stream: () => bench.socket('stream'),
      seqpacket: () => bench.socket('seqpacket'),
      dgram: () => bench.socket('dgram'),
    }),
  ),

  conformanceCase('bind: the CIDs of the machine, and others', async (bench) => {
    const bind = async (cid: number) => (await bench.socket()).bind({ cid, port: bench.port });
    const said = await outcomes({ 1: () => bind(1), 0: () => bind(0), 2: () => bind(2) });
    return `${said}, ${await outcomes({ 3: () => bind(3), 4711: () => bind(4711) })}`;
  }),

  conformanceCase('bind: twice', async (bench) => {
    const socket = await bench.socket();
    const first = () => socket.bind(bench.any());
    const other = () => socket.bind(bench.any(bench.otherPort(1)));
    return outcomes({ first, again: first, other });
  }),

  conformanceCase('bind: a port that is in use', async (bench) => {
    await (await bench.socket()).bind(bench.any());
    return outcomes({
      any: async () => (await bench.socket()).bind(bench.any()),
      specific: async () => (await bench.socket()).bind(bench.local()),
      seqpacket: async () => (await bench.socket('seqpacket')).bind(bench.any()),
    });
  }),

  conformanceCase('bind: CID_ANY where one CID has the port', async (bench) => {
    await (await bench.socket()).bind(bench.local());
    return outcome((await bench.socket()).bind(bench.any()));
  }),

  conformanceCase('bind: a port in use is free when its socket is closed', async (bench) => {
    const first = await bench.socket();
    await first.bind(bench.any());
    await first.close();
    const second = await bench.socket();
    return outcome(second.bind(bench.any()));
  }),

  conformanceCase('bind: port 0 is a port', async (bench) => {
    const socket = await bench.socket();
    const bound = await outcome(socket.bind({ cid: VMADDR_CID_ANY, port: 0 }));
    const { port } = await socket.localAddress();
    return `${bound}, port ${port}`;
  }),

  conformanceCase('bind: automatic ports', async (bench) => {
    const sockets = [await bench.socket(), await bench.socket(), await bench.socket('seqpacket')];
    for (const socket of sockets) await socket.bind({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
    const addresses = await Promise.all(sockets.map((socket) => socket.localAddress()));
    const different = new Set(addresses.map(({ port }) => port)).size;
    return `${addresses.map((address) => bench.text(address)).join(' ')}, ${different} different`;
  }),

  conformanceCase('bind: an automatic port at one CID', async (bench) => {
    const socket = await bench.socket();
    await socket.bind({ cid: 1, port: VMADDR_PORT_ANY });
    return bench.text(await socket.localAddress());
  }),

  conformanceCase('bind: a port above 2^31', async (bench) => {
    const socket = await bench.socket();
    await socket.bind({ cid: VMADDR_CID_ANY, port: 0xfffffffe });
    await socket.listen(1);
    const client = await bench.socket();
    const connected = await outcome(client.connect({ cid: 1, port: 0xfffffffe }));
    return `${connected}, ${(await socket.localAddress()).port} ${(await client.peerAddress()).port}`;
  }),

  conformanceCase('addresses: of a socket without a name', async (bench) => {
    const socket = await bench.socket();
    const peer = await outcome(socket.peerAddress());
    return `local ${bench.text(await socket.localAddress())}, peer ${peer}`;
  }),

  conformanceCase(
    'bind: ports of a user without capabilities',
    async (bench) => {
      const bind = async (port: number) => (await bench.socket()).bind(bench.any(port));
      const low = { 0: () => bind(0), 22: () => bind(22), 1023: () => bind(1023) };
      const high = { 1024: () => bind(1024), own: () => bind(bench.port) };
      return `${await outcomes(low)}, ${await outcomes(high)}`;
    },
    { unprivileged: true },
  ),

  conformanceCase(
    'connect: a user without capabilities',
    async (bench) => {
      const { client } = await bench.pair();
      return bench.text(await client.localAddress());
    },
    { unprivileged: true },
  ),
];
