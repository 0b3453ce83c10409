/**
 * Runs in a lab: makes connections to itself through the device backend, each with a byte both ways, and
 * prints how many descriptors the process has before and after, as JSON.
 */
import { readdirSync } from 'node:fs';
import { VMADDR_CID_LOCAL } from '../../../src/core/abi/vm-sockets.js';
import { connectBackend } from '../../../src/core/backend/connect.js';
import type { VsockSocket } from '../../../src/core/backend/port/vsock.js';
import type { Machine } from '../../../src/core/backend/port.js';
import { listenVsock } from '../../../src/core/client/vsock.js';

const PORT = 7000;
/** Connections that are open at a time. */
const AT_ONCE = 50;
const count = Number(process.argv[2]);

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Sends a byte and the end, and reads all that the peer sends. */
async function exchange(socket: VsockSocket): Promise<number> {
  const { duplex, ended } = await socket.stream();
  duplex.end('x');
  let received = 0;
  for await (const piece of duplex) received += piece.length;
  await ended;
  return received;
}

async function connectOnce(machine: Machine, listener: VsockSocket): Promise<number> {
  const near = await machine.socket('stream');
  const accepting = listener.accept();
  await near.connect({ cid: VMADDR_CID_LOCAL, port: PORT });
  const received = await Promise.all([exchange(near), exchange(await accepting)]);
  return received.reduce((sum, bytes) => sum + bytes, 0);
}

if (process.env.VMMCTL_LAB !== '1') throw new Error('this program is for labs only');
const backend = await connectBackend('device');
const machine = backend.machine('host');
const listener = await listenVsock(machine, {
  cid: VMADDR_CID_LOCAL,
  port: PORT,
  type: 'stream',
  backlog: AT_ONCE,
});
await connectOnce(machine, listener);
const before = descriptors();
let bytes = 0;
for (let made = 0; made < count; made += AT_ONCE) {
  const wave = Array.from({ length: AT_ONCE }, () => connectOnce(machine, listener));
  for (const received of await Promise.all(wave)) bytes += received;
}
const after = descriptors();
await listener.close();
await backend.close();
console.log(JSON.stringify({ bytes, before, after, closed: descriptors() }));
