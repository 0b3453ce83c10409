/** Who the host is, and which of its nodes answer. */
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

const PROBES: readonly Probe[] = [
  { path: '/dev/vmmctl', ask: async () => ({ version: null, detail: 'creates and destroys VMs' }) },
  { path: '/dev/vsock', ask: askLocalCid },
];

/** Asks each known node of a machine who it is; those that can't be opened are left out. */
export async function probeNodes(machine: Machine): Promise<NodeAnswer[]> {
  const answers = await Promise.all(PROBES.map((probe) => ask(machine, probe)));
  return answers.flatMap((answer) => answer ?? []);
}

async function ask(machine: Machine, probe: Probe): Promise<NodeAnswer | undefined> {
  let node: DeviceNode;
  try {
    node = await machine.open(probe.path);
  } catch {
    return undefined;
  }
  try {
    return { path: probe.path, ...(await probe.ask(node)) };
  } finally {
    await node.close();
  }
}

async function askLocalCid(node: DeviceNode): Promise<Omit<NodeAnswer, 'path'>> {
  const { data } = await node.ioctl(IOCTL_VM_SOCKETS_GET_LOCAL_CID, new Uint8Array(u32.size));
  const cid = u32.read(new DataView(data.buffer, data.byteOffset, data.byteLength), 0);
  return { version: null, detail: `local CID ${cid}` };
}
