/** The options of level AF_VSOCK. */
import type { SocketOption, VsockSocket } from '../../../src/core/backend/port/vsock.js';
import { type Bench, outcome } from '../bench.js';
import { conformanceCase } from '../case.js';

const SIZE = 'SO_VM_SOCKETS_BUFFER_SIZE';
const MIN = 'SO_VM_SOCKETS_BUFFER_MIN_SIZE';
const MAX = 'SO_VM_SOCKETS_BUFFER_MAX_SIZE';
const TIMEOUT = 'SO_VM_SOCKETS_CONNECT_TIMEOUT';

async function sizes(socket: VsockSocket): Promise<string> {
  const [size, min, max] = [
    await socket.getOption(SIZE),
    await socket.getOption(MIN),
    await socket.getOption(MAX),
  ];
  return `${size} in ${min}..${max}`;
}

/** What the sizes are after some were set, one after the other. */
async function after(bench: Bench, ...changes: [SocketOption, number][]): Promise<string> {
  const socket = await bench.socket();
  for (const [option, value] of changes) {
    const said = await outcome(socket.setOption(option, value));
    if (said !== 'ok') return `${option} ${value}: ${said}`;
  }
  return sizes(socket);
}

/** What setting the time-out gives, and what it is then. */
async function timeout(bench: Bench, value: number): Promise<string> {
  const socket = await bench.socket();
  const said = await outcome(socket.setOption(TIMEOUT, value));
  return `${said}, ${await socket.getOption(TIMEOUT)}`;
}

export const OPTIONS = [
  conformanceCase('sizes: of a new socket', (bench) => after(bench)),
  conformanceCase('sizes: within the bounds', (bench) => after(bench, [SIZE, 65536])),
  conformanceCase('sizes: over the maximum', (bench) => after(bench, [SIZE, 1048576])),
  conformanceCase('sizes: below the minimum', (bench) => after(bench, [SIZE, 1])),
  conformanceCase('sizes: 0', (bench) => after(bench, [SIZE, 0])),
  conformanceCase('sizes: over the maximum, then the maximum raised', (bench) =>
    after(bench, [SIZE, 1048576], [MAX, 1048576]),
  ),
  conformanceCase('sizes: the maximum raised, then the size', (bench) =>
    after(bench, [MAX, 1048576], [SIZE, 1048576]),
  ),
  conformanceCase('sizes: the maximum below the size', (bench) => after(bench, [MAX, 65536])),
  conformanceCase('sizes: the maximum lowered and raised', (bench) =>
    after(bench, [MAX, 65536], [MAX, 262144]),
  ),
  conformanceCase('sizes: the minimum above the size', (bench) =>
    after(bench, [SIZE, 1024], [MIN, 4096]),
  ),
  conformanceCase('sizes: the minimum above the maximum', (bench) => after(bench, [MIN, 300_000])),
  conformanceCase('sizes: the maximum below the minimum', (bench) =>
    after(bench, [MIN, 4096], [MAX, 1024]),
  ),
  conformanceCase('sizes: the minimum lowered', (bench) => after(bench, [MIN, 1], [SIZE, 1])),
  conformanceCase('sizes: more than a header can say', (bench) =>
    after(bench, [MAX, 2 ** 33], [SIZE, 2 ** 33]),
  ),
  conformanceCase('sizes: more than a header can say, once connected', async (bench) => {
    await bench.listen();
    const socket = await bench.socket();
    await socket.setOption(MAX, 2 ** 33);
    await socket.setOption(SIZE, 2 ** 33);
    await socket.connect(bench.local());
    const connected = await sizes(socket);
    await socket.setOption(SIZE, 2 ** 33 - 1);
    return `${connected}, then ${await sizes(socket)}`;
  }),
  conformanceCase('sizes: of a connected socket', async (bench) => {
    const { client } = await bench.pair();
    await client.setOption(SIZE, 4096);
    return sizes(client);
  }),

  conformanceCase('connect time-out: of a new socket', async (bench) => {
    return String(await (await bench.socket()).getOption(TIMEOUT));
  }),
  conformanceCase('connect time-out: set', (bench) => timeout(bench, 1240)),
  conformanceCase('connect time-out: of a day', (bench) => timeout(bench, 86_400_000)),
  conformanceCase('connect time-out: 0 is the default', async (bench) => {
    const socket = await bench.socket();
    await socket.setOption(TIMEOUT, 1240);
    await socket.setOption(TIMEOUT, 0);
    return String(await socket.getOption(TIMEOUT));
  }),
  conformanceCase('connect time-out: negative', (bench) => timeout(bench, -1000)),
  conformanceCase('connect time-out: of many years', (bench) => timeout(bench, 1e15)),
  conformanceCase('options: values that are no whole numbers', async (bench) => {
    const socket = await bench.socket();
    const said: string[] = [];
    for (const option of [SIZE, TIMEOUT] as const) {
      for (const value of [1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        said.push(await outcome(socket.setOption(option, value)));
      }
    }
    return said.join(' ');
  }),
  conformanceCase('options: negative sizes', async (bench) => {
    const socket = await bench.socket();
    return `${await outcome(socket.setOption(SIZE, -1))}, ${await sizes(socket)}`;
  }),
];
