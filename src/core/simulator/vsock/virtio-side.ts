/** The virtio transport of one machine: the channels that it is given, and what packets do to its sockets. */
import { SystemError } from '../../abi/errno.js';
import { type PacketHeader, VIRTIO_VSOCK_OP_RST } from '../../abi/virtio-vsock.js';
import { VMADDR_CID_ANY, VMADDR_CID_LOCAL } from '../../abi/vm-sockets.js';
import type { Rng } from '../rng.js';
import type { Channel } from './channel.js';
import { receiveDatagram, sendDatagram } from './datagram.js';
import { Handshake } from './handshake.js';
import type { DatagramTransport, Link, Transport } from './link.js';
import type { VsockProfile } from './profile.js';
import { receive, resetFor, socketType } from './protocol.js';
import type { Socket, SocketType, VsockAddress } from './socket.js';
import type { Stack } from './stack.js';
import type { SocketTables } from './tables.js';
import { VirtioLink } from './virtio-link.js';

export interface VirtioSideOptions {
  readonly rng: Rng;
  /** The channel that leads to a CID; undefined when there is none. CID 1 is the machine itself. */
  channelTo(cid: number): Channel | undefined;
  nowMs(): number;
}

export class VirtioSide implements Transport, DatagramTransport {
  readonly #options: VirtioSideOptions;
  readonly #stack: Stack;
  readonly #tables: SocketTables;
  readonly #handshake: Handshake;

  constructor(stack: Stack, tables: SocketTables, options: VirtioSideOptions) {
    this.#options = options;
    this.#stack = stack;
    this.#tables = tables;
    this.#handshake = new Handshake(options.rng);
  }

  get seqpacket(): boolean {
    return this.#profile.seqpacket;
  }

  get #profile(): VsockProfile {
    return this.#stack.profile;
  }

  reaches(cid: number): boolean {
    return this.#channelTo(cid) !== undefined;
  }

  link(socket: Socket): Link {
    const channel = this.#knownChannelTo(socket.peer?.cid ?? VMADDR_CID_ANY);
    return this.#join(socket, channel, this.#stack.cid);
  }

  check(address: VsockAddress): void {
    if (!this.reaches(address.cid)) throw new SystemError('ENODEV', { syscall: 'connect' });
  }

  bind(socket: Socket, address: VsockAddress): void {
    this.#tables.bind(socket, address);
  }

  /** @throws SystemError EMSGSIZE. */
  send(socket: Socket, data: Uint8Array, to: VsockAddress): void {
    const channel = this.#knownChannelTo(to.cid);
    sendDatagram(channel, { cid: this.#stack.cid, port: socket.local.port }, to, data);
  }

  release(socket: Socket): void {
    this.#tables.remove(socket);
  }

  /** A packet from a channel. Answers go out by the channel that leads to its source. */
  receive(header: PacketHeader, payload: Uint8Array, answers: Channel): void {
    const type = socketType(header.type);
    const destination = { cid: header.dstCid, port: header.dstPort };
    if (type === 'dgram' && this.#profile.datagrams) {
      receiveDatagram(this.#tables.findBound(destination), header, payload);
      return;
    }
    const source = { cid: header.srcCid, port: header.srcPort };
    const socket =
      this.#tables.findConnected(source, header.dstPort) ?? this.#tables.findBound(destination);
    if (socket === undefined && this.#defer(header, type, answers)) return;
    if (socket === undefined || socket.done || socket.type !== type) {
      this.#answerReset(header, answers);
    } else if (socket.state === 'listen') {
      this.#receiveListen(socket, header, answers);
    } else {
      this.#deliver(socket, header, payload, answers);
    }
  }

  #channelTo(cid: number): Channel | undefined {
    return this.#options.channelTo(this.#stack.isOwnCid(cid) ? VMADDR_CID_LOCAL : cid);
  }

  /** For a CID that is reached. */
  #knownChannelTo(cid: number): Channel {
    const channel = this.#channelTo(cid);
    if (channel === undefined) throw new SystemError('ENODEV', { syscall: 'connect' });
    return channel;
  }

  #isLoopback(channel: Channel): boolean {
    return channel === this.#options.channelTo(VMADDR_CID_LOCAL);
  }

  /** What packets through a channel carry as their source: on the loopback always its CID, whichever was dialled. */
  #sourceCid(channel: Channel, cid: number): number {
    return this.#isLoopback(channel) ? VMADDR_CID_LOCAL : cid;
  }

  #join(socket: Socket, channel: Channel, cid: number): VirtioLink {
    socket.sourceCid = this.#sourceCid(channel, cid);
    const link = new VirtioLink(socket, channel, this.#isLoopback(channel));
    socket.link = link;
    return link;
  }

  /** Whether a packet comes from another than the peer. To the loopback the CIDs of its machine are all one. */
  #isForeign(socket: Socket, link: VirtioLink, header: PacketHeader, from: Channel): boolean {
    if (socket.peer?.port !== header.srcPort) return true;
    return this.#isLoopback(from) ? link.channel !== from : socket.peer.cid !== header.srcCid;
  }

  #answerReset(header: PacketHeader, answers: Channel): void {
    if (header.op === VIRTIO_VSOCK_OP_RST) return;
    if (this.#profile.unknownSocket === 'ignore') return;
    answers.reply(resetFor(header));
  }

  #deliver(socket: Socket, header: PacketHeader, payload: Uint8Array, answers: Channel): void {
    const { link } = socket;
    const ours = link instanceof VirtioLink;
    const checks = this.#profile.checksSource;
    if (!ours || (checks && this.#isForeign(socket, link, header, answers))) {
      this.#answerReset(header, answers);
      return;
    }
    if (socket.local.cid !== VMADDR_CID_ANY) {
      socket.local = { cid: header.dstCid, port: socket.local.port };
    }
    const verdict = receive(link, header, payload);
    if (verdict === 'connected') this.#tables.connect(socket);
    if (verdict === 'reset') this.#answerReset(header, answers);
  }

  #receiveListen(listener: Socket, header: PacketHeader, answers: Channel): void {
    const step = this.#handshake.step(this.#profile, header, this.#options.nowMs());
    const full = listener.acceptQueue.length > listener.backlog;
    if (step === 'refuse' || (full && step !== 'ignore')) {
      this.#answerReset(header, answers);
    } else if (step === 'accept') {
      const child = this.#stack.child(listener.type, listener);
      const link = this.#adopt(child, header, answers);
      this.#stack.established(child);
      if (this.#profile.handshake === 'two-way') link.accept();
      listener.acceptQueue.push(child);
      this.#stack.wake(listener);
    } else if (step !== 'ignore') {
      const srcCid = this.#sourceCid(answers, step.srcCid);
      answers.reply({ ...step, srcCid, bufAlloc: listener.bufferSize });
    }
  }

  /** Joins a new socket to whoever sent a packet. */
  #adopt(child: Socket, header: PacketHeader, answers: Channel): VirtioLink {
    child.local = { cid: header.dstCid, port: header.dstPort };
    child.peer = { cid: header.srcCid, port: header.srcPort };
    const link = this.#join(child, answers, header.dstCid);
    link.credit.heard(header.bufAlloc, header.fwdCnt);
    return link;
  }

  #defer(header: PacketHeader, type: SocketType | undefined, answers: Channel): boolean {
    if (type !== 'stream' || !this.#handshake.opens(this.#profile, header)) return false;
    if (!this.#stack.mayDefer(header.dstCid)) return false;
    const child = this.#stack.child(type);
    this.#adopt(child, header, answers);
    this.#stack.defer(child);
    return true;
  }
}
