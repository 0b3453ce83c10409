// `npm run bench [-- --size 256M --rounds 5 --only start,stream,round,queue,vms,connections,requests,beats,exits,uml,guest]`: measures vmmctl side by side
// with its peers, in one run. Prints a table of ratios and writes bench-results.json. Nothing here passes or fails.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchExits } from './bench-exits.mjs';
import { benchBeats, benchRequests } from './bench-guests.mjs';
import { benchQueuePair } from './bench-queue-pair.mjs';
import { benchRealGuest } from './bench-real-guest.mjs';
import { benchUml, hasUml } from './bench-uml.mjs';

const root = new URL('..', import.meta.url).pathname;
process.chdir(root);

const { values: given } = parseArgs({
  options: {
    size: { type: 'string', default: '1G' },
    rounds: { type: 'string', default: '5' },
    only: {
      type: 'string',
      default: `start,stream,round,queue,vms,connections,requests,beats,exits${hasUml() ? ',uml,guest' : ''}`,
    },
  },
});
const SIZE =
  Number.parseInt(given.size, 10) * { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[given.size.slice(-1)];
const ROUNDS = Number(given.rounds);
const MANY = 1000;

// Files on tmpfs, so that no disk is measured; sockets need short paths.
const home = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vmmctl-bench-'));
const { NODE_EXTRA_CA_CERTS: _slow, ...inherited } = process.env;
const env = { ...inherited, XDG_RUNTIME_DIR: home, XDG_STATE_HOME: join(home, 'state') };
Object.assign(process.env, env);
delete process.env.NODE_EXTRA_CA_CERTS;

const VMMCTL = [process.execPath, join(root, 'bin/vmmctl.cjs')];
const hasSocat = spawnSync('socat', ['-V']).status === 0;
const results = { machine: machine(), measures: [] };

function machine() {
  return { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, memory: totalmem() };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Records a measure; with a peer's value the ratio is told, in the direction in which smaller is better. */
function record(name, unit, ours, peer, peerName, smallerIsBetter = true) {
  const ratio = peer === undefined ? undefined : smallerIsBetter ? ours / peer : peer / ours;
  results.measures.push({ name, unit, ours, peer, peerName, ratio });
  const text = (value) => (value === undefined ? '-' : value.toFixed(value < 10 ? 3 : 1));
  const beside = peer === undefined ? '' : `${text(peer)} ${unit} (${peerName})`;
  console.log(
    `${name.padEnd(36)} ${`${text(ours)} ${unit}`.padStart(14)}  ${beside.padEnd(34)} ${ratio === undefined ? '' : `ratio ${ratio.toFixed(2)}`}`,
  );
}

function start(command, { stdio = ['ignore', 'ignore', 'ignore'] } = {}) {
  const [program, ...args] = command;
  const child = spawn(program, args, { env, stdio });
  child.done = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  return child;
}

async function run(command, options) {
  const child = start(command, options);
  const code = await child.done;
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`);
}

/** Waits for a text on a process's stderr. */
function says(child, text) {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
      if (said.includes(text)) resolve();
    });
    child.once('exit', () => reject(new Error(`ended without saying '${text}': ${said}`)));
  });
}

async function timed(work) {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

async function benchStart() {
  const ours = [];
  const peer = [];
  await run([...VMMCTL, 'list', '--json']);
  for (let i = 0; i < ROUNDS * 4; i++) {
    peer.push(await timed(() => run([process.execPath, '-e', '0'])));
    ours.push(await timed(() => run([...VMMCTL, 'list', '--json'])));
  }
  record('start: list --json', 'ms', median(ours), median(peer), 'node -e 0');
}

function makeInput(path) {
  const fd = openSync(path, 'w');
  const block = Buffer.alloc(2 ** 20);
  for (let left = SIZE; left > 0; left -= block.length) {
    randomFillSync(block);
    writeSync(fd, block, 0, Math.min(left, block.length));
  }
  closeSync(fd);
}

async function digest(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk);
  return hash.digest('hex');
}

const peakKiB = (pid) =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

async function ourStream(input, output) {
  const out = openSync(output, 'w');
  const listener = start([...VMMCTL, 'vsock', 'listen', '5000'], {
    stdio: ['ignore', out, 'pipe'],
  });
  await says(listener, 'listening');
  const source = openSync(input, 'r');
  const ms = await timed(async () => {
    await run([...VMMCTL, '--in', 'web1', 'vsock', 'connect', 'host', '5000'], {
      stdio: [source, 'ignore', 'inherit'],
    });
    await listener.done;
  });
  closeSync(out);
  closeSync(source);
  return ms;
}

async function socatStream(input, output, buffer) {
  const [a, b] = ['a', 'b'].map((name) => join(home, `${name}.sock`));
  const size = ['-b', String(buffer)];
  const sink = start(['socat', '-u', ...size, `UNIX-LISTEN:${b}`, `OPEN:${output},creat,trunc`]);
  await exists(b);
  const relay = start(['socat', '-u', ...size, `UNIX-LISTEN:${a}`, `UNIX-CONNECT:${b}`]);
  await exists(a);
  return timed(async () => {
    await run(['socat', '-u', ...size, `OPEN:${input}`, `UNIX-CONNECT:${a}`]);
    await relay.done;
    await sink.done;
  });
}

async function exists(path) {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function benchStream() {
  const input = join(home, 'input');
  const output = join(home, 'output');
  makeInput(input);
  const sum = await digest(input);
  const check = async (who) => {
    if ((await digest(output)) !== sum) throw new Error(`${who} changed the bytes`);
    rmSync(output);
  };
  const buffers = hasSocat ? [8192, 65536, 1048576] : [];
  const times = { ours: [], ...Object.fromEntries(buffers.map((size) => [size, []])) };
  for (let i = 0; i < ROUNDS; i++) {
    times.ours.push(await ourStream(input, output));
    await check('vmmctl');
    for (const size of buffers) {
      times[size].push(await socatStream(input, output, size));
      await check('socat');
    }
  }
  const rate = (ms) => SIZE / 2 ** 20 / (ms / 1000);
  const ours = rate(median(times.ours));
  if (!hasSocat) record('stream, file to file', 'MiB/s', ours);
  for (const size of buffers) {
    const name = `socat relay, ${size / 1024} KiB`;
    record('stream, file to file', 'MiB/s', ours, rate(median(times[size])), name, false);
  }
  rmSync(input);
}

/** Round trips of 64 bytes through a chain that ends in cat. */
async function pingPong(child, count) {
  const message = Buffer.alloc(64, 'x');
  let got = 0;
  let next;
  child.stdout.on('data', (chunk) => {
    got += chunk.length;
    if (got < message.length) return;
    got -= message.length;
    next();
  });
  const trip = () =>
    new Promise((resolve) => {
      next = resolve;
      child.stdin.write(message);
    });
  for (let i = 0; i < count / 10; i++) await trip();
  const ms = await timed(async () => {
    for (let i = 0; i < count; i++) await trip();
  });
  child.stdin.end();
  await child.done;
  return (ms * 1000) / count;
}

async function benchRound() {
  const pipes = { stdio: ['pipe', 'pipe', 'ignore'] };
  const ours = [];
  const peer = [];
  const [a, b] = ['ra', 'rb'].map((name) => join(home, `${name}.sock`));
  const listener = start(
    [...VMMCTL, '--in', 'web1', 'vsock', 'listen', '7', '-k', '--exec', 'exec cat'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  await says(listener, 'listening');
  const servers = [listener];
  if (hasSocat) {
    servers.push(start(['socat', `UNIX-LISTEN:${b},fork`, 'EXEC:cat']));
    await exists(b);
    servers.push(start(['socat', `UNIX-LISTEN:${a},fork`, `UNIX-CONNECT:${b}`]));
    await exists(a);
  }
  for (let i = 0; i < ROUNDS; i++) {
    ours.push(await pingPong(start([...VMMCTL, 'vsock', 'connect', 'web1', '7'], pipes), 2000));
    if (hasSocat)
      peer.push(await pingPong(start(['socat', '-', `UNIX-CONNECT:${a}`], pipes), 2000));
  }
  for (const server of servers) server.kill();
  record(
    'round trip, 64 bytes',
    'us',
    median(ours),
    hasSocat ? median(peer) : undefined,
    'socat relay',
  );
}

const library = (path) => import(join(root, 'build/src/core', path));

async function benchVms() {
  const { connectBackend } = await library('backend/connect.js');
  const { createVm, listVms } = await library('client/vm.js');
  const { destroyVms } = await library('client/vm-destroy.js');
  const backend = await connectBackend('sim');
  const names = Array.from({ length: MANY }, (_, i) => `bench${i}`);
  const created = await timed(async () => {
    for (const name of names) {
      await createVm(backend, { name, cpus: 1, memory: 2 ** 29, ephemeral: false });
    }
  });
  record(`create ${MANY} VMs, one connection`, 'ms', created);
  record('list them, one connection', 'ms', await timed(() => listVms(backend)));
  record(
    'list them, vmmctl list --json',
    'ms',
    await timed(() => run([...VMMCTL, 'list', '--json'])),
  );
  const destroyed = await timed(async () => {
    await destroyVms(backend, names, (name, error) => {
      throw new Error(`${name}: ${error}`);
    });
  });
  record(`destroy ${MANY} VMs, one connection`, 'ms', destroyed);
  await backend.close();
  const one = await timed(() => run([...VMMCTL, 'create', 'one']));
  record('vmmctl create, one VM', 'ms', one);
  await run([...VMMCTL, 'destroy', 'one']);
}

async function benchConnections() {
  const { connectBackend } = await library('backend/connect.js');
  const { simulatorStatus } = await library('backend/simulator/control.js');
  const backend = await connectBackend('sim');
  const guest = backend.machine({ vm: 'web1' });
  const listener = await guest.socket('stream');
  await listener.bind({ cid: 0xffffffff, port: 9000 });
  await listener.listen(MANY);
  const { cid } = await backend.management.vm('web1');
  const { pid } = await simulatorStatus('default');
  const before = peakKiB(pid);
  const streams = [];
  const ms = await timed(async () => {
    for (let i = 0; i < MANY; i++) {
      const socket = await backend.machine('host').socket('stream');
      await socket.connect({ cid, port: 9000 });
      const accepted = await listener.accept();
      streams.push(await socket.stream(), await accepted.stream());
    }
  });
  record(`open ${MANY} connections`, 'ms', ms);
  record('daemon memory, peak', 'MiB', peakKiB(pid) / 1024);
  record('of it by the connections', 'MiB', (peakKiB(pid) - before) / 1024);
  for (const { duplex, ended } of streams) {
    ended.catch(() => undefined);
    duplex.on('error', () => undefined);
    duplex.destroy();
  }
  await backend.close();
}

function queueTools() {
  return {
    start,
    run,
    says,
    vmmctl: VMMCTL,
    socat: hasSocat ? socatStream : undefined,
    /** A file of random bytes, and its digest. */
    async makeInput(path) {
      makeInput(path);
      return digest(path);
    },
    check: (sum, output) => async (who) => {
      if ((await digest(output)) !== (await sum)) throw new Error(`${who} changed the bytes`);
      rmSync(output);
    },
  };
}

const benches = {
  start: benchStart,
  stream: benchStream,
  round: benchRound,
  vms: benchVms,
  connections: benchConnections,
  requests: () => benchRequests(record, { rounds: ROUNDS }),
  beats: () => benchBeats(record),
  exits: () => benchExits(record, { rounds: ROUNDS }),
  guest: () =>
    benchRealGuest(record, { mebibytes: SIZE / 2 ** 20, rounds: ROUNDS, vmmctl: VMMCTL, home }),
  queue: () => benchQueuePair(record, { bytes: SIZE, rounds: ROUNDS, home, tools: queueTools() }),
  uml: () => benchUml(record, { mebibytes: SIZE / 2 ** 20, rounds: ROUNDS }),
};

spawnSync(process.execPath, ['scripts/build.mjs', '--tests'], { stdio: 'inherit' });
if (!hasSocat) console.log('socat is not installed: no peer for streams and round trips');
console.log(
  `${results.machine.cpu}, ${results.machine.cores} cores, Node ${results.machine.node}, ${given.size} a stream, median of ${ROUNDS}`,
);
try {
  await run([...VMMCTL, 'create', 'web1']);
  for (const name of given.only.split(',')) await benches[name]();
  writeFileSync('bench-results.json', `${JSON.stringify(results, null, 2)}\n`);
  console.log('written to bench-results.json; a ratio below 1 is in favour of vmmctl');
} finally {
  spawnSync(VMMCTL[0], [VMMCTL[1], 'sim', 'stop'], { env });
  rmSync(home, { recursive: true, force: true });
}
process.exit();
