/** The ends that bytes can be relayed between, as they are written on a command line. */
import { SystemError } from '../abi/errno.js';
import { VMADDR_PORT_ANY } from '../abi/vm-sockets.js';

export type Endpoint =
  | { kind: 'stdio' }
  | { kind: 'vsock'; cid: string; port: number }
  | { kind: 'vsock-listen'; port: number }
  | { kind: 'unix'; path: string }
  | { kind: 'unix-listen'; path: string }
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'tcp-listen'; host: string; port: number }
  | { kind: 'exec'; command: string }
  | { kind: 'file'; path: string };

const FORMS =
  '-, CID:PORT, vsock-listen:PORT, unix:PATH, unix-listen:PATH, tcp:HOST:PORT, tcp-listen:[ADDR:]PORT, exec:CMD, file:PATH';

const MAX_TCP_PORT = 0xffff;

/** @throws SystemError EINVAL, with the forms there are as its hint. */
export function parseEndpoint(text: string): Endpoint {
  if (text === '-') return { kind: 'stdio' };
  const colon = text.indexOf(':');
  const word = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? '' : text.slice(colon + 1);
  if (colon < 0 || word === '' || rest === '') throw invalid(text);
  switch (word) {
    case 'unix':
    case 'unix-listen':
    case 'file':
      return { kind: word, path: rest };
    case 'exec':
      return { kind: 'exec', command: rest };
    case 'tcp':
      return { kind: 'tcp', ...hostAndPort(text, rest, undefined) };
    case 'tcp-listen':
      return { kind: 'tcp-listen', ...hostAndPort(text, rest, '127.0.0.1') };
    case 'vsock-listen':
      return {
        kind: 'vsock-listen',
        port: rest === 'any' ? VMADDR_PORT_ANY : vsockPort(text, rest),
      };
    case 'vsock':
      return vsock(text, rest);
    default:
      return vsock(text, text);
  }
}

/** As messages name it. */
export function endpointName(endpoint: Endpoint): string {
  switch (endpoint.kind) {
    case 'stdio':
      return 'stdin and stdout';
    case 'vsock':
      return `${endpoint.cid}:${endpoint.port}`;
    case 'vsock-listen':
      return `vsock-listen:${endpoint.port === VMADDR_PORT_ANY ? 'any' : endpoint.port}`;
    case 'tcp':
    case 'tcp-listen':
      return `${endpoint.kind}:${endpoint.host}:${endpoint.port}`;
    case 'exec':
      return `exec:${endpoint.command}`;
    default:
      return `${endpoint.kind}:${endpoint.path}`;
  }
}

/** Whether it waits for others to connect. */
export function isListener(endpoint: Endpoint): boolean {
  return endpoint.kind.endsWith('-listen');
}

function vsock(text: string, address: string): Endpoint {
  const colon = address.lastIndexOf(':');
  if (colon <= 0) throw invalid(text);
  const cid = address.slice(0, colon);
  if (cid.includes(':')) throw invalid(text);
  return { kind: 'vsock', cid, port: vsockPort(text, address.slice(colon + 1)) };
}

function hostAndPort(text: string, address: string, defaultHost: string | undefined) {
  const colon = address.lastIndexOf(':');
  const given = colon < 0 ? defaultHost : address.slice(0, colon);
  const host = given?.replace(/^\[(.*)\]$/, '$1');
  if (host === undefined || host === '') throw invalid(text);
  return { host, port: portNumber(text, address.slice(colon + 1), MAX_TCP_PORT) };
}

function vsockPort(text: string, port: string): number {
  return portNumber(text, port, VMADDR_PORT_ANY - 1);
}

function portNumber(text: string, port: string, max: number): number {
  if (/^\d{1,10}$/.test(port) && Number(port) <= max) return Number(port);
  throw new SystemError('EINVAL', {
    message: `'${port}' in '${text}' is not a port`,
    hint: `a port is a number from 0 to ${max}`,
  });
}

function invalid(text: string): SystemError {
  return new SystemError('EINVAL', {
    message: `'${text}' is not an endpoint`,
    hint: `an endpoint is one of ${FORMS}`,
  });
}
