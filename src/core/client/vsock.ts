/** AF_VSOCK for commands: addresses as people write them, connecting with patience, listening, round trips. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import {
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
  VSOCK_DEFAULT_CONNECT_TIMEOUT_MS,
} from '../abi/vm-sockets.js';
import type { CallOptions } from '../backend/port/node.js';
import type { SocketType, VsockAddress, VsockSocket } from '../backend/port/vsock.js';
import type { Backend, Machine } from '../backend/port.js';

/** The pause between two attempts of `retry`, milliseconds. */
const RETRY_PAUSE_MS = 100;

/**
 * The number behind a CID as it is written: a number, a VM's name, `host`, `local` or `any`.
 * @throws SystemError EINVAL for a number that is no CID, ENOENT for a name that no VM has, also where VMs have none.
 */
export async function resolveCid(backend: Backend, text: string): Promise<number> {
  if (/^\d+$/.test(text)) {
    const cid = Number(text);
    if (cid <= VMADDR_CID_ANY) return cid;
    throw new SystemError('EINVAL', { message: `'${text}' is not a CID` });
  }
  if (text === 'host') return VMADDR_CID_HOST;
  if (text === 'local') return VMADDR_CID_LOCAL;
  if (text === 'any') return VMADDR_CID_ANY;
  if (backend.management === undefined) {
    throw new SystemError('ENOENT', {
      message: `'${text}' is not a CID, and the backend '${backend.uri}' has no names of VMs`,
      hint: 'give a number, host or local',
    });
  }
  const { cid } = await backend.management.vm(text);
  if (cid !== null) return cid;
  throw new SystemError('ENODEV', { message: `VM '${text}' has no CID` });
}

/** A port as it is written: a u32, or `any` where one is taken automatically. */
export function parsePort(text: string): number | undefined {
  if (text === 'any') return VMADDR_PORT_ANY;
  return /^\d{1,10}$/.test(text) && Number(text) <= VMADDR_PORT_ANY ? Number(text) : undefined;
}

export interface ConnectRequest {
  /** How the user wrote the CID, for messages. */
  name: string;
  address: VsockAddress;
  type: SocketType;
  localPort?: number | undefined;
  /** SO_VM_SOCKETS_CONNECT_TIMEOUT, milliseconds; the socket's own is 2 s. */
  timeoutMs?: number | undefined;
  /** How long to go on trying, milliseconds. */
  retryMs?: number | undefined;
  /** The caller has a flag for that, which may be hinted at. */
  canRetry?: boolean;
}

/**
 * Connects a socket.
 * @throws SystemError EHOSTUNREACH when no machine has the CID or nothing leads there, ENOBUFS when there is no room for
 *   another connection, EOPNOTSUPP when what leads there has no sockets of the type, ENODEV when nothing carries packets
 *   to any such CID (no transport is loaded, or none for CID 1), ECONNRESET when it refuses, ETIMEDOUT when it is silent or
 *   the time to retry is over; others as the socket gives them.
 */
export async function connectVsock(
  machine: Machine,
  request: ConnectRequest,
  options: CallOptions = {},
): Promise<VsockSocket> {
  const { retryMs, timeoutMs } = request;
  if (retryMs === undefined) {
    return attempt(machine, request, timeoutMs, options).catch(async (error) => {
      throw await describe(machine, error, request);
    });
  }
  const patience = Math.min(retryMs, timeoutMs ?? retryMs);
  const giveUpAt = performance.now() + patience;
  for (;;) {
    const left = Math.ceil(giveUpAt - performance.now());
    try {
      const limit = Math.max(1, Math.min(left, VSOCK_DEFAULT_CONNECT_TIMEOUT_MS));
      return await attempt(machine, request, limit, options);
    } catch (error) {
      if (!isTemporary(error)) throw await describe(machine, error, request);
      if (left <= RETRY_PAUSE_MS) throw outOfPatience(error, request, patience);
      await pause(RETRY_PAUSE_MS, options.signal);
    }
  }
}

async function attempt(
  machine: Machine,
  { address, type, localPort }: ConnectRequest,
  timeoutMs: number | undefined,
  options: CallOptions,
): Promise<VsockSocket> {
  const socket = await machine.socket(type);
  try {
    if (localPort !== undefined) await socket.bind({ cid: VMADDR_CID_ANY, port: localPort });
    if (timeoutMs !== undefined) await socket.setOption('SO_VM_SOCKETS_CONNECT_TIMEOUT', timeoutMs);
    await socket.connect(address, options);
    return socket;
  } catch (error) {
    await socket.close().catch(() => undefined);
    throw error;
  }
}

function isTemporary(error: unknown): boolean {
  const temporary: ErrorCode[] = ['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'ENODEV'];
  return isFromConnect(error) && temporary.includes(error.code);
}

/** Not one of the socket's other calls, nor of the way to the backend. */
function isFromConnect(error: unknown): error is SystemError {
  return error instanceof SystemError && error.syscall === 'connect';
}

interface Meaning {
  readonly code: ErrorCode;
  readonly words: (to: string) => string;
  readonly hint: string;
}

const OVER_VMCI = 'over VMCI a guest reaches its host alone';
const nothingLeads = (to: string) => `nothing leads to ${to} from here`;

/** What the kernel says of connections that VMCI does not carry. */
const MEANINGS: Readonly<Partial<Record<ErrorCode, Meaning>>> = {
  EINVAL: {
    code: 'EHOSTUNREACH',
    words: nothingLeads,
    hint: OVER_VMCI,
  },
  ESOCKTNOSUPPORT: {
    code: 'EOPNOTSUPP',
    words: (to) => `what leads to ${to} has no sockets of this type`,
    hint: 'VMCI has streams and datagrams; leave --type out',
  },
};

function meaningOf(error: SystemError, to: string): SystemError | undefined {
  const meant = MEANINGS[error.code];
  if (meant === undefined) return undefined;
  const { code, words, hint } = meant;
  return new SystemError(code, { message: words(to), hint, cause: error });
}

async function describe(
  machine: Machine,
  error: unknown,
  { name, address, localPort, canRetry }: ConnectRequest,
): Promise<unknown> {
  if (!isFromConnect(error)) return describeBind(error, localPort ?? VMADDR_PORT_ANY);
  const to = `${name}:${address.port}`;
  if (error.code === 'ENODEV') {
    return (
      (await missingTransport(machine, address.cid, error)) ??
      new SystemError('EHOSTUNREACH', {
        message: `no machine has the CID of ${to}`,
        hint: "'vmmctl list' shows the VMs and their CIDs",
        cause: error,
      })
    );
  }
  const meant = meaningOf(error, to);
  if (meant !== undefined) return meant;
  const retry = canRetry ? 'use --retry to wait for the listener' : undefined;
  const words: Partial<Record<ErrorCode, readonly [message: string, hint: string | undefined]>> = {
    // A listener that is full, or has no memory for another connection, gives no other answer.
    ECONNRESET: [`${to} refuses the connection: nothing listens there, or it takes no more`, retry],
    ETIMEDOUT: [`${to} does not answer`, retry],
    EHOSTUNREACH: [nothingLeads(to), OVER_VMCI],
    ENOBUFS: [
      `there is no room for another connection to ${to}`,
      "all queue pairs of a guest together have at most 128 MiB; see 'vmmctl vmci queue list'",
    ],
  };
  const [message, hint] = words[error.code] ?? [];
  return message === undefined
    ? error
    : new SystemError(error.code, { message, hint, cause: error.cause });
}

/** What sending a datagram says: its socket is connected before anybody knows whether something leads there. */
export function describeSend(error: unknown, { name, address, type }: ConnectRequest): unknown {
  if (type !== 'dgram' || !(error instanceof SystemError)) return error;
  return meaningOf(error, `${name}:${address.port}`) ?? error;
}

/** ENODEV also says that the kernel has nothing that carries packets to such a CID. */
async function missingTransport(
  machine: Machine,
  cid: number,
  cause: SystemError,
): Promise<SystemError | undefined> {
  if (cid === VMADDR_CID_LOCAL) {
    return new SystemError('ENODEV', {
      message: 'this machine has no vsock transport for itself (CID 1)',
      hint: "load it with 'modprobe vsock_loopback'",
      cause: cause.cause,
    });
  }
  const own = await machine.localCid().catch(() => VMADDR_CID_ANY);
  if (own !== VMADDR_CID_ANY) return undefined;
  return new SystemError('ENODEV', {
    message: 'this machine has no vsock transport',
    hint: "'vmmctl doctor' says which one to load",
    cause: cause.cause,
  });
}

function outOfPatience(
  cause: unknown,
  { name, address }: ConnectRequest,
  patienceMs: number,
): SystemError {
  const message = `${name}:${address.port} could not be reached in ${patienceMs / 1000} s`;
  return new SystemError('ETIMEDOUT', { message, cause });
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const interrupted = () => {
      clearTimeout(timer);
      reject(new SystemError('EINTR'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', interrupted);
      resolve();
    }, ms);
    signal?.addEventListener('abort', interrupted);
  });
}

export interface ListenRequest {
  /** VMADDR_CID_ANY takes connections for every CID of the machine. */
  cid: number;
  port: number;
  type: SocketType;
  backlog: number;
}

/** A socket that listens. @throws SystemError EADDRINUSE, EADDRNOTAVAIL, EACCES (privileged port). */
export async function listenVsock(
  machine: Machine,
  { cid, port, type, backlog }: ListenRequest,
): Promise<VsockSocket> {
  const socket = await machine.socket(type);
  try {
    await socket.bind({ cid, port });
    if (type !== 'dgram') await socket.listen(backlog);
    return socket;
  } catch (error) {
    await socket.close().catch(() => undefined);
    throw describeBind(error, port);
  }
}

function describeBind(error: unknown, port: number): unknown {
  if (!(error instanceof SystemError) || error.syscall !== 'bind') return error;
  const words: Partial<Record<ErrorCode, [string, string | undefined]>> = {
    EADDRINUSE: [`vsock port ${port} is in use`, "'vmmctl vsock list' shows by which socket"],
    EACCES: [`vsock port ${port} is privileged`, 'ports up to 1023 are for root'],
    EADDRNOTAVAIL: ['this machine has no such CID', undefined],
  };
  const [message, hint] = words[error.code] ?? [];
  return message === undefined
    ? error
    : new SystemError(error.code, { message, hint, cause: error.cause });
}

export interface RoundTrip {
  /** From 1. */
  sequence: number;
  /** What came back. */
  answer: 'open' | 'refused' | 'timeout' | 'unreachable';
  /** Milliseconds until it came. */
  ms: number;
}

/** The time of one handshake: a REQUEST, and what the peer says to it. */
export async function roundTrip(
  machine: Machine,
  request: ConnectRequest,
  sequence: number,
  options: CallOptions = {},
): Promise<RoundTrip> {
  const socket = await machine.socket(request.type);
  try {
    const { timeoutMs } = request;
    if (timeoutMs !== undefined) await socket.setOption('SO_VM_SOCKETS_CONNECT_TIMEOUT', timeoutMs);
    const start = performance.now();
    const answer = await answerOf(socket.connect(request.address, options));
    return { sequence, answer, ms: performance.now() - start };
  } finally {
    await socket.close().catch(() => undefined);
  }
}

async function answerOf(connecting: Promise<void>): Promise<RoundTrip['answer']> {
  try {
    await connecting;
    return 'open';
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === 'ECONNRESET' || error.code === 'ECONNREFUSED') return 'refused';
    if (error.code === 'ETIMEDOUT') return 'timeout';
    if (error.code === 'ENODEV' || error.code === 'EHOSTUNREACH') return 'unreachable';
    throw error;
  }
}
