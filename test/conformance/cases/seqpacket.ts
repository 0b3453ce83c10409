/** Sockets that keep the boundaries of messages. */
import { type Bench, type End, pattern, sameBytes } from '../bench.js';
import { conformanceCase } from '../case.js';

const WINDOW = 262144;

function seqpacketEnds(bench: Bench): Promise<{ client: End; server: End }> {
  return bench.ends({ type: 'seqpacket' });
}

/** Says one message of each size, reads as many, and tells their sizes. */
async function carry(from: End, to: End, sizes: readonly number[]): Promise<string> {
  const said = (async () => {
    for (const size of sizes) await from.say(pattern(size, size));
    from.finish();
  })();
  const { chunks, how } = await to.rest();
  await said;
  const equal = chunks.every((chunk) => sameBytes(chunk, pattern(chunk.length, chunk.length)));
  const lengths = chunks.map((chunk) => chunk.length).join(' ');
  return `${lengths}${lengths === '' ? '' : '|'}${how}${equal ? '' : ', changed'}`;
}

/** Says one message that is never taken: nobody says that this is all, and yet the peer sees the end. */
async function tooLong(ends: { client: End; server: End }, size: number): Promise<string> {
  const { client, server } = ends;
  const said = client.say(pattern(size));
  const heard = await server.restText();
  await client.stream.hungUp;
  server.finish();
  await said;
  return `${heard}, ${await client.fate()} ${await server.fate()}`;
}

export const SEQPACKET = [
  conformanceCase('seqpacket: boundaries', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    return carry(client, server, [1, 2, 127, 128, 129, 130, 1, 4096, 65535, 65536, 65537, 3]);
  }),

  conformanceCase('seqpacket: boundaries, from the server', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    return carry(server, client, [5, 70_000, 5]);
  }),

  conformanceCase('seqpacket: a message of the whole window', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    return carry(client, server, [WINDOW]);
  }),

  conformanceCase('seqpacket: messages of the whole window, one after the other', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    return carry(client, server, [WINDOW, WINDOW, 1, WINDOW]);
  }),

  conformanceCase('seqpacket: a message longer than the window', async (bench) =>
    tooLong(await seqpacketEnds(bench), WINDOW + 1),
  ),

  conformanceCase('seqpacket: a message much longer than the window', async (bench) =>
    tooLong(await seqpacketEnds(bench), 4 * WINDOW),
  ),

  conformanceCase("seqpacket: longer than the reader's buffer", async (bench) =>
    tooLong(await bench.ends({ type: 'seqpacket', bufferSize: 1024 }), 1025),
  ),

  conformanceCase("seqpacket: as long as the reader's buffer", async (bench) => {
    const { client, server } = await bench.ends({ type: 'seqpacket', bufferSize: 1024 });
    return carry(client, server, [1024, 1024]);
  }),

  conformanceCase("seqpacket: longer than the sender's own buffer", async (bench) =>
    tooLong(await bench.ends({ type: 'seqpacket', clientBufferSize: 1024 }), 1025),
  ),

  conformanceCase('seqpacket: an empty message is not sent', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    await client.say('');
    return carry(client, server, [3]);
  }),

  conformanceCase('seqpacket: many small messages', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    let good = 0;
    for (let batch = 0; batch < 20; batch++) {
      for (let n = 0; n < 50; n++) await client.say(`${batch}.${n}`);
      for (let n = 0; n < 50; n++)
        if ((await server.next())?.toString() === `${batch}.${n}`) good++;
    }
    return `${good} in order`;
  }),

  conformanceCase('seqpacket: 600 messages before anybody reads', async (bench) => {
    const { client, server } = await bench.pair({ type: 'seqpacket' });
    const from = await bench.open(client);
    for (let n = 0; n < 600; n++) await from.say('x');
    from.finish();
    const to = await bench.open(server);
    const { chunks, how } = await to.rest();
    to.finish();
    return `${chunks.length} read|${how}; ${await from.fate()} ${await to.fate()}`;
  }),

  conformanceCase('seqpacket: half-close', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    const there = await carry(client, server, [10]);
    const back = await carry(server, client, [20, 30]);
    return `${there}; ${back}; ${await client.fate()} ${await server.fate()}`;
  }),

  conformanceCase('seqpacket: half-close by the server', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    const there = await carry(server, client, [10]);
    const back = await carry(client, server, [20, 30]);
    return `${there}; ${back}; ${await client.fate()} ${await server.fate()}`;
  }),

  conformanceCase('seqpacket: both directions at once', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    const sizes = Array.from({ length: 60 }, (_, n) => 1 + ((n * 7919) % 90_000));
    const [there, back] = await Promise.all([
      carry(client, server, sizes),
      carry(server, client, sizes),
    ]);
    const whole = `${sizes.join(' ')}|end`;
    return `${there === whole ? 'all' : there} ${back === whole ? 'all' : back}`;
  }),

  conformanceCase('seqpacket: close, with a message unread', async (bench) => {
    const { client, server } = await seqpacketEnds(bench);
    await server.say('not read');
    await client.leave();
    const rest = await server.restText();
    server.finish();
    return `${rest}, ${await server.fate()}`;
  }),

  conformanceCase('seqpacket: close, before the peer has read', async (bench) => {
    const { client, server } = await bench.pair({ type: 'seqpacket' });
    const from = await bench.open(client);
    for (const message of ['one', 'two']) await from.say(message);
    from.finish();
    await client.close();
    const to = await bench.open(server);
    const { chunks, how } = await to.rest();
    to.finish();
    return `${chunks.map(String).join(' ')}|${how}, ${await to.fate()}`;
  }),
];
