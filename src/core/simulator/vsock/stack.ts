/**
 * The AF_VSOCK layer of one machine, the host's or a guest's: the system calls that make and join sockets, and the
 * connections that wait for somebody. How bytes get to other machines is up to its transports.
 */
import { SystemError } from '../../abi/errno.js';
import type { PacketHeader } from '../../abi/virtio-vsock.js';
import {
  LAST_RESERVED_PORT,
  SOMAXCONN,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
} from '../../abi/vm-sockets.js';
import type { Deadline } from '../deadlines.js';
import { type Caller, hasCapability, ROOT } from '../node.js';
import type { Rng } from '../rng.js';
import type { Channel } from './channel.js';
import type { DatagramTransport, Transport } from './link.js';
import type { VsockProfile } from './profile.js';
import { Socket, type SocketHost, type SocketType, type VsockAddress } from './socket.js';
import { SocketTables } from './tables.js';
import { VirtioSide } from './virtio-side.js';
import type { VmciSide } from './vmci-side.js';

export interface StackOptions {
  readonly profile: VsockProfile;
  readonly rng: Rng;
  /** The CID by which others know the machine: 2 for the host. */
  cid(): number;
  /** The virtio channel that leads to a CID; undefined when there is none. CID 1 is the machine itself. */
  channelTo(cid: number): Channel | undefined;
  wake(socket: Socket): void;
  nowMs(): number;
  after(ms: number, action: () => void): Deadline;
  /** Whether connections to ports without a listener are kept for somebody to claim. */
  readonly defers: boolean;
  /** Somebody may claim this socket, or refuse it. */
  deferred(socket: Socket): void;
}

/** How long a connection that nobody claims is kept, milliseconds. */
const DEFER_TIMEOUT_MS = 2000;
/** How many may be kept at a time; further ones are refused, so that a guest can't grow the host. */
export const MAX_DEFERRED = 1024;

export class Stack implements SocketHost {
  readonly #options: StackOptions;
  readonly #tables: SocketTables;
  readonly #virtio: VirtioSide;
  readonly #deferred = new Set<Socket>();
  /** Its VMCI transport, while it has one. */
  vmci: VmciSide | undefined;
  #alive = true;

  constructor(options: StackOptions) {
    this.#options = options;
    this.#tables = new SocketTables(options.rng);
    this.#virtio = new VirtioSide(this, this.#tables, options);
  }

  get profile(): VsockProfile {
    return this.#options.profile;
  }

  get cid(): number {
    return this.#options.cid();
  }

  /** All sockets that are bound or connected. */
  sockets(): Set<Socket> {
    const sockets = this.#tables.all();
    for (const socket of this.vmci?.datagrams.sockets() ?? []) sockets.add(socket);
    return sockets;
  }

  wake(socket: Socket): void {
    this.#options.wake(socket);
  }

  remove(socket: Socket): void {
    this.#tables.remove(socket);
    this.#deferred.delete(socket);
    socket.carrier?.release(socket);
  }

  after(ms: number, action: () => void): Deadline {
    return this.#options.after(ms, action);
  }

  /** @throws SystemError ENODEV for datagrams without a transport that has them, ESOCKTNOSUPPORT. */
  socket(type: SocketType, caller: Caller): Socket {
    const vmci = this.vmci?.active === true ? this.vmci.datagrams : undefined;
    const carrier = this.profile.datagrams ? this.#virtio : vmci;
    if (type === 'dgram' && carrier === undefined) {
      throw new SystemError('ENODEV', { syscall: 'socket', message: 'no transport has datagrams' });
    }
    if (type === 'seqpacket' && !this.profile.seqpacket) {
      throw new SystemError('ESOCKTNOSUPPORT', { syscall: 'socket' });
    }
    const socket = new Socket(this, type, caller);
    if (type === 'dgram') socket.carrier = carrier;
    return socket;
  }

  /**
   * @throws SystemError EINVAL (bound already), EADDRNOTAVAIL (a CID that is not the machine's), EACCES
   *   (privileged port), EADDRINUSE.
   */
  bind(socket: Socket, address: VsockAddress): void {
    const fail = (code: 'EINVAL' | 'EADDRNOTAVAIL' | 'EACCES') => {
      throw new SystemError(code, { syscall: 'bind' });
    };
    if (socket.bound) fail('EINVAL');
    if (!this.isOwnCid(address.cid) && address.cid !== VMADDR_CID_ANY) fail('EADDRNOTAVAIL');
    const privileged = address.port <= LAST_RESERVED_PORT;
    if (privileged && !hasCapability(socket.caller, 'CAP_NET_BIND_SERVICE')) fail('EACCES');
    this.#bind(socket, address);
  }

  /**
   * A negative backlog is the largest.
   * @throws SystemError EINVAL when the socket is not bound, or connected; EOPNOTSUPP for datagrams.
   */
  listen(socket: Socket, backlog: number): void {
    if (socket.type === 'dgram') throw new SystemError('EOPNOTSUPP', { syscall: 'listen' });
    if (!socket.bound || (socket.state !== 'closed' && socket.state !== 'listen')) {
      throw new SystemError('EINVAL', { syscall: 'listen' });
    }
    socket.backlog = backlog < 0 ? SOMAXCONN : Math.min(backlog, SOMAXCONN);
    socket.state = 'listen';
  }

  /** @returns undefined when no connection waits. @throws SystemError EINVAL when it does not listen. */
  accept(socket: Socket): Socket | undefined {
    if (socket.state !== 'listen') throw new SystemError('EINVAL', { syscall: 'accept' });
    return socket.acceptQueue.shift();
  }

  /**
   * Starts a connection; the socket is woken when it stands or failed (then `error` says why).
   * @throws SystemError EISCONN, EALREADY, EINVAL (it listens, or was shut down), ENODEV (no transport, no such guest),
   *   ESOCKTNOSUPPORT (the transport has no such sockets), EADDRNOTAVAIL (no free port), and what the transport knows at once.
   */
  connect(socket: Socket, address: VsockAddress): void {
    const fail = (code: 'EISCONN' | 'EALREADY' | 'EINVAL' | 'ENODEV' | 'ESOCKTNOSUPPORT') => {
      throw new SystemError(code, { syscall: 'connect' });
    };
    if (socket.state === 'listen' || socket.ownShutdown !== 0) fail('EINVAL');
    if (socket.state === 'connected' || socket.done) fail('EISCONN');
    if (socket.state === 'connecting') fail('EALREADY');
    if (!this.#alive) fail('ENODEV');
    if (socket.carrier !== undefined) return this.#connectDatagrams(socket, address);
    const transport = this.#transportTo(address.cid);
    if (socket.type === 'seqpacket' && !transport.seqpacket) fail('ESOCKTNOSUPPORT');
    if (!socket.bound) this.#bind(socket, ANY_ADDRESS);
    socket.peer = { ...address };
    socket.error = undefined;
    const link = transport.link(socket);
    socket.link = link;
    link.connect();
    socket.state = 'connecting';
    socket.deadline = this.after(socket.connectTimeoutMs, () => this.#connectTimedOut(socket));
  }

  /** Sends a datagram. @throws SystemError ENODEV, EINVAL, EMSGSIZE, ENOTCONN (no address). */
  sendTo(socket: Socket, data: Uint8Array, address = socket.peer): void {
    const { carrier } = socket;
    if (address === undefined || carrier === undefined) {
      throw new SystemError('ENOTCONN', { syscall: 'send' });
    }
    carrier.check(address);
    if (!socket.bound) this.#bind(socket, ANY_ADDRESS);
    carrier.send(socket, data, address);
  }

  /** A packet from a virtio channel. Answers go out by the channel that leads to its source. */
  receive(header: PacketHeader, payload: Uint8Array, answers: Channel): void {
    this.#virtio.receive(header, payload, answers);
  }

  /** The socket that somebody's connection means: the one that has it, or whoever is bound there. */
  find(from: VsockAddress, to: VsockAddress): Socket | undefined {
    return this.#tables.findConnected(from, to.port) ?? this.#tables.findBound(to);
  }

  /** A new socket for a connection from outside; without a listener it is nobody's program's yet. */
  child(type: SocketType, listener?: Socket): Socket {
    const child = new Socket(this, type, listener?.caller ?? ROOT);
    if (listener !== undefined) child.inherit(listener);
    return child;
  }

  /** A socket's connection stands. */
  established(socket: Socket): void {
    socket.state = 'connected';
    this.#tables.connect(socket);
  }

  /** Whether a connection to one of the machine's CIDs, at a port without a listener, may wait for somebody. */
  mayDefer(cid: number): boolean {
    return this.#options.defers && cid === VMADDR_CID_HOST && this.#deferred.size < MAX_DEFERRED;
  }

  /** Keeps a connection until it is claimed or refused. */
  defer(child: Socket): void {
    child.state = 'deferred';
    this.#deferred.add(child);
    this.#tables.connect(child);
    child.deadline = this.after(DEFER_TIMEOUT_MS, () => this.refuse(child));
    this.#options.deferred(child);
  }

  /** Makes a deferred connection stand. False when it is gone meanwhile. */
  claim(socket: Socket): boolean {
    if (socket.state !== 'deferred') return false;
    socket.deadline?.cancel();
    this.#deferred.delete(socket);
    this.established(socket);
    return socket.link?.accept() ?? false;
  }

  /** Refuses a deferred connection: the peer gets a RST. */
  refuse(socket: Socket): void {
    if (socket.state !== 'deferred') return;
    socket.deadline?.cancel();
    socket.state = 'closed';
    socket.link?.refuse();
    this.remove(socket);
  }

  /** Ends every connection with a CID, without a word to it: the device behind it is gone, or was reset. */
  resetPeer(cid: number): void {
    for (const socket of this.#tables.all()) {
      if (socket.peer?.cid === cid && hasConnection(socket)) socket.abort('ECONNRESET');
    }
  }

  /** What a transport reset does: connections that go through it end with ECONNRESET, listeners stay. */
  resetAll(): void {
    for (const socket of this.#tables.all()) {
      if (socket.link?.loopback !== true && hasConnection(socket)) socket.abort('ECONNRESET');
    }
  }

  /** The machine is gone: every socket ends, waiting calls too. */
  shutDown(): void {
    this.#alive = false;
    for (const socket of this.sockets()) {
      for (const child of socket.acceptQueue.splice(0)) child.abort('ECONNRESET');
      socket.abort('ECONNRESET');
      this.remove(socket);
    }
  }

  /** The machine is there again, with no sockets. */
  startUp(): void {
    this.#alive = true;
  }

  /** Whether a CID means the machine itself. */
  isOwnCid(cid: number): boolean {
    return cid === VMADDR_CID_LOCAL || (cid === this.cid && cid !== VMADDR_CID_ANY);
  }

  #transportTo(cid: number): Transport {
    if (this.#virtio.reaches(cid)) return this.#virtio;
    if (this.vmci?.reaches(cid) === true) return this.vmci;
    throw new SystemError('ENODEV', { syscall: 'connect' });
  }

  #bind(socket: Socket, address: VsockAddress): void {
    const where: Pick<DatagramTransport, 'bind'> = socket.carrier ?? this.#tables;
    where.bind(socket, address);
  }

  #connectDatagrams(socket: Socket, address: VsockAddress): void {
    socket.carrier?.check(address);
    if (!socket.bound) this.#bind(socket, ANY_ADDRESS);
    socket.peer = { ...address };
    socket.state = 'connected';
  }

  #connectTimedOut(socket: Socket): void {
    if (socket.state !== 'connecting') return;
    socket.state = 'closed';
    socket.error = 'ETIMEDOUT';
    socket.link?.giveUp();
    this.wake(socket);
  }
}

/** Any CID, and a port that is free. */
const ANY_ADDRESS: VsockAddress = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };

/** Whether a socket has a connection, or is about to; datagrams have none. */
function hasConnection(socket: Socket): boolean {
  return socket.type !== 'dgram' && socket.state !== 'closed' && socket.state !== 'listen';
}
