/**
 * One connection over VMCI: its bytes are in a queue pair that both ends have, and control packets only tell of them.
 * Source: Linux net/vmw_vsock/vmci_transport.c.
 */
import { SystemError } from '../../abi/errno.js';
import {
  VIRTIO_VSOCK_SHUTDOWN_MASK,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from '../../abi/virtio-vsock.js';
import type { Queue, QueueEnds } from '../../abi/vmci-queue.js';
import {
  VMCI_TRANSPORT_PACKET_TYPE_ATTACH,
  VMCI_TRANSPORT_PACKET_TYPE_RST,
  VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN,
} from '../../abi/vmci-vsock.js';
import type { Handle, KernelQueuePair } from '../vmci/parts.js';
import type { Link, Patience, Queues } from './link.js';
import type { Socket } from './socket.js';
import type { Words } from './vmci-control.js';
import { type Measures, type Notified, type Notifier, notifier } from './vmci-notify.js';
import { check } from './vmci-result.js';
import type { VmciSide } from './vmci-side.js';

export class VmciLink implements Link, Notified {
  readonly loopback = false;
  /** REQUEST2 was said, and not yet answered. */
  requested = false;
  /** Very old kernels send RST after an INVALID, which means nothing. */
  ignoresReset = false;
  /** The pair that a deferred connection has been offered. */
  offered: Handle | undefined;
  #pair: KernelQueuePair | undefined;
  /** Its queues, as they were last there. */
  #queues: QueueEnds | undefined;
  /** They stay readable when an end has left. */
  #keepsPages = false;
  #notifier: Notifier | undefined;
  #generation: 'old' | 'new' = 'new';

  constructor(
    readonly socket: Socket,
    readonly side: VmciSide,
  ) {}

  /** The connection's queue pair, once there is one. */
  get handle(): Handle | undefined {
    return this.#pair?.handle;
  }

  get size(): number {
    return this.#pair?.produceSize ?? 0;
  }

  get hasData(): boolean {
    const ready = this.#now()?.consume.bufReady ?? 0;
    // What makes no sense is told by a read.
    return ready !== 0;
  }

  get queues(): Queues {
    const ends = this.#now() ?? this.#pair?.saved;
    return {
      received: Math.max(0, ends?.consume.bufReady ?? 0),
      unconsumed: Math.max(0, ends?.produce.bufReady ?? 0),
      room: Math.max(0, ends?.produce.freeSpace ?? 0),
    };
  }

  /** What both ends agreed on; the queue pair comes later. */
  speak(generation: 'old' | 'new'): void {
    this.#generation = generation;
  }

  /** Takes the queue pair of the connection. */
  join(pair: KernelQueuePair): void {
    this.#pair = pair;
    this.#keepsPages = this.side.keepsPages(this.socket.peer?.cid);
    this.#now();
    this.#notifier = notifier(this.#generation, this);
    this.side.joined(this, pair.handle);
  }

  /** The other end has come, and with it perhaps the pages. */
  peerCame(): void {
    this.#now();
  }

  connect(): void {
    check(this.side.request(this), 'connect');
  }

  giveUp(): void {
    this.release();
  }

  accept(): boolean {
    return this.offered !== undefined && this.side.attach(this, this.offered);
  }

  refuse(): void {
    this.say(VMCI_TRANSPORT_PACKET_TYPE_RST);
    this.release();
  }

  send(data: Uint8Array, patience: Patience): number {
    const queue = this.#now()?.produce;
    // Its pages are away for a while. Whoever brings them wakes the socket.
    if (queue === undefined) return 0;
    const before = measure(queue);
    if (before === undefined) throw broken('send');
    const written = before.free === 0 || data.length === 0 ? 0 : queue.enqueue(data);
    if (written < 0) throw broken('send');
    if (written > 0) this.#notifier?.hasWritten(written, before);
    if (written < data.length && patience === 'waits') this.#notifier?.writeBlocks();
    return written;
  }

  sendMessage(): number {
    throw new SystemError('EOPNOTSUPP', { syscall: 'send' });
  }

  recv(max: number, patience: Patience): Uint8Array | undefined {
    const queue = this.#now()?.consume;
    if (queue === undefined) return undefined;
    const before = measure(queue);
    if (before === undefined) throw broken('recv');
    if (before.ready === 0) {
      if (patience === 'waits' && this.#mayWait()) this.#notifier?.readBlocks();
      return undefined;
    }
    const bytes = new Uint8Array(Math.min(max, before.ready));
    const read = bytes.length === 0 ? 0 : queue.dequeue(bytes);
    // The other end may write the indexes meanwhile, and anything into them.
    if (read < 0) throw broken('recv');
    if (read > 0) this.#notifier?.hasRead(read, before);
    return bytes.subarray(0, read);
  }

  recvMessage(): undefined {
    return undefined;
  }

  shutdown(directions: number): void {
    this.say(VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN, { size: directions });
  }

  /** The peer learns that this end has left the queue pair. */
  close(): void {
    this.socket.host.remove(this.socket);
    this.release();
  }

  /** What has been received stays readable where the pages are this end's own. */
  drop(): void {
    this.release();
  }

  bufferChanged(): void {}

  /** Sends a control packet to the peer. @returns a negative result of VMCI, or bytes. */
  say(type: number, words?: Words): number {
    return this.side.say(this.socket, type, words);
  }

  /** A control packet other than those that the side takes itself, of a connection that stands. */
  hear(type: number): void {
    this.#notifier?.hear(type);
  }

  produce(): Measures | undefined {
    return measure(this.#now()?.produce);
  }

  consume(): Measures | undefined {
    return measure(this.#now()?.consume);
  }

  peerReads(): boolean {
    return (this.socket.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) === 0;
  }

  peerWrites(): boolean {
    return (this.socket.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) === 0;
  }

  wake(): void {
    this.socket.host.wake(this.socket);
  }

  /** The peer says that it sends no more, takes no more, or both. */
  peerShutDown(directions: number): void {
    const { socket } = this;
    socket.peerShutdown |= directions & VIRTIO_VSOCK_SHUTDOWN_MASK;
    if (directions !== 0) this.wake();
  }

  /** The connection stands, or was being made, and the peer's kernel knows it no more. */
  peerReset(): void {
    const { socket } = this;
    const saidAll = (socket.peerShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0;
    const reads = (socket.ownShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) === 0;
    if (!saidAll && reads && !socket.done) socket.cutOff = true;
    socket.finish();
  }

  /** The peer has left the queue pair, which is how a close looks. */
  peerLeft(): void {
    const { socket } = this;
    if (socket.state === 'connecting') this.side.fail(this, 'ECONNRESET');
    else if (!socket.done) socket.finish();
  }

  /** Tells the peer that its queue pair was attached to. */
  sayAttached(): number {
    return this.say(VMCI_TRANSPORT_PACKET_TYPE_ATTACH, this.#pair && { handle: this.#pair.handle });
  }

  /** Leaves the queue pair. */
  release(): void {
    const pair = this.#pair;
    if (pair === undefined) return;
    this.#now();
    this.#pair = undefined;
    this.side.left(pair.handle);
    pair.detach();
  }

  #mayWait(): boolean {
    const { state, peerShutdown, ownShutdown } = this.socket;
    const ended =
      (peerShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) | (ownShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV);
    return state === 'connected' && ended === 0;
  }

  /** The host's end has queues only while the guest's pages are there, but what a simulated guest leaves behind stays. */
  #now(): QueueEnds | undefined {
    const ends = this.#pair?.queues;
    if (ends !== undefined) this.#queues = ends;
    return ends ?? (this.#keepsPages ? this.#queues : undefined);
  }
}

function measure(queue: Queue | undefined): Measures | undefined {
  const indexes = queue?.indexes();
  if (queue === undefined || indexes === undefined || typeof indexes === 'number') return undefined;
  const { tail, head } = indexes;
  const ready = tail >= head ? tail - head : tail - head + queue.size;
  return { tail, head, ready, free: queue.size - 1 - ready };
}

/** All that can go wrong with a queue is one error. */
function broken(syscall: string): SystemError {
  return new SystemError('ENOMEM', { syscall, message: 'the indexes of the queue make no sense' });
}
