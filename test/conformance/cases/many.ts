/** Numbers of connections. */
import { type Bench, type End, outcome } from '../bench.js';
import { conformanceCase } from '../case.js';

const AT_ONCE = 200;
const IN_A_ROW = 1000;

/** Each client says its number; how many are heard, and answered with it. */
async function talk(clients: readonly End[], servers: readonly End[]): Promise<string> {
  const said = clients.map(async (client, n) => {
    await client.say(`number ${n}`);
    client.finish();
    return (await client.restText()) === `number ${n}|end`;
  });
  const answered = servers.map(async (server) => {
    const { bytes } = await server.rest();
    await server.say(bytes);
    server.finish();
  });
  await Promise.all(answered);
  const good = (await Promise.all(said)).filter((right) => right).length;
  return `${good} answered`;
}

async function openAll(bench: Bench, sockets: readonly Promise<End>[]): Promise<End[]> {
  const ends = await Promise.all(sockets);
  if (ends.length !== AT_ONCE) throw new Error(`${bench.port}: ${ends.length} ends`);
  return ends;
}

export const MANY = [
  conformanceCase(
    `many: ${AT_ONCE} at once`,
    async (bench) => {
      const listener = await bench.listen({ backlog: AT_ONCE });
      const each = Array.from({ length: AT_ONCE });
      const accepting = each.map(async () => bench.open(await bench.accept(listener)));
      const dialling = each.map(async () => bench.open(await bench.dial()));
      const clients = await openAll(bench, dialling);
      const servers = await openAll(bench, accepting);
      const said = await talk(clients, servers);
      const fates = await Promise.all([...clients, ...servers].map((end) => end.fate()));
      return `${said}, ${fates.filter((fate) => fate === 'ok').length} ended well`;
    },
    { limitMs: 120_000 },
  ),

  conformanceCase(
    `many: ${IN_A_ROW} one after the other`,
    async (bench) => {
      const listener = await bench.listen();
      let good = 0;
      for (let n = 0; n < IN_A_ROW; n++) {
        const client = await bench.machine.socket('stream');
        const connected = await outcome(client.connect(bench.local()));
        const server = await listener.accept();
        await client.close();
        await server.close();
        if (connected === 'ok') good++;
      }
      return `${good} connected`;
    },
    { limitMs: 120_000 },
  ),

  conformanceCase('many: 500 sockets with names', async (bench) => {
    for (let n = 0; n < 500; n++) {
      const socket = await bench.socket();
      await socket.bind({ cid: 0xffffffff, port: 0xffffffff });
    }
    return 'ok';
  }),
];
