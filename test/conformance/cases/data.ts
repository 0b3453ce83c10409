/** Bytes of stream sockets: all of them, in order, whatever their number. */
import { type End, pattern, sameBytes } from '../bench.js';
import { conformanceCase } from '../case.js';

const MIB = 1024 * 1024;

/** At the edges of what kernels treat alike: merged buffers, pages, packets, windows. */
const SIZES = [
  1,
  2,
  3,
  127,
  128,
  129,
  4095,
  4096,
  4097,
  65535,
  65536,
  65537,
  262143,
  262144,
  262145,
  MIB,
];

/** Says all of it, then reads all of it at the other end. */
async function carry(from: End, to: End, data: Uint8Array): Promise<string> {
  const said = from.say(data).then(() => from.finish());
  const { bytes, how } = await to.rest();
  await said;
  return `${sameBytes(bytes, data) ? 'equal' : `${bytes.length} other bytes`}|${how}`;
}

/** Says pieces of one size, each when the one before has been taken. */
async function sayInPieces(end: End, data: Uint8Array, size: number): Promise<void> {
  for (let at = 0; at < data.length; at += size) await end.say(data.subarray(at, at + size));
  end.finish();
}

async function readAgainst(end: End, data: Uint8Array): Promise<string> {
  const { bytes, how } = await end.rest();
  return `${sameBytes(bytes, data) ? 'equal' : `${bytes.length} other bytes`}|${how}`;
}

export const DATA = [
  ...SIZES.map((size) =>
    conformanceCase(`data: ${size} bytes`, async (bench) => {
      const { client, server } = await bench.ends();
      return carry(client, server, pattern(size, size));
    }),
  ),

  conformanceCase('data: 1 MiB from the server', async (bench) => {
    const { client, server } = await bench.ends();
    return carry(server, client, pattern(MIB));
  }),

  conformanceCase('data: an empty write says nothing', async (bench) => {
    const { client, server } = await bench.ends();
    await client.say('');
    return carry(client, server, Buffer.from('hello'));
  }),

  conformanceCase('data: said before the connection is accepted', async (bench) => {
    const listener = await bench.listen();
    const client = await bench.open(await bench.dial());
    await client.say('hello');
    client.finish();
    return (await bench.open(await bench.accept(listener))).restText();
  }),

  conformanceCase("data: into the reader's own memory", async (bench) => {
    const { client, server } = await bench.ends();
    const data = pattern(MIB, 5);
    const said = client.say(data);
    const came = await server.takeInto(MIB);
    await said;
    client.finish();
    const more = await server.takeInto(1);
    return `${sameBytes(came, data) ? 'equal' : 'different'}, then ${more.length}`;
  }),

  conformanceCase('data: nothing but the end', async (bench) => {
    const { client, server } = await bench.ends();
    client.finish();
    return server.restText();
  }),

  ...[1, 100, 1000, 10_000].map((size) =>
    conformanceCase(`data: pieces of ${size}`, async (bench) => {
      const { client, server } = await bench.ends();
      const data = pattern(size * 200, size);
      const said = sayInPieces(client, data, size);
      const read = await readAgainst(server, data);
      await said;
      return read;
    }),
  ),

  conformanceCase('data: both directions at once', async (bench) => {
    const { client, server } = await bench.ends();
    const [there, back] = [pattern(2 * MIB, 7), pattern(2 * MIB, 8)];
    const ends = await Promise.all([carry(client, server, there), carry(server, client, back)]);
    return ends.join(' ');
  }),

  conformanceCase('data: an echo', async (bench) => {
    const { client, server } = await bench.ends();
    server.stream.duplex.pipe(server.stream.duplex);
    return carry(client, client, pattern(2 * MIB, 9));
  }),

  conformanceCase('data: a question and an answer, 200 times', async (bench) => {
    const { client, server } = await bench.ends();
    let good = 0;
    for (let n = 0; n < 200; n++) {
      await client.say(`question ${n}.`);
      const asked = (await server.take(`question ${n}.`.length)).toString();
      await server.say(asked.replace('question', 'answer'));
      const answer = (await client.take(`answer ${n}.`.length)).toString();
      if (answer === `answer ${n}.`) good++;
    }
    return `${good} good`;
  }),

  conformanceCase('data: a writer waits for a reader', async (bench) => {
    const { client, server } = await bench.pair();
    const from = await bench.open(client);
    const data = pattern(8 * MIB);
    const waits = !from.stream.duplex.write(data);
    from.finish();
    const to = await bench.open(server);
    return `${waits ? 'waits' : 'does not wait'}, ${await readAgainst(to, data)}`;
  }),

  ...[128, 4096].map((size) =>
    conformanceCase(`data: through a window of ${size}`, async (bench) => {
      const { client, server } = await bench.ends({ bufferSize: size });
      return carry(client, server, pattern(50_000));
    }),
  ),

  conformanceCase('data: from a sender with a small buffer', async (bench) => {
    const { client, server } = await bench.ends({ clientBufferSize: 1024 });
    return carry(client, server, pattern(50_000));
  }),

  // The sender knows of the smaller window before it goes on: what it sends on the credit of the larger one is an
  // over-run, which kernels answer in three ways.
  conformanceCase('data: a window that changes its size on the way', async (bench) => {
    const { client, server } = await bench.ends();
    const data = pattern(2 * MIB);
    const firstSaid = client.say(data.subarray(0, MIB));
    const first = await server.take(MIB);
    await firstSaid;
    await server.socket.setOption('SO_VM_SOCKETS_BUFFER_SIZE', 8192);
    await server.say('smaller');
    await client.take('smaller'.length);
    const restSaid = client.say(data.subarray(MIB)).then(() => client.finish());
    const next = await server.take(MIB / 2);
    await server.socket.setOption('SO_VM_SOCKETS_BUFFER_SIZE', 262144);
    const { bytes, how } = await server.rest();
    await restSaid;
    return `${sameBytes(Buffer.concat([first, next, bytes]), data) ? 'equal' : 'different'}|${how}`;
  }),
];
