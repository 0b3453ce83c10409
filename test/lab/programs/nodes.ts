/** Runs in a lab: drives the nodes of the kernel through the clients, and prints what they answered, as JSON. */
import { VHOST_VSOCK_SET_RUNNING } from '../../../src/core/abi/vhost.js';
import { connectBackend } from '../../../src/core/backend/connect.js';
import type { Machine } from '../../../src/core/backend/port.js';
import { guestBalloon } from '../../../src/core/client/balloon.js';
import { VhostVsock } from '../../../src/core/client/vhost-vsock.js';
import { openContext } from '../../../src/core/client/vmci.js';

const CIDS = [0n, 1n, 2n, 0xffffffffn, 1n << 32n, 42n, 42n, 43n];

/** `ok`, or the name of the error. */
async function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'ok',
    (error) => String(error.code),
  );
}

async function vhost(machine: Machine) {
  const first = await VhostVsock.open(machine);
  const claims: string[] = [];
  for (const cid of CIDS) claims.push(await outcome(first.setGuestCid(cid)));
  const second = await VhostVsock.open(machine);
  const taken = await outcome(second.setGuestCid(43n));
  const freed = await outcome(second.setGuestCid(42n));
  const running = await outcome(first.setRunning(true));
  const node = await machine.open('/dev/vhost-vsock');
  const withoutOwner = await outcome(node.ioctl(VHOST_VSOCK_SET_RUNNING, new Uint8Array(4)));
  await Promise.all([first.close(), second.close(), node.close()]);
  return { claims, taken, freed, running, withoutOwner };
}

async function vmci(machine: Machine) {
  const contexts = [await openContext(machine), await openContext(machine)];
  const ids = contexts.map(({ contextId }) => contextId);
  for (const { node } of contexts) await node.close();
  return { ids };
}

if (process.env.VMMCTL_LAB !== '1') throw new Error('this program is for labs only');
const backend = await connectBackend('device');
const machine = backend.machine('host');
const answers = {
  vhost: await vhost(machine),
  vmci: await vmci(machine),
  balloon: await guestBalloon(machine),
};
await backend.close();
console.log(JSON.stringify(answers));
