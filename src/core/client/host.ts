/** Who the host is, and which of its nodes answer. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { u32 } from '../abi/layout.js';
import { IOCTL_VM_SOCKETS_GET_LOCAL_CID } from '../abi/vm-sockets.js';
import type { DeviceNode, Machine } from '../backend/port.js';

export interface NodeAnswer {
  path: string;
  /** The version of its interface, where it has an ioctl that tells. */
  version: string | null;
  /** What else it said. */
  detail: string | null;
}

interface Probe {
  path: string;
  ask(node: DeviceNode): Promise<Omit<NodeAnswer, 'path'>>;
}

/** What a node says that isn't there, isn't for this caller, or is something else. */
const NO_ANSWER: readonly ErrorCode[] = ['ENOENT', 'ENXIO', 'ENODEV', 'ENOTTY', 'EACCES', 'EPERM'];

const PROBES: readonly Probe[] = [
  { path: '/dev/vmmctl', ask: async () => ({ version: null, detail: 'creates and destroys VMs' }) },
  { path: '/dev/vsock', ask: askLocalCid },
];

/** Asks each known node of a machine who it is; those that don't answer are left out. */
export async function probeNodes(machine: Machine): Promise<NodeAnswer[]> {
  const answers = await Promise.all(PROBES.map((probe) => ask(machine, probe)));
  return answers.flatMap((answer) => answer ?? []);
}

async function ask(machine: Machine, probe: Probe): Promise<NodeAnswer | undefined> {
  try {
    const node = await machine.open(probe.path);
    try {
      return { path: probe.path, ...(await probe.ask(node)) };
    } finally {
      await node.close();
    }
  } catch (error) {
    if (error instanceof SystemError && NO_ANSWER.includes(error.code)) return undefined;
    throw error;
  }
}

async function askLocalCid(node: DeviceNode): Promise<Omit<NodeAnswer, 'path'>> {
  const { data } = await node.ioctl(IOCTL_VM_SOCKETS_GET_LOCAL_CID, new Uint8Array(u32.size));
  const cid = u32.read(new DataView(data.buffer, data.byteOffset, data.byteLength), 0);
  return { version: null, detail: `local CID ${cid}` };
}
