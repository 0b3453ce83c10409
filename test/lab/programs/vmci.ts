/**
 * Puts /dev/vmci, and the kernel's sockets, through the transcripts, and prints the lines as JSON. Its arguments are which
 * one, `calls` or `vsock`, and whose node: a backend, and a VM of it. The sockets are those of the kernel that it runs on.
 */
import { connectBackend } from '../../../src/core/backend/connect.js';
import type { Machine } from '../../../src/core/backend/port.js';
import { portMachine, portProgram } from '../../helpers/vmci-port.js';
import { VmciLab } from '../../helpers/vmci-transcript.js';
import { VMCI_TRANSCRIPT } from '../../helpers/vmci-transcript-pairs.js';
import { Transcript } from '../../helpers/vmci-vsock-transcript.js';
import { kernelSockets } from './vmci-sockets.js';

/** The kernel answers from a thread of its own; after so long it has nothing more to say. */
const QUIET_MS = 400;

async function calls(machine: Machine): Promise<string[]> {
  const lab = new VmciLab(portMachine(machine));
  const lines: string[] = [];
  for (const { run } of VMCI_TRANSCRIPT) lines.push(await run(lab));
  await lab.closeAll();
  return lines;
}

async function vsock(machine: Machine): Promise<{ servers: string[]; extensions: string[] }> {
  const sockets = await kernelSockets();
  const transcript = new Transcript({
    program: () => portProgram(machine, QUIET_MS),
    socket: async (type) => sockets(type),
  });
  await transcript.begin();
  await transcript.servers();
  const servers = transcript.lines.splice(0);
  await transcript.extensions();
  return { servers, extensions: transcript.lines };
}

const [, , what, uri = 'device', vm] = process.argv;
if (uri === 'device' && process.env.VMMCTL_LAB !== '1') throw new Error('this is for labs only');
const backend = await connectBackend(uri);
const machine = backend.machine(vm === undefined ? 'host' : { vm });
const answer = what === 'calls' ? await calls(machine) : await vsock(machine);
await backend.close();
console.log(JSON.stringify(answer));
