/**
 * The AF_VSOCK layer of one machine, the host's or a guest's: the system calls that make and join sockets,
 * and the delivery of packets to them. Transports are channels that it is given.
 */
import { SystemError } from '../../abi/errno.js';
import { type PacketHeader, VIRTIO_VSOCK_OP_RST } from '../../abi/virtio-vsock.js';
import {
  LAST_RESERVED_PORT,
  SOMAXCONN,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
} from '../../abi/vm-sockets.js';
import type { Deadline } from '../deadlines.js';
import { type Caller, hasCapability } from '../node.js';
import type { Rng } from '../rng.js';
import type { Channel } from './channel.js';
import { receiveDatagram, sendDatagram } from './datagram.js';
import { Handshake } from './handshake.js';
import type { VsockProfile } from './profile.js';
import { receive, resetFor, socketType } from './protocol.js';
import { Socket, type SocketHost, type SocketType, type VsockAddress } from './socket.js';
import { SocketTables } from './tables.js';

export interface StackOptions {
  readonly profile: VsockProfile;
  readonly rng: Rng;
  /** The CID by which others know the machine: 2 for the host. */
  cid(): number;
  /** The channel that leads to a CID; undefined when there is no transport for it. CID 1 is the machine itself. */
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
  readonly #handshake: Handshake;
  readonly #deferred = new Set<Socket>();
  #alive = true;

  constructor(options: StackOptions) {
    this.#options = options;
    this.#tables = new SocketTables(options.rng);
    this.#handshake = new Handshake(options.rng);
  }

  get profile(): VsockProfile {
    return this.#options.profile;
  }

  get cid(): number {
    return this.#options.cid();
  }

  /** All sockets that are bound or connected. */
  sockets(): Set<Socket> {
    return this.#tables.all();
  }

  wake(socket: Socket): void {
    this.#options.wake(socket);
  }

  remove(socket: Socket): void {
    this.#tables.remove(socket);
    this.#deferred.delete(socket);
  }

  after(ms: number, action: () => void): Deadline {
    return this.#options.after(ms, action);
  }

  /** @throws SystemError ENODEV for datagrams without a transport that has them, ESOCKTNOSUPPORT. */
  socket(type: SocketType, caller: Caller): Socket {
    if (type === 'dgram' && !this.profile.datagrams) {
      throw new SystemError('ENODEV', { syscall: 'socket', message: 'no transport has datagrams' });
    }
    if (type === 'seqpacket' && !this.profile.seqpacket) {
      throw new SystemError('ESOCKTNOSUPPORT', { syscall: 'socket' });
    }
    return new Socket(this, type, caller);
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
    if (!this.#isLoopback(address.cid) && address.cid !== VMADDR_CID_ANY) fail('EADDRNOTAVAIL');
    const privileged = address.port <= LAST_RESERVED_PORT;
    if (privileged && !hasCapability(socket.caller, 'CAP_NET_BIND_SERVICE')) fail('EACCES');
    this.#tables.bind(socket, address);
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
   * @throws SystemError EISCONN, EALREADY, EINVAL (it listens, or was shut down), ENODEV (no
   *   transport, no such guest), EADDRNOTAVAIL (no free port).
   */
  connect(socket: Socket, address: VsockAddress): void {
    const fail = (code: 'EISCONN' | 'EALREADY' | 'EINVAL' | 'ENODEV') => {
      throw new SystemError(code, { syscall: 'connect' });
    };
    if (socket.state === 'listen' || socket.ownShutdown !== 0) fail('EINVAL');
    if (socket.state === 'connected' || socket.done) fail('EISCONN');
    if (socket.state === 'connecting') fail('EALREADY');
    const channel = this.#channelTo(address.cid);
    if (channel === undefined || !this.#alive) {
      throw new SystemError('ENODEV', { syscall: 'connect' });
    }
    if (!socket.bound) this.#tables.bind(socket, { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
    socket.peer = { ...address };
    socket.channel = channel;
    socket.limitBuffer();
    socket.sourceCid = this.#sourceCid(channel);
    if (socket.type === 'dgram') {
      socket.state = 'connected';
      return;
    }
    socket.error = undefined;
    socket.state = 'connecting';
    socket.pending.request = true;
    socket.ready();
    socket.deadline = this.after(socket.connectTimeoutMs, () => this.#connectTimedOut(socket));
  }

  /** Sends a datagram. @throws SystemError ENODEV, EMSGSIZE, ENOTCONN (no address). */
  sendTo(socket: Socket, data: Uint8Array, address = socket.peer): void {
    if (address === undefined) throw new SystemError('ENOTCONN', { syscall: 'send' });
    const channel = this.#channelTo(address.cid);
    if (channel === undefined) throw new SystemError('ENODEV', { syscall: 'send' });
    if (!socket.bound) this.#tables.bind(socket, { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
    sendDatagram(channel, { cid: this.cid, port: socket.local.port }, address, data);
  }

  /** A packet from a channel. Answers go out by the channel that leads to its source. */
  receive(header: PacketHeader, payload: Uint8Array, answers: Channel): void {
    const type = socketType(header.type);
    if (type === 'dgram' && this.profile.datagrams) {
      receiveDatagram(this.#tables.findBound(this.#destination(header)), header, payload);
      return;
    }
    const source = { cid: header.srcCid, port: header.srcPort };
    const socket =
      this.#tables.findConnected(source, header.dstPort) ??
      this.#tables.findBound(this.#destination(header));
    if (socket === undefined && this.#defer(header, type, answers)) return;
    if (socket === undefined || socket.done || socket.type !== type) {
      this.#answerReset(header, answers);
    } else if (socket.state === 'listen') {
      this.#receiveListen(socket, header, answers);
    } else {
      this.#deliver(socket, header, payload, answers);
    }
  }

  /** Makes a deferred connection stand. False when it is gone meanwhile. */
  claim(socket: Socket): boolean {
    if (socket.state !== 'deferred') return false;
    socket.deadline?.cancel();
    this.#deferred.delete(socket);
    this.#establish(socket);
    return true;
  }

  /** Refuses a deferred connection: the peer gets a RST. */
  refuse(socket: Socket): void {
    if (socket.state !== 'deferred') return;
    socket.deadline?.cancel();
    socket.state = 'closed';
    socket.pending.reset = true;
    socket.ready();
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
    const loopback = this.#channelTo(VMADDR_CID_LOCAL);
    for (const socket of this.#tables.all()) {
      if (socket.channel !== loopback && hasConnection(socket)) socket.abort('ECONNRESET');
    }
  }

  /** The machine is gone: every socket ends, waiting calls too. */
  shutDown(): void {
    this.#alive = false;
    for (const socket of this.#tables.all()) {
      for (const child of socket.acceptQueue.splice(0)) child.abort('ECONNRESET');
      socket.abort('ECONNRESET');
      this.remove(socket);
    }
  }

  /** The machine is there again, with no sockets. */
  startUp(): void {
    this.#alive = true;
  }

  #destination(header: PacketHeader): VsockAddress {
    return { cid: header.dstCid, port: header.dstPort };
  }

  #isLoopback(cid: number): boolean {
    return cid === VMADDR_CID_LOCAL || (cid === this.cid && cid !== VMADDR_CID_ANY);
  }

  #channelTo(cid: number): Channel | undefined {
    return this.#options.channelTo(this.#isLoopback(cid) ? VMADDR_CID_LOCAL : cid);
  }

  /** What packets through a channel carry as their source: on the loopback always its CID, whichever was dialled. */
  #sourceCid(channel: Channel, cid = this.cid): number {
    return this.#isLoopbackChannel(channel) ? VMADDR_CID_LOCAL : cid;
  }

  #isLoopbackChannel(channel: Channel): boolean {
    return channel === this.#options.channelTo(VMADDR_CID_LOCAL);
  }

  /** Whether a packet comes from another than the peer. To the loopback the CIDs of its machine are all one. */
  #isForeign({ peer, channel }: Socket, header: PacketHeader, from: Channel): boolean {
    if (peer?.port !== header.srcPort) return true;
    return this.#isLoopbackChannel(from) ? channel !== from : peer.cid !== header.srcCid;
  }

  #connectTimedOut(socket: Socket): void {
    if (socket.state !== 'connecting') return;
    socket.state = 'closed';
    socket.error = 'ETIMEDOUT';
    socket.pending.request = false;
    this.wake(socket);
  }

  #answerReset(header: PacketHeader, answers: Channel): void {
    if (header.op === VIRTIO_VSOCK_OP_RST) return;
    if (this.profile.unknownSocket === 'ignore') return;
    answers.reply(resetFor(header));
  }

  #deliver(socket: Socket, header: PacketHeader, payload: Uint8Array, answers: Channel): void {
    if (this.profile.checksSource && this.#isForeign(socket, header, answers)) {
      this.#answerReset(header, answers);
      return;
    }
    if (socket.local.cid !== VMADDR_CID_ANY) {
      socket.local = { cid: header.dstCid, port: socket.local.port };
    }
    const verdict = receive(socket, header, payload);
    if (verdict === 'connected') this.#tables.connect(socket);
    if (verdict === 'reset') this.#answerReset(header, answers);
  }

  #receiveListen(listener: Socket, header: PacketHeader, answers: Channel): void {
    const step = this.#handshake.step(this.profile, header, this.#options.nowMs());
    const full = listener.acceptQueue.length > listener.backlog;
    if (step === 'refuse' || (full && step !== 'ignore')) {
      this.#answerReset(header, answers);
    } else if (step === 'accept') {
      const child = this.#child(header, answers, listener.type, listener);
      this.#establish(child);
      if (this.profile.handshake === 'three-way') child.pending.response = false;
      listener.acceptQueue.push(child);
      this.wake(listener);
    } else if (step !== 'ignore') {
      const srcCid = this.#sourceCid(answers, step.srcCid);
      answers.reply({ ...step, srcCid, bufAlloc: listener.credit.bufAlloc });
    }
  }

  #child(header: PacketHeader, answers: Channel, type: SocketType, listener?: Socket): Socket {
    const child = new Socket(this, type, listener?.caller ?? DEFERRED_CALLER);
    if (listener !== undefined) child.inherit(listener);
    child.limitBuffer();
    child.local = this.#destination(header);
    child.sourceCid = this.#sourceCid(answers, header.dstCid);
    child.peer = { cid: header.srcCid, port: header.srcPort };
    child.channel = answers;
    child.credit.heard(header.bufAlloc, header.fwdCnt);
    return child;
  }

  #establish(child: Socket): void {
    child.state = 'connected';
    this.#tables.connect(child);
    child.pending.response = true;
    child.ready();
  }

  #defer(header: PacketHeader, type: SocketType | undefined, answers: Channel): boolean {
    if (!this.#options.defers || header.dstCid !== VMADDR_CID_HOST) return false;
    if (type !== 'stream' || !this.#handshake.opens(this.profile, header)) return false;
    if (this.#deferred.size >= MAX_DEFERRED) return false;
    const child = this.#child(header, answers, type);
    child.state = 'deferred';
    this.#deferred.add(child);
    this.#tables.connect(child);
    child.deadline = this.after(DEFER_TIMEOUT_MS, () => this.refuse(child));
    this.#options.deferred(child);
    return true;
  }
}

/** Nobody's program holds a deferred socket until it is claimed. */
const DEFERRED_CALLER: Caller = { uid: 0, gid: 0, groups: [0], capabilities: 'all', jail: '' };

/** Whether a socket has a connection, or is about to; datagrams have none. */
function hasConnection(socket: Socket): boolean {
  return socket.type !== 'dgram' && socket.state !== 'closed' && socket.state !== 'listen';
}
