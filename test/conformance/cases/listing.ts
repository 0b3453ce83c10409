/** The list of sockets, where a backend has one. */
import { setImmediate } from 'node:timers/promises';
import type { SocketRecord, VsockAddress } from '../../../src/core/backend/port/vsock.js';
import type { Bench } from '../bench.js';
import { conformanceCase } from '../case.js';

/** The rows that name one of the case's own ports. */
async function rows(bench: Bench): Promise<string> {
  if (bench.machine.diag === undefined) return 'no list';
  const own = (address: VsockAddress | null) =>
    address !== null && address.port >= bench.port && address.port < bench.otherPort(16);
  const found = (await bench.machine.diag()).filter(({ local, peer }) => own(local) || own(peer));
  return (
    found
      .map((row) => rowText(bench, row))
      .sort()
      .join('; ') || 'none'
  );
}

/** Linux forgets a closed connection when its peer has answered, which it does after close(2) has come back. */
const FORGOTTEN_WITHIN_MS = 20_000;

/** The rows when there are none any more, or those that stay. */
async function lastRows(bench: Bench): Promise<string> {
  const deadline = Date.now() + FORGOTTEN_WITHIN_MS;
  for (;;) {
    const found = await rows(bench);
    if (found === 'none' || Date.now() > deadline) return found;
    await setImmediate();
  }
}

/** Queues and credit are left out: Linux's list has none for vsock. */
function rowText(bench: Bench, { type, state, local, peer }: SocketRecord): string {
  const other = peer === null ? '' : ` to ${bench.text(peer)}`;
  return `${type} ${state} ${bench.text(local)}${other}`;
}

export const LISTING = [
  conformanceCase('list: nothing', (bench) => rows(bench)),

  conformanceCase('list: a socket without a name', async (bench) => {
    await bench.socket();
    return rows(bench);
  }),

  conformanceCase('list: a bound socket', async (bench) => {
    await (await bench.socket()).bind(bench.any());
    return rows(bench);
  }),

  conformanceCase('list: a listener', async (bench) => {
    await bench.listen();
    return rows(bench);
  }),

  conformanceCase('list: a listener of one CID', async (bench) => {
    await bench.listen({ cid: 1, type: 'seqpacket' });
    return rows(bench);
  }),

  conformanceCase('list: a connection', async (bench) => {
    await bench.pair();
    return rows(bench);
  }),

  conformanceCase('list: a connection that nobody has accepted', async (bench) => {
    await bench.listen();
    await bench.dial();
    return rows(bench);
  }),

  conformanceCase('list: after all is closed', async (bench) => {
    const { client, server, listener } = await bench.pair({ type: 'seqpacket' });
    const ends = [await bench.open(client), await bench.open(server)];
    for (const end of ends) end.finish();
    for (const end of ends) await end.restText();
    for (const end of ends) await end.fate();
    for (const socket of [client, server, listener]) await socket.close();
    return lastRows(bench);
  }),
];
