/**
 * When the ends of a connection over VMCI tell each other about its queues. Two generations: peers of the new one speak
 * when a queue was empty or full before; those of the old one only when they were asked to.
 * Source: Linux net/vmw_vsock/vmci_transport_notify_qstate.c, vmci_transport_notify.c.
 */
import { VMCI_PAGE_SIZE } from '../../abi/vmci-queue.js';
import {
  VMCI_TRANSPORT_MAX_DGRAM_RESENDS,
  VMCI_TRANSPORT_PACKET_TYPE_READ,
  VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ,
  VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE,
  VMCI_TRANSPORT_PACKET_TYPE_WROTE,
} from '../../abi/vmci-vsock.js';
import type { Words } from './vmci-control.js';

/** A queue's measures now; undefined where it has none, or they make no sense. */
export interface Measures {
  readonly free: number;
  readonly ready: number;
  readonly tail: number;
  readonly head: number;
}

/** A connection, as its notifier needs it. */
export interface Notified {
  /** Bytes of each queue. */
  readonly size: number;
  produce(): Measures | undefined;
  consume(): Measures | undefined;
  /** Sends a control packet; a negative result of VMCI. */
  say(type: number, words?: Words): number;
  /** Whether the peer has not said that it reads, or writes, no more. */
  peerReads(): boolean;
  peerWrites(): boolean;
  /** The program may find the socket changed. */
  wake(): void;
}

/** Bytes that a reader wants at least. */
const TARGET = 1;

/** Holds back news of room for a peer that writes faster than this end reads. */
class WriteWindow {
  #window: number;
  #least: number;
  #peerWaits = false;
  #seen = false;

  constructor(private readonly size: number) {
    this.#window = size;
    this.#least = Math.min(VMCI_PAGE_SIZE, size);
  }

  peerWaits(): void {
    this.#peerWaits = true;
  }

  told(): void {
    this.#peerWaits = false;
  }

  /** The reader has to wait: the peer may be told earlier. */
  grow(): void {
    if (this.#window >= this.size) return;
    this.#window = Math.min(this.#window + VMCI_PAGE_SIZE, this.size);
  }

  /** A reader begins to read. True when the peer has to be told before that waits. */
  raise(target: number): boolean {
    if (this.#least >= target + 1) return false;
    this.#least = target + 1;
    if (this.#window >= this.#least) return false;
    this.#window = this.#least;
    return true;
  }

  /** Whether the peer is to be told of room, with so much of it. */
  wants(free: number): boolean {
    if (!this.#peerWaits) return false;
    if (!this.#seen) this.#shrink();
    this.#seen = true;
    const due = free > this.size - this.#window;
    if (due) this.#seen = false;
    return due;
  }

  /** That the sender had to wait is a sign that it is faster. */
  #shrink(): void {
    const smaller = this.#window < VMCI_PAGE_SIZE ? this.#least : this.#window - VMCI_PAGE_SIZE;
    this.#window = Math.max(smaller, this.#least);
  }
}

/** What both generations share: who is told of room, and how. */
abstract class Notifier {
  protected readonly window: WriteWindow;

  constructor(protected readonly link: Notified) {
    this.window = new WriteWindow(link.size);
  }

  /** A reader found nothing, and waits. */
  readBlocks(): void {
    const early = this.window.raise(TARGET);
    this.waitsForData();
    if (early) this.tellOfRoom();
  }

  /** A writer found less room than it wanted, and waits. */
  abstract writeBlocks(): void;
  /** So many bytes were read; `before` is how the queue was then. */
  abstract hasRead(count: number, before: Measures): void;
  abstract hasWritten(count: number, before: Measures): void;
  /** A control packet of a connection that stands. */
  abstract hear(type: number): void;

  protected abstract waitsForData(): void;

  /** Says READ when the peer waits for room, and there is enough. */
  protected tellOfRoom(): void {
    const free = this.link.consume()?.free;
    if (free === undefined || !this.window.wants(free)) return;
    if (this.tell(VMCI_TRANSPORT_PACKET_TYPE_READ)) this.window.told();
  }

  /**
   * False when it could not be sent, however often. Linux says READ to nobody who has stopped reading himself, so that who
   * writes on waits for ever; that is not imitated.
   */
  protected tell(type: number): boolean {
    const { link } = this;
    const matters = type === VMCI_TRANSPORT_PACKET_TYPE_READ ? link.peerWrites() : link.peerReads();
    for (let n = 0; n < VMCI_TRANSPORT_MAX_DGRAM_RESENDS; n++) {
      if (!matters || link.say(type) >= 0) return true;
    }
    return false;
  }
}

/** VSOCK_PROTO_PKT_ON_NOTIFY. */
class NewNotifier extends Notifier {
  writeBlocks(): void {}

  hasRead(count: number): void {
    if (this.link.consume()?.free === count) this.window.peerWaits();
    this.tellOfRoom();
  }

  hasWritten(count: number): void {
    if (this.link.produce()?.ready === count) this.tell(VMCI_TRANSPORT_PACKET_TYPE_WROTE);
  }

  hear(type: number): void {
    const news =
      type === VMCI_TRANSPORT_PACKET_TYPE_WROTE || type === VMCI_TRANSPORT_PACKET_TYPE_READ;
    if (news) this.link.wake();
  }

  protected waitsForData(): void {
    this.window.grow();
  }
}

/** The generation before. */
class OldNotifier extends Notifier {
  #peerWaitsForData = false;
  #askedForData = false;
  #askedForRoom = false;
  /** How often each queue has come round. */
  #produceTurns = 0n;
  #consumeTurns = 0n;

  writeBlocks(): void {
    const queue = this.link.produce();
    if (queue === undefined || this.#askedForRoom) return;
    const needed = TARGET + 1;
    const left = this.link.size - queue.tail;
    const wraps = needed >= left;
    const wait = {
      offset: BigInt(wraps ? needed - left : queue.tail + needed),
      generation: BigInt.asUintN(64, wraps ? this.#produceTurns : this.#produceTurns - 1n),
    };
    this.#askedForRoom = this.link.say(VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE, { wait }) > 0;
  }

  hasRead(count: number, before: Measures): void {
    if (count >= this.link.size - before.head) this.#consumeTurns++;
    this.tellOfRoom();
  }

  hasWritten(count: number, before: Measures): void {
    if (count >= this.link.size - before.tail) this.#produceTurns++;
    this.#tellOfData();
  }

  hear(type: number): void {
    if (type === VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ) {
      this.#peerWaitsForData = true;
      this.#tellOfData();
    } else if (type === VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE) {
      this.window.peerWaits();
      this.tellOfRoom();
    } else if (type === VMCI_TRANSPORT_PACKET_TYPE_WROTE) {
      this.#askedForData = false;
      this.link.wake();
    } else if (type === VMCI_TRANSPORT_PACKET_TYPE_READ) {
      this.#askedForRoom = false;
      this.link.wake();
    }
  }

  protected waitsForData(): void {
    const queue = this.link.consume();
    if (queue === undefined || this.#askedForData) return;
    this.window.grow();
    const left = this.link.size - queue.head;
    const wraps = TARGET >= left;
    const wait = {
      offset: BigInt(wraps ? TARGET - left : queue.head + TARGET),
      generation: wraps ? this.#consumeTurns + 1n : this.#consumeTurns,
    };
    this.#askedForData = this.link.say(VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ, { wait }) > 0;
  }

  #tellOfData(): void {
    if (!this.#peerWaitsForData || (this.link.produce()?.ready ?? 0) === 0) return;
    if (this.tell(VMCI_TRANSPORT_PACKET_TYPE_WROTE)) this.#peerWaitsForData = false;
  }
}

export type { Notifier };

/** @param generation which one both ends speak. */
export function notifier(generation: 'old' | 'new', link: Notified): Notifier {
  return generation === 'old' ? new OldNotifier(link) : new NewNotifier(link);
}
