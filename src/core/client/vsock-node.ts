/** What a machine has of vsock: its CID, the types of sockets, the transports. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { fromBytes, u32 } from '../abi/layout.js';
import { IOCTL_VM_SOCKETS_GET_LOCAL_CID, VMADDR_CID_ANY } from '../abi/vm-sockets.js';
import type { DeviceNode } from '../backend/port/node.js';
import type { SocketType } from '../backend/port/vsock.js';
import type { Machine } from '../backend/port.js';
import { type Answer, listNames, nodeProbe, type Probe, readText } from './probe.js';

/** The kernel's modules that carry packets, and whom one reaches by each. Linux, net/vmw_vsock and drivers/vhost. */
const TRANSPORTS: Readonly<Record<string, string>> = {
  vsock_loopback: 'this machine (CID 1)',
  vhost_vsock: 'its VMs',
  vmw_vsock_virtio_transport: 'its host',
  vmw_vsock_vmci_transport: 'VMware host and VMs',
  hv_sock: 'its Hyper-V host',
};

/** Those that carry none: the list of sockets, and the copy of packets for captures. */
const TOOLS: readonly string[] = ['vsock_diag', 'vsockmon'];

const TYPES: readonly SocketType[] = ['stream', 'seqpacket', 'dgram'];

export const VSOCK_PROBES: readonly Probe[] = [
  nodeProbe('vsock', '/dev/vsock', askLocalCid, { access: 'r' }),
  { system: 'vsock', name: 'AF_VSOCK', ask: askSocketTypes },
  { system: 'vsock', name: 'transports', ask: askTransports },
];

async function askLocalCid(node: DeviceNode): Promise<Answer> {
  const { data } = await node.ioctl(IOCTL_VM_SOCKETS_GET_LOCAL_CID, new Uint8Array(u32.size));
  const cid = fromBytes(u32, data);
  if (cid === VMADDR_CID_ANY) return { detail: 'no transport is loaded', facts: { cid: null } };
  return { detail: `local CID ${cid}`, facts: { cid } };
}

/** Makes a socket of each type, and neither binds nor connects it. @throws what keeps streams from being made. */
async function askSocketTypes(machine: Machine): Promise<Answer> {
  const results: [SocketType, ErrorCode | 'ok'][] = [];
  for (const type of TYPES) results.push([type, await makesSocket(machine, type)]);
  const [first] = results;
  const lacking = results.filter(([, result]) => result !== 'ok');
  if (first !== undefined && first[1] !== 'ok') throw new SystemError(first[1]);
  const made = results.filter(([, result]) => result === 'ok').map(([type]) => type);
  const detail = [
    made.join(', '),
    ...lacking.map(([type, result]) => `no ${type} (${result})`),
  ].join('; ');
  return { detail, facts: Object.fromEntries(results) };
}

async function makesSocket(machine: Machine, type: SocketType): Promise<ErrorCode | 'ok'> {
  try {
    const socket = await machine.socket(type);
    await socket.close();
    return 'ok';
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
}

/** @throws SystemError ENOENT when no transport is known to be loaded. */
async function askTransports(machine: Machine): Promise<Answer> {
  const loaded = await loadedModules(machine);
  const transports = Object.keys(TRANSPORTS).filter((name) => loaded.has(name));
  const tools = TOOLS.filter((name) => loaded.has(name));
  if (transports.length === 0) {
    throw new SystemError('ENOENT', { message: 'no transport is known to be loaded' });
  }
  const detail = transports.map((name) => `${name}: ${TRANSPORTS[name]}`).join('; ');
  return { detail, facts: { transports, tools } };
}

/**
 * Names of the modules of a Linux kernel, those that are built in included as far as it tells of them: it does so of
 * the ones with parameters, and of drivers of a bus.
 */
export async function loadedModules(machine: Machine): Promise<Set<string>> {
  const lists = await Promise.all([
    readText(machine, '/proc/modules'),
    listNames(machine, '/sys/module'),
    listNames(machine, '/sys/bus/virtio/drivers'),
  ]);
  const [modules = '', builtIn, drivers] = lists;
  const loadable = modules.split('\n').map((line) => line.split(' ')[0] ?? '');
  return new Set([...loadable, ...builtIn, ...drivers].filter((name) => name !== ''));
}
