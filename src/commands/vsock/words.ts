/** Words that the vsock commands share: ports, types of sockets. */
import { UsageError } from '../../cli/errors.js';
import { SystemError } from '../../core/abi/errno.js';
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from '../../core/abi/virtio-vsock.js';
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from '../../core/abi/vm-sockets.js';
import type { SocketType } from '../../core/backend/port/vsock.js';
import { nameProblem } from '../../core/client/names.js';
import { parsePort } from '../../core/client/vsock.js';
import { type Endpoint, parseEndpoint } from '../../core/relay/endpoint.js';

const CID_FORMS = 'a CID is a number, the name of a VM, host (2) or local (1)';

export const SOCKET_TYPES: readonly SocketType[] = ['stream', 'seqpacket', 'dgram'];

/** @throws UsageError */
export function parseSocketType(text: string): SocketType {
  const type = SOCKET_TYPES.find((candidate) => candidate === text);
  if (type !== undefined) return type;
  throw new UsageError(`'${text}' is not a type of socket`, `there are ${SOCKET_TYPES.join(', ')}`);
}

/** The most that is sent as one message, bytes; undefined where there are no messages. */
export function messageSize(type: SocketType): number | undefined {
  return type === 'stream' ? undefined : VIRTIO_VSOCK_MAX_PKT_BUF_SIZE;
}

/** The CID of a peer: a number, the name of a VM, `host` or `local`. @throws UsageError */
export function peerCid(text: string): string {
  if (text === 'host' || text === 'local') return text;
  const problem = /^\d+$/.test(text) ? numberProblem(text) : nameProblem(text);
  if (problem === undefined) return text;
  throw new UsageError(`'${text}' is not a CID: ${problem}`, CID_FORMS);
}

function numberProblem(text: string): string | undefined {
  return Number(text) < VMADDR_CID_ANY ? undefined : 'the number is too large';
}

/** A port that names one. @throws UsageError */
export function vsockPort(text: string): number {
  const port = text === 'any' ? undefined : parsePort(text);
  if (port !== undefined && port < VMADDR_PORT_ANY) return port;
  throw new UsageError(`'${text}' is not a port`, 'a port is a number from 0 to 4294967294');
}

/** A port to listen on; `any` takes a free one. @throws UsageError */
export function listenPort(text: string): number {
  return text === 'any' ? VMADDR_PORT_ANY : vsockPort(text);
}

/** @throws UsageError */
export function endpoint(text: string): Endpoint {
  try {
    const parsed = parseEndpoint(text);
    if (parsed.kind === 'vsock') peerCid(parsed.cid);
    return parsed;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new UsageError(error.message, error.hint);
  }
}
