/** Requests about vsock sockets. Calls that wait (accept, connect) are answered when the socket is woken. */
import type { Socket as NetSocket } from 'node:net';
import { SystemError } from '../abi/errno.js';
import type { RealGuest } from '../simulator/real-guest.js';
import type { SizeOption, Socket } from '../simulator/vsock/socket.js';
import type { Stack } from '../simulator/vsock/stack.js';
import { Bridge } from './bridge.js';
import { explained, realGuestOf } from './guest-gone.js';
import { address, integer, machineName, oneOf, signedInteger } from './parameters.js';
import type { Watcher } from './pump.js';
import type { Answer, CallTable, Session } from './session.js';

/** Sockets that one client may have. */
const MAX_SOCKETS = 65_536;
/** How long a socket waits for its stream connection, milliseconds. */
const STREAM_TIMEOUT_MS = 10_000;

interface Waiter {
  /** What the call gives when it can be answered; undefined while it has to wait. */
  attempt(): Answer | undefined;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

class Entry implements Watcher {
  readonly waiters: Waiter[] = [];
  bridge: Bridge | undefined;
  /** The word by which its stream connection may come, while it may. */
  token: string | undefined;

  constructor(
    readonly socket: Socket,
    readonly stack: Stack,
    /** The kernel that may take the place of the socket's guest. */
    readonly real: RealGuest | undefined,
  ) {}

  socketChanged(): void {
    for (let waiter = this.waiters[0]; waiter !== undefined; waiter = this.waiters[0]) {
      try {
        const answer = waiter.attempt();
        if (answer === undefined) return;
        this.waiters.shift();
        waiter.resolve(answer);
      } catch (error) {
        this.waiters.shift();
        waiter.reject(explained(error, this.real?.refusal));
      }
    }
  }
}

/** The sockets of one client. */
export class SocketTable {
  readonly #session: Session;
  readonly #entries = new Map<number, Entry>();
  #next = 1;

  constructor(session: Session) {
    this.#session = session;
  }

  /** @param real of the guest that it is a socket of. */
  add(socket: Socket, stack: Stack, real: RealGuest | undefined): number {
    if (this.#entries.size >= MAX_SOCKETS) {
      socket.close();
      throw new SystemError('EMFILE', { syscall: 'socket' });
    }
    const handle = this.#next++;
    const entry = new Entry(socket, stack, real);
    this.#entries.set(handle, entry);
    this.#session.shared.keeper.pump.watch(socket, entry);
    return handle;
  }

  /** @throws SystemError EBADF, and EOPNOTSUPP while a real kernel is in the place of the socket's guest. */
  get(handle: number): Entry {
    const entry = this.#entry(handle);
    entry.real?.refuse();
    return entry;
  }

  #entry(handle: number): Entry {
    const entry = this.#entries.get(handle);
    if (entry === undefined) throw new SystemError('EBADF');
    return entry;
  }

  /** Waits until the attempt gives an answer; an abort ends it with EINTR. */
  wait(handle: number, signal: AbortSignal, attempt: () => Answer | undefined): Promise<Answer> {
    const entry = this.get(handle);
    return new Promise((resolve, reject) => {
      const waiter = { attempt, resolve, reject };
      entry.waiters.push(waiter);
      signal.addEventListener('abort', () => {
        const at = entry.waiters.indexOf(waiter);
        if (at < 0) return;
        entry.waiters.splice(at, 1);
        reject(new SystemError('EINTR'));
      });
      entry.socketChanged();
      this.#session.shared.keeper.pump.kick();
    });
  }

  /** Joins a connected socket to the connection that brings the token. */
  stream(handle: number): Answer {
    const entry = this.get(handle);
    if (entry.bridge !== undefined || entry.token !== undefined) throw new SystemError('EBUSY');
    if (!canStream(entry.socket)) throw new SystemError('ENOTCONN');
    const { shared } = this.#session;
    const token = shared.expectStream((connection) => {
      clearTimeout(timer);
      entry.token = undefined;
      this.#join(handle, entry, connection);
    });
    entry.token = token;
    const timer = setTimeout(() => this.#forget(entry), STREAM_TIMEOUT_MS);
    timer.unref();
    return { token };
  }

  #join(handle: number, entry: Entry, connection: NetSocket): void {
    const bridge = new Bridge(entry.socket, connection, this.#session.shared.keeper.pump, {
      hungUp: () => this.#session.event('hungup', { socket: handle }),
      ended: (error) => {
        const how = error === undefined ? {} : { error };
        this.#session.event('ended', { socket: handle, ...how });
      },
    });
    entry.bridge = bridge;
    bridge.start();
  }

  #forget(entry: Entry): void {
    if (entry.token === undefined) return;
    this.#session.shared.forgetStream(entry.token);
    entry.token = undefined;
  }

  remove(handle: number): void {
    const entry = this.#entry(handle);
    this.#entries.delete(handle);
    this.#forget(entry);
    for (const waiter of entry.waiters.splice(0)) waiter.reject(new SystemError('EBADF'));
    if (entry.bridge !== undefined) entry.bridge.abandon();
    else entry.socket.close();
    this.#session.shared.keeper.pump.kick();
  }

  close(): void {
    for (const handle of [...this.#entries.keys()]) this.remove(handle);
  }
}

/** A datagram socket needs no connection: it has a stream of what comes to its port. */
function canStream(socket: Socket): boolean {
  if (socket.type === 'dgram') return socket.bound;
  return socket.state === 'connected' || socket.done;
}

export const SOCKET_CALLS: CallTable = {
  socket(call) {
    const { session, parameters } = call;
    const { world } = session.shared.keeper;
    const { stack } = world.machine(machineName(parameters), session.caller);
    const type = oneOf(parameters, 'type', ['stream', 'seqpacket', 'dgram'] as const);
    const socket = stack.socket(type, session.caller);
    return { handle: session.sockets.add(socket, stack, realGuestOf(call)) };
  },

  bind({ session, parameters }) {
    const { socket, stack } = session.sockets.get(integer(parameters, 'handle'));
    stack.bind(socket, address(parameters));
    return {};
  },

  listen({ session, parameters }) {
    const { socket, stack } = session.sockets.get(integer(parameters, 'handle'));
    stack.listen(socket, signedInteger(parameters, 'backlog'));
    return {};
  },

  accept({ session, parameters, signal }) {
    const handle = integer(parameters, 'handle');
    const { socket, stack, real } = session.sockets.get(handle);
    return session.sockets.wait(handle, signal, () => {
      if (socket.error !== undefined) throw new SystemError(socket.error, { syscall: 'accept' });
      const child = stack.accept(socket);
      if (child === undefined) return undefined;
      return {
        handle: session.sockets.add(child, stack, real),
        local: child.local,
        peer: child.peer,
      };
    });
  },

  connect({ session, parameters, signal }) {
    const handle = integer(parameters, 'handle');
    const { socket, stack } = session.sockets.get(handle);
    stack.connect(socket, address(parameters));
    return session.sockets.wait(handle, signal, () => {
      if (socket.state === 'connecting') return undefined;
      const error = socket.takeError();
      if (error !== undefined) throw new SystemError(error, { syscall: 'connect' });
      return { local: socket.local, peer: socket.peer };
    });
  },

  setOption({ session, parameters }) {
    const { socket } = session.sockets.get(integer(parameters, 'handle'));
    const option = oneOf(parameters, 'option', OPTIONS);
    if (option === 'connect-timeout') socket.setConnectTimeout(signedInteger(parameters, 'value'));
    else socket.setBuffer(option, integer(parameters, 'value', Number.MAX_SAFE_INTEGER));
    session.shared.keeper.pump.kick();
    return {};
  },

  getOption({ session, parameters }) {
    const { socket } = session.sockets.get(integer(parameters, 'handle'));
    const option = oneOf(parameters, 'option', OPTIONS);
    return { value: readOption(socket, option) };
  },

  addresses({ session, parameters }) {
    const { socket } = session.sockets.get(integer(parameters, 'handle'));
    return { local: socket.local, peer: socket.peerName() };
  },

  stream({ session, parameters }) {
    return session.sockets.stream(integer(parameters, 'handle'));
  },

  closeSocket({ session, parameters }) {
    session.sockets.remove(integer(parameters, 'handle'));
    return {};
  },

  localCid({ session, parameters }) {
    const { world } = session.shared.keeper;
    return { cid: world.machine(machineName(parameters), session.caller).stack.cid };
  },
};

const OPTIONS = ['size', 'min', 'max', 'connect-timeout'] as const;

function readOption(socket: Socket, option: SizeOption | 'connect-timeout'): number {
  if (option === 'min') return socket.bufferMin;
  if (option === 'max') return socket.bufferMax;
  return option === 'size' ? socket.bufferSize : socket.connectTimeoutMs;
}
