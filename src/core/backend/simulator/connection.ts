/** A control connection to the daemon of a simulated host: calls, their answers, and events. */
import { connect, type Socket as NetSocket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { SystemError } from '../../abi/errno.js';
import { checkSocket, type HostPaths } from '../../daemon/paths.js';
import {
  encodeFrame,
  errorFromWire,
  type Frame,
  FrameReader,
  helloLine,
  MAX_HELLO,
  PROTOCOL,
  parseHello,
  parseObject,
} from '../../daemon/wire.js';

export interface Answer {
  readonly values: Readonly<Record<string, unknown>>;
  readonly binary: Uint8Array;
}

export type EventListener = (parameters: Readonly<Record<string, unknown>>) => void;

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/** Who the daemon is, as its first line says. */
export interface DaemonIdentity {
  version: string | undefined;
  pid: number | undefined;
}

/** How long a daemon may take to say its first line, milliseconds. */
const GREETING_TIMEOUT_MS = 20_000;
/** How often, and after how long, to come again when too many wait to be let in. */
const DIAL_ATTEMPTS = 100;
const DIAL_PAUSE_MS = 20;

/** What connecting says when nobody listens; the last one when the listener is closed meanwhile. */
const NOBODY: readonly string[] = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'];

/** Connects a Unix socket. @returns undefined when nobody listens there. */
export async function dial(path: string): Promise<NetSocket | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await dialOnce(path);
    } catch (error) {
      // Linux says so when the queue of a listener is full.
      const full = (error as NodeJS.ErrnoException).code === 'EAGAIN';
      if (!full || attempt === DIAL_ATTEMPTS) throw error;
      await delay(DIAL_PAUSE_MS);
    }
  }
}

function dialOnce(path: string): Promise<NetSocket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once('connect', () => {
      socket.removeAllListeners();
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (NOBODY.includes(error.code ?? '')) resolve(undefined);
      else reject(error);
    });
  });
}

/**
 * Says the first line and reads the daemon's. The connection is paused afterwards.
 * @throws SystemError EPROTONOSUPPORT for a daemon of another version, EPROTO for something else, GoneError.
 */
export async function greet(
  socket: NetSocket,
  path: string,
  ...words: string[]
): Promise<DaemonIdentity> {
  socket.write(helloLine(...words));
  const line = await readLine(socket).catch((error) => {
    socket.destroy();
    throw error;
  });
  const hello = parseHello(line);
  if (hello === undefined || (hello.word !== 'ok' && hello.word !== 'error')) {
    socket.destroy();
    throw new SystemError('EPROTO', {
      path,
      message: `what answers on ${path} is not a simulated host`,
      hint: `end the process that listens on ${path}`,
    });
  }
  const said = parseObject(hello.rest === '' ? '{}' : hello.rest);
  const { version, pid } = said;
  const identity = {
    version: typeof version === 'string' ? version : undefined,
    pid: typeof pid === 'number' ? pid : undefined,
  };
  if (hello.word === 'ok' && hello.protocol === PROTOCOL) return identity;
  socket.destroy();
  if (hello.protocol !== PROTOCOL || said.code === 'EPROTONOSUPPORT') {
    throw new OtherVersionError(identity);
  }
  throw errorFromWire(said);
}

/** The daemon is of another version of vmmctl than this command. */
export class OtherVersionError extends SystemError {
  readonly identity: DaemonIdentity;

  constructor(identity: DaemonIdentity) {
    const which = identity.version === undefined ? '' : ` (${identity.version})`;
    super('EPROTONOSUPPORT', {
      message: `the simulated host is run by another version of vmmctl${which}`,
      hint:
        identity.pid === undefined
          ? 'it does not say which process it is; end it, then try again'
          : "run 'vmmctl sim restart'; persistent VMs come back",
    });
    this.identity = identity;
  }
}

function readLine(socket: NetSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let data = Buffer.alloc(0);
    const timer = setTimeout(() => finish(() => reject(silent())), GREETING_TIMEOUT_MS);
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      socket.off('data', read);
      socket.off('error', gone);
      socket.off('end', gone);
      socket.off('close', gone);
      socket.pause();
      settle();
    };
    const gone = () => finish(() => reject(new GoneError()));
    const read = (chunk: Buffer) => {
      data = Buffer.concat([data, chunk]);
      const end = data.indexOf('\n');
      if (end < 0 && data.length < MAX_HELLO) return;
      const rest = data.subarray(end + 1);
      finish(() => resolve(data.toString('utf8', 0, Math.max(0, end))));
      if (end >= 0 && rest.length > 0) socket.unshift(rest);
    };
    socket.on('data', read);
    socket.on('error', gone);
    socket.on('end', gone);
    socket.on('close', gone);
  });
}

/** The daemon ended, or was killed. */
export class GoneError extends SystemError {
  constructor() {
    super('ECONNRESET', {
      message: 'the simulated host is gone',
      hint: "the next command starts it again; see 'vmmctl sim log'",
    });
  }
}

function silent(): SystemError {
  return new SystemError('ETIMEDOUT', {
    message: 'the simulated host does not answer',
    hint: "its process is the last one that 'vmmctl sim log' names",
  });
}

export class Connection {
  readonly identity: DaemonIdentity;
  readonly paths: HostPaths;
  readonly #socket: NetSocket;
  readonly #reader = new FrameReader();
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<string, Set<EventListener>>();
  readonly #onClose = new Set<(error: SystemError) => void>();
  #next = 1;
  #failure: SystemError | undefined;

  constructor(paths: HostPaths, socket: NetSocket, identity: DaemonIdentity) {
    this.paths = paths;
    this.identity = identity;
    this.#socket = socket;
    socket.on('data', (chunk: Uint8Array) => this.#received(chunk));
    socket.on('error', () => this.#fail(new GoneError()));
    socket.on('end', () => this.#fail(new GoneError()));
    socket.on('close', () => this.#fail(new GoneError()));
    socket.resume();
  }

  /** Asks for something. Aborting the signal cancels it; the call then ends with EINTR. */
  async call(
    op: string,
    parameters: object = {},
    options: { binary?: Uint8Array; signal?: AbortSignal | undefined } = {},
  ): Promise<Answer> {
    const { binary, signal } = options;
    if (signal?.aborted) throw new SystemError('EINTR', { syscall: op });
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#next++;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    const cancel = () => this.#write({ id: 0, op: 'cancel', call: id });
    signal?.addEventListener('abort', cancel);
    this.#write({ id, op, ...parameters }, binary);
    try {
      return await answer;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Says something that wants no answer. Lost when the daemon is gone, which `onClose` tells. */
  tell(op: string, parameters: object = {}): void {
    if (this.#failure === undefined) this.#write({ id: 0, op, ...parameters });
  }

  /** Listens to an event, until the returned function is called. */
  on(event: string, listener: EventListener): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Calls back once when the daemon is gone, at once when it already is; until the returned function is called. */
  onClose(listener: (error: SystemError) => void): () => void {
    if (this.#failure !== undefined) listener(this.#failure);
    else this.#onClose.add(listener);
    return () => this.#onClose.delete(listener);
  }

  /** Another connection, which becomes a stream. */
  async openStream(token: string): Promise<NetSocket> {
    const socket = await dial(this.paths.socket);
    if (socket === undefined) throw new GoneError();
    await greet(socket, this.paths.socket, 'stream', token);
    return socket;
  }

  /** Ends it from this side. */
  close(): void {
    this.#failure ??= new SystemError('EBADF', { message: 'the backend is closed' });
    this.#onClose.clear();
    this.#socket.destroy();
  }

  #write(json: object, binary?: Uint8Array): void {
    for (const part of encodeFrame(json, binary)) this.#socket.write(part);
  }

  #received(chunk: Uint8Array): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#frame(frame);
    } catch (cause) {
      const error = new SystemError('EPROTO', {
        message: 'the simulated host makes no sense',
        cause,
      });
      this.#fail(error);
    }
  }

  #frame({ json, binary }: Frame): void {
    const { id, event, ok, error } = json;
    if (typeof event === 'string') {
      for (const listener of this.#listeners.get(event) ?? []) listener(json);
      return;
    }
    const waiting = this.#waiting.get(Number(id));
    if (waiting === undefined) return;
    this.#waiting.delete(Number(id));
    if (error !== undefined) waiting.reject(errorFromWire(error));
    else waiting.resolve({ values: ok as Record<string, unknown>, binary });
  }

  #fail(error: SystemError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    for (const listener of this.#onClose) listener(error);
  }
}

/** A control connection as a caller. @returns undefined when no daemon runs. */
export async function openControl(
  paths: HostPaths,
  caller: object = {},
): Promise<Connection | undefined> {
  if (!checkSocket(paths)) return undefined;
  const socket = await dial(paths.socket);
  if (socket === undefined) return undefined;
  const identity = await greet(socket, paths.socket, 'control', JSON.stringify(caller));
  return new Connection(paths, socket, identity);
}
