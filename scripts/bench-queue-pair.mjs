// Measures queue pairs of VMCI: between two processes beside a Unix socket between the same two, and as commands beside a
// relay of socat. Started with a role, it is one of the two processes.
import { fork } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = new URL('..', import.meta.url).pathname;
const library = (path) => import(join(root, 'build/src/core', path));

const QUEUE = 4 * 2 ** 20;
/** What the sender has at once, and what the receiver takes at once. */
const PIECE = 262_144;
const RESOURCE = 5000;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** An end of a pair between host and VM `web1`. */
async function openQueue(role) {
  const { connectBackend } = await library('backend/connect.js');
  const { attachQueuePair, createQueuePair } = await library('client/vmci-queue.js');
  const backend = await connectBackend('sim');
  const kernel = await backend.machine(role === 'send' ? 'host' : { vm: 'web1' }).vmci();
  const handle = { context: 2, resource: RESOURCE };
  const sizes = { produceSize: QUEUE, consumeSize: QUEUE };
  const create = () => createQueuePair(kernel, { handle, ...sizes });
  const stream = await (role === 'send' ? create() : attachQueuePair(kernel, handle));
  return {
    ready: () => stream.attached(),
    write: (piece) => stream.write(piece),
    end: () => stream.end(),
    async receive(take) {
      for (let piece = await stream.next(); piece !== undefined; piece = await stream.next()) {
        take(piece);
        stream.consumed(piece.length);
      }
      await stream.end();
    },
    async close() {
      await stream.detach();
      await backend.close();
    },
  };
}

/** An end of a Unix socket; the sender connects. */
async function openSocket(role, path) {
  const socket = await new Promise((resolve) => {
    if (role === 'send') {
      const made = connect(path, () => resolve(made));
      return;
    }
    const server = createServer((made) => {
      server.close();
      resolve(made);
    }).listen(path, () => process.send('listening'));
  });
  return {
    ready: async () => undefined,
    write: (piece) => new Promise((resolve) => socket.write(piece, resolve)),
    end: () => new Promise((resolve) => socket.end(resolve)),
    receive: (take) =>
      new Promise((resolve) => {
        socket.on('data', take);
        socket.on('end', resolve);
      }),
    close: async () => socket.destroy(),
  };
}

/** The process of one end; it is told to begin, and says when it is done. */
async function work([role, kind, path, bytes]) {
  const end = await (kind === 'queue' ? openQueue(role) : openSocket(role, path));
  if (role === 'send' && kind === 'queue') process.send('listening');
  await end.ready();
  const buffer = Buffer.alloc(PIECE, 1);
  if (role === 'send') {
    process.send('ready');
    await new Promise((resolve) => process.once('message', resolve));
    for (let left = Number(bytes); left > 0; left -= PIECE) {
      await end.write(buffer.subarray(0, left));
    }
    await end.end();
  } else {
    let got = 0;
    await end.receive((piece) => {
      got += piece.length;
      buffer.set(piece.subarray(0, PIECE));
    });
    if (got !== Number(bytes)) throw new Error(`${got} bytes of ${bytes} came`);
    process.send('done');
  }
  await end.close();
  process.disconnect();
}

/** MiB a second from one process to the other. */
async function between(kind, path, bytes) {
  const script = fileURLToPath(import.meta.url);
  const start = (role) => {
    const child = fork(script, [role, kind, path, String(bytes)]);
    child.said = (word) =>
      new Promise((resolve, reject) => {
        child.on('message', (message) => message === word && resolve());
        child.once('exit', (code) => code && reject(new Error(`${kind} ${role} ended: ${code}`)));
      });
    return child;
  };
  // The one who makes the queue sends, the one who listens at the socket receives.
  const first = start(kind === 'queue' ? 'send' : 'receive');
  const waits = kind === 'queue' ? first.said('ready') : undefined;
  await first.said('listening');
  const second = start(kind === 'queue' ? 'receive' : 'send');
  const [sender, receiver] = kind === 'queue' ? [first, second] : [second, first];
  const done = receiver.said('done');
  await (waits ?? sender.said('ready'));
  const begin = performance.now();
  sender.send('begin');
  await done;
  const ms = performance.now() - begin;
  await Promise.all([first, second].map((each) => new Promise((end) => each.once('exit', end))));
  return bytes / 2 ** 20 / (ms / 1000);
}

/**
 * @param record as in bench.mjs.
 * @param tools of bench.mjs: how its files, programs and the relay of socat are made.
 */
export async function benchQueuePair(record, { bytes, rounds, home, tools }) {
  const speeds = { queue: [], socket: [] };
  for (let round = 0; round < rounds; round++) {
    for (const kind of ['queue', 'socket']) {
      speeds[kind].push(await between(kind, join(home, `q${round}`), bytes));
    }
  }
  const ours = median(speeds.queue);
  record(
    'queue pair, process to process',
    'MiB/s',
    ours,
    median(speeds.socket),
    'Unix socket',
    false,
  );
  await benchCommands(record, { bytes, rounds, home, ...tools });
}

async function benchCommands(
  record,
  { bytes, rounds, home, start, run, says, vmmctl, socat, makeInput, check },
) {
  const [input, output] = ['queue-input', 'queue-output'].map((name) => join(home, name));
  const same = check(makeInput(input), output);
  const speed = (ms) => bytes / 2 ** 20 / (ms / 1000);
  const ours = [];
  const peers = new Map(socat === undefined ? [] : [65536, 1048576].map((size) => [size, []]));
  for (let round = 0; round < rounds; round++) {
    const handle = `2:${RESOURCE + 1 + round}`;
    const [source, sink] = [openSync(input, 'r'), openSync(output, 'w')];
    const words = ['vmci', 'queue'];
    const creator = start([...vmmctl, ...words, 'create', '4M', '--handle', handle], {
      stdio: [source, 'ignore', 'pipe'],
    });
    await says(creator, 'listening');
    const begin = performance.now();
    await run([...vmmctl, '--in', 'web1', ...words, 'attach', handle], {
      stdio: ['ignore', sink, 'inherit'],
    });
    await creator.done;
    ours.push(speed(performance.now() - begin));
    closeSync(source);
    closeSync(sink);
    await same('vmci queue');
    for (const [size, speeds] of peers) {
      speeds.push(speed(await socat(input, output, size)));
      await same('socat');
    }
  }
  if (peers.size === 0) record('vmci queue, file to file', 'MiB/s', median(ours));
  for (const [size, speeds] of peers) {
    const name = `socat relay, ${size / 1024} KiB`;
    record('vmci queue, file to file', 'MiB/s', median(ours), median(speeds), name, false);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await work(process.argv.slice(2));
