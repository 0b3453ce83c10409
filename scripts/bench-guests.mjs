// Requests to a simulated guest's device, and what guests cost that have nothing to do but to beat.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = new URL('..', import.meta.url).pathname;
const library = (path) => import(join(root, 'build/src/core', path));

const REQUESTS = 10_000;
const AT_ONCE = 32;
const VMS = 1000;
const WATCHED_MS = 10_000;
/** Of a clock tick of /proc, milliseconds. */
const TICK_MS = 10;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Calls a second, with so many under way at once. */
async function rate(call, atOnce) {
  const begin = performance.now();
  let left = REQUESTS;
  const worker = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return REQUESTS / ((performance.now() - begin) / 1000);
}

/** Requests to VMMDev through /dev/vboxguest, beside the cheapest call that the simulated host has. */
export async function benchRequests(record, { rounds }) {
  const { connectBackend } = await library('backend/connect.js');
  const { driverVersion, vmmDevRequest } = await library('client/vboxguest.js');
  const { VMMDevReqHostTime } = await library('abi/vmmdev-requests.js');
  const { VMMDEV_REQUEST_TYPE } = await library('abi/vmmdev.js');
  const backend = await connectBackend('sim');
  const guest = backend.machine({ vm: 'web1' });
  const node = await guest.open('/dev/vboxguest');
  const request = new Uint8Array(VMMDevReqHostTime.size);
  const type = VMMDEV_REQUEST_TYPE.VMMDevReq_GetHostTime;
  const calls = {
    'VMMDev requests': () => vmmDevRequest(node, type, request),
    'ioctls that the driver answers': () => driverVersion(node),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const atOnce of [1, AT_ONCE]) {
      const ours = [];
      const peer = [];
      for (let i = 0; i < rounds; i++) {
        peer.push(await rate(() => guest.localCid(), atOnce));
        ours.push(await rate(call, atOnce));
      }
      const what = `${name}, ${atOnce} at once`;
      record(what, '/s', median(ours), median(peer), 'a call that does nothing', false);
    }
  }
  await node.close();
  await backend.close();
}

/** Processor time that the simulated host has used, milliseconds. */
function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** A thousand guests with their agents, beating every two seconds: how much of a core they take. */
export async function benchBeats(record) {
  const { connectBackend } = await library('backend/connect.js');
  const { createVm } = await library('client/vm.js');
  const { destroyVms } = await library('client/vm-destroy.js');
  const { simulatorStatus } = await library('backend/simulator/control.js');
  const backend = await connectBackend('sim');
  const names = Array.from({ length: VMS }, (_, i) => `beat${i}`);
  for (const name of names) {
    await createVm(backend, { name, cpus: 1, memory: 2 ** 29, ephemeral: false });
  }
  const { pid } = await simulatorStatus('default');
  const before = cpuMs(pid);
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));
  const share = (cpuMs(pid) - before) / (performance.now() - begin);
  const silent = (await backend.management.heartbeats()).filter(({ state }) => state !== 'beating');
  if (silent.length > 0) throw new Error(`${silent.length} guests do not beat`);
  record(`${VMS} guests with agents`, '% core', share * 100);
  await destroyVms(backend, names, (name, error) => {
    throw new Error(`${name}: ${error}`);
  });
  await backend.close();
}
