/** Ends of connections: one direction, both, by either side, at good times and bad ones. */
import { type Bench, type End, outcome, outcomes, pattern } from '../bench.js';
import { conformanceCase } from '../case.js';

const MIB = 1024 * 1024;

/** What one end still reads, and how its connection ended. */
async function story(end: End): Promise<string> {
  const rest = await end.restText();
  end.finish();
  return `${rest}, ${await end.fate()}`;
}

/** One side says `hello` and that this is all; the other reads to the end and answers. */
async function halfClose(first: End, second: End): Promise<string> {
  await first.say('hello');
  first.finish();
  const heard = await second.restText();
  await second.say('answer');
  second.finish();
  const answer = await first.restText();
  return `${heard}; ${answer}; ${await first.fate()} ${await second.fate()}`;
}

/** Whether another socket may have a port. */
async function portIsFree(bench: Bench, port: number): Promise<string> {
  return outcome((await bench.socket()).bind(bench.any(port)));
}

export const CLOSING = [
  conformanceCase('half-close: the client first', async (bench) => {
    const { client, server } = await bench.ends();
    return halfClose(client, server);
  }),

  conformanceCase('half-close: the server first', async (bench) => {
    const { client, server } = await bench.ends();
    return halfClose(server, client);
  }),

  conformanceCase('half-close: much comes back afterwards', async (bench) => {
    const { client, server } = await bench.ends();
    client.finish();
    const heard = await server.restText();
    const said = server.say(pattern(2 * MIB)).then(() => server.finish());
    const { bytes, how } = await client.rest();
    await said;
    return `${heard}; ${bytes.length}|${how}; ${await client.fate()} ${await server.fate()}`;
  }),

  conformanceCase('half-close: both at once, nothing said', async (bench) => {
    const { client, server } = await bench.ends();
    client.finish();
    server.finish();
    const ends = [await client.restText(), await server.restText()];
    return `${ends.join(' ')}; ${await client.fate()} ${await server.fate()}`;
  }),

  conformanceCase('half-close: both at once, with much on the way', async (bench) => {
    const { client, server } = await bench.ends();
    const say = (end: End) => end.say(pattern(MIB)).then(() => end.finish());
    const [mine, theirs] = await Promise.all([
      client.rest(),
      server.rest(),
      say(client),
      say(server),
    ]);
    const read = `${mine.bytes.length}|${mine.how} ${theirs.bytes.length}|${theirs.how}`;
    return `${read}; ${await client.fate()} ${await server.fate()}`;
  }),

  conformanceCase('close: what was said before is read', async (bench) => {
    const { client, server } = await bench.ends();
    await client.say('hello');
    client.finish();
    await client.socket.close();
    return story(server);
  }),

  conformanceCase('close: with much still to be sent', async (bench) => {
    const { client, server } = await bench.ends();
    client.stream.duplex.write(pattern(8 * MIB));
    client.finish();
    await client.socket.close();
    const { bytes, how } = await server.rest();
    server.finish();
    return `${bytes.length}|${how}, ${await server.fate()}`;
  }),

  conformanceCase('close: without saying that this is all', async (bench) => {
    const { client, server } = await bench.ends();
    await client.say('hello');
    await client.socket.close();
    return story(server);
  }),

  conformanceCase('close: while the peer reads', async (bench) => {
    const { client, server } = await bench.ends();
    const reading = story(server);
    await client.leave();
    return reading;
  }),

  conformanceCase('close: before the peer has looked', async (bench) => {
    const { client, server } = await bench.pair();
    const end = await bench.open(client);
    await end.say('hello');
    end.finish();
    await end.socket.close();
    const late = await bench.open(server);
    return story(late);
  }),

  conformanceCase('close: with something unread', async (bench) => {
    const { client, server } = await bench.ends();
    await server.say('not read');
    await client.leave();
    return story(server);
  }),

  conformanceCase('close: a connection that was never used', async (bench) => {
    const { client, server } = await bench.pair();
    await client.close();
    return story(await bench.open(server));
  }),

  conformanceCase('close: an accepted connection that was never used', async (bench) => {
    const { client, server } = await bench.pair();
    const end = await bench.open(client);
    await server.close();
    return story(end);
  }),

  conformanceCase('close: while the peer writes', async (bench) => {
    const { client, server } = await bench.ends();
    const writing = client.sayMuch(64 * MIB);
    await server.take(1);
    await server.leave();
    return `${await writing}, ${await client.fate()}`;
  }),

  conformanceCase('close: the peer writes afterwards', async (bench) => {
    const { client, server } = await bench.ends();
    await server.leave();
    await client.stream.hungUp;
    const said = await client.sayMuch(64 * MIB);
    return `${said}, ${await client.fate()}`;
  }),

  conformanceCase('close: the peer has read to the end, and then writes', async (bench) => {
    const { client, server } = await bench.ends();
    await server.leave();
    const heard = await client.restText();
    await client.stream.hungUp;
    return `${heard}, ${await client.sayMuch(64 * MIB)}, ${await client.fate()}`;
  }),

  conformanceCase('close: with more on the way than fits', async (bench) => {
    const { client, server } = await bench.pair();
    const end = await bench.open(client);
    const writing = end.sayMuch(8 * MIB);
    await server.close();
    return `${await writing}, ${await end.fate()}`;
  }),

  conformanceCase('close: the peer learns that nobody reads', async (bench) => {
    const { client, server } = await bench.ends();
    await server.leave();
    await client.stream.hungUp;
    return 'hung up';
  }),

  conformanceCase('close: a hang-up is not told while the peer still reads', async (bench) => {
    const { client, server } = await bench.ends();
    let hungUp = false;
    const told = client.stream.hungUp.then(() => {
      hungUp = true;
    });
    server.finish();
    const heard = await client.restText();
    await client.say('hello');
    const before = hungUp;
    const read = (await server.take(5)).toString();
    client.finish();
    await told;
    return `${heard}, ${read}, ${before ? 'told early' : 'told at the end'}`;
  }),

  conformanceCase('close: a listener with connections that wait', async (bench) => {
    const listener = await bench.listen();
    const ends: End[] = [];
    for (let n = 0; n < 3; n++) ends.push(await bench.open(await bench.dial()));
    await listener.close();
    const stories: string[] = [];
    for (const end of ends) stories.push(await story(end));
    return `${stories.join('; ')}; ${await outcome(bench.dial())}`;
  }),

  conformanceCase('close: a listener leaves accepted connections alone', async (bench) => {
    const { client, server, listener } = await bench.pair();
    await listener.close();
    return halfClose(await bench.open(client), await bench.open(server));
  }),

  conformanceCase('close: the port of a listener is free at once', async (bench) => {
    const { listener } = await bench.pair();
    await listener.close();
    return portIsFree(bench, bench.port);
  }),

  conformanceCase("close: a client's port while the peer has not read all", async (bench) => {
    const listener = await bench.listen();
    const client = await bench.socket();
    await client.bind(bench.any(bench.otherPort(1)));
    await client.connect(bench.local());
    await bench.accept(listener);
    const end = await bench.open(client);
    await end.say('not read');
    end.finish();
    await client.close();
    return portIsFree(bench, bench.otherPort(1));
  }),

  conformanceCase("close: a client's port when both have closed", async (bench) => {
    const listener = await bench.listen();
    const client = await bench.socket();
    await client.bind(bench.any(bench.otherPort(1)));
    await client.connect(bench.local());
    const end = await bench.open(client);
    const server = await bench.open(await bench.accept(listener));
    const said = await halfClose(end, server);
    await client.close();
    await server.socket.close();
    const again = await bench.socket();
    const bound = await outcome(again.bind(bench.any(bench.otherPort(1))));
    return `${said}; ${bound}, ${await outcome(again.connect(bench.local()))}`;
  }),

  conformanceCase('addresses: when the peer has closed', async (bench) => {
    const { client, server } = await bench.pair();
    const end = await bench.open(client);
    await server.close();
    await end.stream.hungUp;
    const peer = await outcome(client.peerAddress());
    return `${await outcome(client.localAddress())} ${peer}`;
  }),

  conformanceCase('addresses: when one direction is shut down', async (bench) => {
    const { client, server } = await bench.pair();
    const end = await bench.open(client);
    const other = await bench.open(server);
    end.finish();
    await other.restText();
    const own = await outcomes({
      local: () => client.localAddress(),
      peer: () => client.peerAddress(),
    });
    const its = await outcomes({
      local: () => server.localAddress(),
      peer: () => server.peerAddress(),
    });
    return `who shut it down: ${own}; the other: ${its}`;
  }),

  conformanceCase('connect: when one direction is shut down', async (bench) => {
    const { client, server } = await bench.pair();
    const [end, other] = [await bench.open(client), await bench.open(server)];
    end.finish();
    await other.restText();
    return outcomes({
      'who shut it down': () => client.connect(bench.local()),
      'the other': () => server.connect(bench.local()),
    });
  }),

  conformanceCase('close: an accepted connection with something unread', async (bench) => {
    const { client, server } = await bench.pair();
    const end = await bench.open(client);
    await end.say('not read');
    await server.close();
    return story(end);
  }),

  conformanceCase('close: nothing can be done with it afterwards', async (bench) => {
    const socket = await bench.socket();
    await socket.close();
    const asking = await outcomes({
      local: () => socket.localAddress(),
      peer: () => socket.peerAddress(),
      get: () => socket.getOption('SO_VM_SOCKETS_BUFFER_SIZE'),
      set: () => socket.setOption('SO_VM_SOCKETS_BUFFER_SIZE', 4096),
    });
    const doing = await outcomes({
      bind: () => socket.bind(bench.any()),
      listen: () => socket.listen(1),
      accept: () => socket.accept(),
      connect: () => socket.connect(bench.local()),
      stream: () => socket.stream(),
      close: () => socket.close(),
    });
    return `${asking}, ${doing}`;
  }),

  conformanceCase('stream: of a socket without a connection', async (bench) => {
    const fresh = await bench.socket();
    const listener = await bench.listen();
    return outcomes({ fresh: () => fresh.stream(), listener: () => listener.stream() });
  }),

  conformanceCase('stream: a second one', async (bench) => {
    const { client } = await bench.pair();
    await bench.open(client);
    return outcome(client.stream());
  }),
];
