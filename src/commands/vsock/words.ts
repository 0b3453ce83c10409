/** Words that the vsock commands share: ports, types of sockets. */
import { UsageError } from '../../cli/errors.js';
import { SystemError } from '../../core/abi/errno.js';
import type { SocketType } from '../../core/backend/port.js';
import { parsePort } from '../../core/client/vsock.js';
import { type Endpoint, parseEndpoint } from '../../core/relay/endpoint.js';

export const SOCKET_TYPES: readonly SocketType[] = ['stream', 'seqpacket', 'dgram'];

/** @throws UsageError */
export function parseSocketType(text: string): SocketType {
  const type = SOCKET_TYPES.find((candidate) => candidate === text);
  if (type !== undefined) return type;
  throw new UsageError(`'${text}' is not a type of socket`, `there are ${SOCKET_TYPES.join(', ')}`);
}

/** A port that names one. @throws UsageError */
export function vsockPort(text: string): number {
  const port = text === 'any' ? undefined : parsePort(text);
  if (port !== undefined && port < 0xffffffff) return port;
  throw new UsageError(`'${text}' is not a port`, 'a port is a number from 0 to 4294967294');
}

/** A port to listen on; `any` takes a free one. @throws UsageError */
export function listenPort(text: string): number {
  return text === 'any' ? 0xffffffff : vsockPort(text);
}

/** @throws UsageError */
export function endpoint(text: string): Endpoint {
  try {
    return parseEndpoint(text);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new UsageError(error.message, error.hint);
  }
}
