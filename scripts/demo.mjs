// `npm run demo`: the main job of vmmctl, with real commands and their real output. It uses a simulated host of its
// own in a temporary directory, and leaves nothing behind.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import chalk from 'chalk';

const VMMCTL = fileURLToPath(new URL('../bin/vmmctl.cjs', import.meta.url));
const FILE_BYTES = 8 * 1024 * 1024;
/** How long a command may take, milliseconds. */
const PATIENCE_MS = 20_000;

const place = mkdtempSync(join(tmpdir(), 'vmmctl-demo-'));
const env = demoEnvironment();
/** Commands that run in the background. */
const background = new Set();
let outputs = 0;
let cleaning;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    cleanUp().finally(() =>
      process.exit(signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 129),
    );
  });
}

try {
  if (!existsSync(new URL('../dist/main.cjs', import.meta.url)))
    throw new Error('run `npm run build` first');
  await demo();
  await cleanUp();
} catch (error) {
  if (!cleaning) {
    console.error(chalk.red(`the demo failed: ${error.message}`));
    await cleanUp();
    process.exitCode = 1;
  }
}

async function demo() {
  say('vmmctl creates virtual machines and talks to them over vsock. This demo uses');
  say('its simulated host: no root, no hypervisor, nothing installed.');

  title('Two virtual machines');
  await run('vmmctl create web1 --cpus 2 --memory 1G --label tier=web');
  await run('vmmctl create db1');
  await run('vmmctl list');

  title('A file from a guest to its host');
  say(
    `A listener on the host, and ${FILE_BYTES / 2 ** 20} MiB of random bytes in the guest of web1.`,
  );
  writeFileSync(join(place, 'file'), randomBytes(FILE_BYTES));
  const receiver = await start('vmmctl vsock listen 5000 > copy', /listening/);
  await run('vmmctl --in web1 vsock connect host 5000 < file');
  await receiver.done;
  const [sent, received] = ['file', 'copy'].map((name) => sha256(join(place, name)));
  say(`SHA-256 of file  ${sent.slice(0, 32)}...`);
  say(
    `SHA-256 of copy  ${received.slice(0, 32)}...  ${sent === received ? 'the same' : 'DIFFERENT'}`,
  );
  if (sent !== received) throw new Error('the copy differs from the file');

  title('A slow reader stops its writer');
  say('A guest reads nothing, so the host may send no more than it has room for.');
  const reader = await start(
    "vmmctl --in db1 vsock listen 6000 --exec 'exec sleep 60'",
    /listening/,
  );
  const writer = await start('vmmctl vsock connect db1 6000 < file');
  await until(async () =>
    /established .* 0 +\S+:\d+ +\d+:6000/.test((await quietly('vmmctl vsock list')).out),
  );
  await run('vmmctl vsock list');
  say('CREDIT is 0: the writer waits until the reader has taken something.');
  await writer.end();
  await reader.end();

  title('A service in a guest');
  const echo = await start(
    'vmmctl --in web1 vsock listen 7000 --keep-open --exec cat',
    /listening/,
  );
  await run('echo hello, guest | vmmctl vsock cat web1:7000');
  await run('vmmctl vsock ping web1 7000 --count 3 --interval 50ms');
  await echo.end();

  title('What does not work, and how scripts see it');
  await run('vmmctl vsock connect web1 7000', { status: 6 });
  say('Guests do not reach each other by default, as on Linux:');
  await run('vmmctl --in web1 vsock connect db1 7000 --timeout 300ms', { status: 6 });
  await run('vmmctl create web1', { status: 4 });

  title('The end');
  await run('vmmctl destroy web1 db1');
  await run('vmmctl list --json');
  say('');
  say('Everything was as it should be. What to try next:');
  for (const line of [
    'npx vmmctl create web1               a VM that stays until it is destroyed',
    'npx vmmctl vsock cat --help          endpoints: vsock, Unix sockets, TCP, programs',
    'npx vmmctl inspect web1              its Unix socket, for socat and others',
    'npx vmmctl sim status                the simulated host itself',
    'man ./man/vmmctl.1                   the manual',
  ]) {
    console.log(`  ${line}`);
  }
}

/** An own runtime and state directory; no setting of the user's has a say. */
function demoEnvironment() {
  const directories = { XDG_RUNTIME_DIR: 'r', XDG_STATE_HOME: 's', XDG_CONFIG_HOME: 'c' };
  const own = { ...process.env };
  for (const name of Object.keys(own))
    if (/^(VMMCTL_|DEBUG$|NODE_EXTRA_CA_CERTS$)/.test(name)) delete own[name];
  for (const [name, directory] of Object.entries(directories)) {
    own[name] = join(place, directory);
    mkdirSync(own[name], { mode: 0o700 });
  }
  return own;
}

function say(text) {
  console.log(text);
}

function title(text) {
  console.log(`\n${chalk.bold(text)}`);
}

/** Runs a command line in the foreground, with what it prints; fails when its status is another one. */
async function run(line, { status: expected = 0 } = {}) {
  console.log(chalk.cyan(`$ ${line}`));
  const { status, out, err } = await shell(line).done;
  process.stdout.write(out);
  process.stdout.write(chalk.yellow(err));
  if (expected !== 0) say(`exit status ${status}`);
  if (status !== expected) throw new Error(`'${line}' ended with ${status} and not ${expected}`);
}

async function quietly(line) {
  return shell(line).done;
}

/** Starts a command line in the background, and waits until it says that it is ready. */
async function start(line, ready) {
  console.log(chalk.cyan(`$ ${line} &`));
  const job = shell(line);
  if (!ready) return job;
  await until(async () => {
    if (job.ended) throw new Error(`'${line}' ended: ${job.err}`);
    return ready.test(job.err);
  });
  process.stdout.write(chalk.yellow(job.err));
  return job;
}

/** A shell with a process group of its own, so that all of it can be ended. Its output goes to a file. */
function shell(line) {
  const program = `vmmctl() { "$NODE" "$VMMCTL" "$@"; }; ${line}`;
  const path = join(place, `output-${outputs++}`);
  const output = openSync(path, 'w');
  const child = spawn('/bin/sh', ['-c', program], {
    cwd: place,
    env: { ...env, NODE: process.execPath, VMMCTL },
    stdio: ['ignore', output, 'pipe'],
    detached: true,
  });
  closeSync(output);
  const job = { err: '', ended: false };
  child.stderr.on('data', (chunk) => {
    job.err += chunk;
  });
  const late = setTimeout(() => kill(child), PATIENCE_MS);
  job.done = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      clearTimeout(late);
      background.delete(job);
      job.ended = true;
      resolve({ status, out: readFileSync(path, 'utf8'), err: job.err });
    });
  });
  job.end = () => {
    kill(child);
    return job.done;
  };
  background.add(job);
  return job;
}

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch {
    // It has ended.
  }
}

async function until(happened) {
  const giveUpAt = performance.now() + PATIENCE_MS;
  while (!(await happened())) {
    if (performance.now() > giveUpAt) throw new Error('nothing happens');
    await delay(10);
  }
}

function sha256(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Once: ends all commands, then the simulated host, then removes the directory. */
function cleanUp() {
  cleaning ??= (async () => {
    await Promise.all([...background].map((job) => job.end()));
    await quietly('vmmctl sim stop');
    rmSync(place, { recursive: true, force: true });
  })();
  return cleaning;
}
