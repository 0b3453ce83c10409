/** What the suite gives between a VM and its host, where that is not what one machine gives on its own. */
import type { VsockTransport } from '../../src/core/backend/port/vsock.js';
import { expected } from './expected.js';
import { ACROSS_CASES, type Observation } from './suite.js';

type ByTransport = Readonly<Record<VsockTransport, string>>;

/** VMCI has streams alone. */
const NO_SEQPACKET = 'fails: connect ESOCKTNOSUPPORT';
/** A kernel with VMCI counts connections that are being made, and takes none for a backlog of 0. */
const OTHER: Readonly<Record<string, ByTransport>> = {
  'connect: the other type of socket listens': {
    virtio: 'stream to seqpacket ECONNRESET, seqpacket to stream ECONNRESET',
    vmci: 'stream to seqpacket ECONNRESET, seqpacket to stream ESOCKTNOSUPPORT',
  },
  'listen: a listener again': {
    virtio: 'ok, 3 wait, then ECONNRESET',
    vmci: 'ok, 2 wait, then ECONNRESET',
  },
  'listen: backlog 0': {
    virtio: '1 wait, then ECONNRESET',
    vmci: '0 wait, then ECONNRESET',
  },
  'listen: backlog 1': {
    virtio: '2 wait, then ECONNRESET',
    vmci: '1 wait, then ECONNRESET',
  },
  'listen: backlog 3': {
    virtio: '4 wait, then ECONNRESET',
    vmci: '3 wait, then ECONNRESET',
  },
  'listen: a client that left still takes a place': {
    virtio: 'ECONNRESET, accept ok, stream ok',
    vmci: 'fails: connect ECONNRESET',
  },
  // Over VMCI both ends have queues of one size, which the client proposes.
  'accept: what a connection inherits': {
    virtio: 'size 4096, connect time-out 1240',
    vmci: 'size 262144, connect time-out 1240',
  },
};

/** In the order in which they are asked. */
export function expectedAcross(transport: VsockTransport): Observation[] {
  const alone = new Map(expected('linux-6.12').map((each) => [each.name, each.observation]));
  return ACROSS_CASES.map(({ name }) => {
    const seqpacket = transport === 'vmci' && name.startsWith('seqpacket:');
    const same = seqpacket ? NO_SEQPACKET : alone.get(name);
    return { name, observation: OTHER[name]?.[transport] ?? same ?? 'not known' };
  });
}
