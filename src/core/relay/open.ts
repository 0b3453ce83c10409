/** Opens the ends of a relay: connects, or waits for others to connect. */
import { spawn } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket as NetSocket, type Server } from 'node:net';
import { dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type ErrorCode, isErrorCode, SystemError } from '../abi/errno.js';
import { sunPathSize } from '../abi/sun-path.js';
import { VMADDR_CID_ANY } from '../abi/vm-sockets.js';
import type { Backend, Machine } from '../backend/port.js';
import { connectVsock, listenVsock, resolveCid } from '../client/vsock.js';
import { childEnd, type End, fileEnd, stdioEnd, streamEnd, vsockEnd } from './end.js';
import { type Endpoint, endpointName } from './endpoint.js';

export interface Surroundings {
  signal: AbortSignal;
  /** Connects to the backend at the first need. */
  backend(): Promise<Backend>;
  machine(): Promise<Machine>;
  stdin: () => Readable;
  /** Told when a listener is ready, with its name. */
  onListen(name: string): void;
  /** Bounds each connecting, milliseconds. */
  timeoutMs: number | undefined;
}

/** Gives one end after the other: a listener one a connection, everything else one each time it is asked. */
export interface Opener {
  /** Whether the next end comes when somebody connects. */
  readonly listens: boolean;
  next(): Promise<End>;
  close(): Promise<void>;
}

/** @param role `first` reads a file, `second` writes it. */
export async function makeOpener(
  endpoint: Endpoint,
  role: 'first' | 'second',
  around: Surroundings,
): Promise<Opener> {
  switch (endpoint.kind) {
    case 'vsock-listen':
      return vsockListener(endpoint.port, around);
    case 'unix-listen':
      return netListener({ path: socketPath(endpoint.path) }, endpointName(endpoint), around);
    case 'tcp-listen':
      return netListener(
        { host: endpoint.host, port: endpoint.port },
        endpointName(endpoint),
        around,
      );
    default:
      return {
        listens: false,
        next: () => openOnce(endpoint, role, around),
        close: async () => undefined,
      };
  }
}

async function openOnce(
  endpoint: Exclude<Endpoint, { kind: `${string}-listen` }>,
  role: 'first' | 'second',
  around: Surroundings,
): Promise<End> {
  switch (endpoint.kind) {
    case 'stdio':
      return stdioEnd(around.stdin);
    case 'file':
      return fileEnd(endpoint.path, role === 'first' ? 'read' : 'write');
    case 'exec':
      return execEnd(endpoint.command, around.signal);
    case 'unix':
      return netEnd({ path: socketPath(endpoint.path) }, endpointName(endpoint), around);
    case 'tcp':
      return netEnd({ host: endpoint.host, port: endpoint.port }, endpointName(endpoint), around);
    case 'vsock':
      return dialVsock(endpoint, around);
    default:
      throw new SystemError('EINVAL');
  }
}

async function dialVsock(
  { cid, port }: { cid: string; port: number },
  around: Surroundings,
): Promise<End> {
  const backend = await around.backend();
  const address = { cid: await resolveCid(backend, cid), port };
  const request = { name: cid, address, type: 'stream' as const, timeoutMs: around.timeoutMs };
  const socket = await connectVsock(await around.machine(), request, { signal: around.signal });
  return vsockEnd(socket);
}

async function vsockListener(port: number, around: Surroundings): Promise<Opener> {
  const listener = await listenVsock(await around.machine(), {
    cid: VMADDR_CID_ANY,
    port,
    type: 'stream',
    backlog: 128,
  });
  const local = await listener.localAddress();
  around.onListen(`vsock port ${local.port}`);
  return {
    listens: true,
    next: async () => vsockEnd(await listener.accept({ signal: around.signal })),
    close: () => listener.close(),
  };
}

/** From the root on, or as it is where only that has room. @throws SystemError ENAMETOOLONG; the system would cut it. */
function socketPath(path: string): string {
  const most = sunPathSize(process.platform) - 1;
  const fitting = [resolve(path), path].find((each) => Buffer.byteLength(each) <= most);
  if (fitting !== undefined) return fitting;
  throw new SystemError('ENAMETOOLONG', {
    message: `the path of a socket has at most ${most} bytes`,
    path,
    hint: 'change into its directory, or use a symbolic link to it',
  });
}

type Place = { path: string } | { host: string; port: number };

function netEnd(place: Place, name: string, { signal, timeoutMs }: Surroundings): Promise<End> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...place, allowHalfOpen: true });
    const settle = (action: () => void) => {
      signal.removeEventListener('abort', interrupted);
      socket.setTimeout(0);
      socket.removeAllListeners();
      action();
    };
    const failed = (error: unknown) => {
      settle(() => {
        socket.destroy();
        reject(error);
      });
    };
    const interrupted = () => failed(new SystemError('EINTR'));
    signal.addEventListener('abort', interrupted);
    if (timeoutMs !== undefined) socket.setTimeout(timeoutMs);
    socket.once('timeout', () => {
      failed(new SystemError('ETIMEDOUT', { message: `${name} does not answer` }));
    });
    socket.once('error', (error) => failed(named(error, name)));
    socket.once('connect', () => {
      // Those who type must not wait for a whole segment.
      socket.setNoDelay(true);
      settle(() => resolve(streamEnd(socket)));
    });
  });
}

/** The same error, in words that name the endpoint. */
function named(error: NodeJS.ErrnoException, name: string): Error {
  if (!isErrorCode(error.code)) return error;
  const words: Partial<Record<ErrorCode, string>> = {
    ENOENT: `${name} does not exist`,
    ECONNREFUSED: `${name} refuses the connection: nothing listens there`,
    EADDRINUSE: `${name} is in use`,
  };
  return new SystemError(error.code, {
    message: words[error.code] ?? `${name}: ${error.message}`,
  });
}

async function netListener(place: Place, name: string, around: Surroundings): Promise<Opener> {
  const arrived: NetSocket[] = [];
  let wake: () => void = () => undefined;
  const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true };
  const server = createServer(options, (socket) => {
    arrived.push(socket);
    wake();
  });
  if ('path' in place) await removeStale(place.path);
  await listening(server, place, name);
  around.onListen('port' in place ? `tcp ${place.host} port ${boundPort(server)}` : name);
  const { signal } = around;
  signal.addEventListener('abort', () => wake(), { once: true });
  return {
    listens: true,
    async next() {
      for (;;) {
        const socket = arrived.shift();
        if (socket !== undefined) return streamEnd(socket);
        if (signal.aborted) throw new SystemError('EINTR');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async close() {
      server.close();
      for (const socket of arrived.splice(0)) socket.destroy();
    },
  };
}

function listening(server: Server, place: Place, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      // Node says EACCES of a directory that is not there, too.
      const isLost = 'path' in place && error.code === 'EACCES' && !existsSync(dirname(place.path));
      const message = `${name}: there is no such directory`;
      reject(isLost ? new SystemError('ENOENT', { message }) : named(error, name));
    });
    server.listen(place, () => {
      server.removeAllListeners('error');
      server.on('error', () => undefined);
      resolve();
    });
  });
}

function boundPort(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A socket that a process left behind keeps others from listening there; one that is in use stays. */
async function removeStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  if (isBound(path)) return;
  await new Promise<void>((done) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      done();
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
      done();
    });
  });
}

/**
 * Whether a process has this path as its socket's, where the system tells (Linux, within one network namespace).
 * To connect tells as well, but takes the place of the one connection that a listener may be waiting for.
 */
function isBound(path: string): boolean {
  let table: string;
  try {
    table = readFileSync('/proc/net/unix', 'utf8');
  } catch {
    return false;
  }
  const lines = table.split('\n').map((line) => line.trimEnd());
  return [path, resolve(path)].some((each) => lines.some((line) => line.endsWith(` ${each}`)));
}

/** A command by the shell. */
function execEnd(command: string, signal: AbortSignal): End {
  return childEnd(spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] }), signal);
}
