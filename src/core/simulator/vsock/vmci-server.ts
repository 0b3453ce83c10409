/**
 * The side of connections over VMCI that is asked for them: children of listeners that are not connected yet, and
 * connections that wait for somebody to claim them. Source: Linux net/vmw_vsock/vmci_transport.c.
 */
import { isInvalidHandle } from '../../abi/vmci.js';
import { VMCI_QPFLAG_ATTACH_ONLY, VMCI_QPFLAG_LOCAL } from '../../abi/vmci-queue-pair.js';
import {
  VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE,
  VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2,
  VMCI_TRANSPORT_PACKET_TYPE_OFFER,
  VMCI_TRANSPORT_PACKET_TYPE_REQUEST,
  VMCI_TRANSPORT_PACKET_TYPE_REQUEST2,
  VMCI_TRANSPORT_PACKET_TYPE_RST,
  VSOCK_PROTO_ALL_SUPPORTED,
  VSOCK_PROTO_INVALID,
} from '../../abi/vmci-vsock.js';
import type { Handle } from '../vmci/parts.js';
import type { Socket } from './socket.js';
import type { Control } from './vmci-control.js';
import type { VmciLink } from './vmci-link.js';
import type { VmciSide } from './vmci-side.js';

/** How long a child may take to be connected, milliseconds. */
export const PENDING_TIMEOUT_MS = 1000;
/** Connections without a listener that are being made at a time. */
const MAX_UNCLAIMED = 1024;

/** A child that is not connected yet. */
interface Pending {
  readonly link: VmciLink;
  /** Undefined for a connection that somebody may claim. */
  readonly listener: Socket | undefined;
}

export class VmciServer {
  readonly #side: VmciSide;
  /** By the addresses of the connection. */
  readonly #pending = new Map<string, Pending>();

  constructor(side: VmciSide) {
    this.#side = side;
  }

  close(): void {
    for (const { link } of this.#pending.values()) this.#forget(link);
  }

  /** Whether a packet to a port without a listener is for a connection that somebody may claim. */
  takes(control: Control): boolean {
    const pending = this.#pending.get(key(control));
    if (pending !== undefined) return pending.listener === undefined;
    const { from, to } = control;
    const mayBegin = this.#side.isGuest(from.cid) && this.#side.stack.mayDefer(to.cid);
    return asks(control) && mayBegin && this.#childrenOf(undefined) < MAX_UNCLAIMED;
  }

  /** A packet for a listener, or one that is taken without: from a stranger, or for a child. */
  received(listener: Socket | undefined, control: Control): void {
    const pending = this.#pending.get(key(control));
    if (pending !== undefined && pending.listener === listener) {
      this.#offered(pending, control);
    } else if (!asks(control) || (listener !== undefined && !this.#hasRoom(listener))) {
      this.#side.answerReset(control);
    } else {
      const link = this.#negotiate(this.#side.stack.child('stream', listener), control);
      if (link !== undefined) this.#keep(control, { link, listener });
    }
  }

  /**
   * Attaches to the queue pair that the client has offered, and tells it. False when that fails: then the client has been
   * refused.
   */
  attach(link: VmciLink, handle: Handle): boolean {
    const { socket } = link;
    const local = socket.peer?.cid === socket.local.cid ? VMCI_QPFLAG_LOCAL : 0;
    const flags = VMCI_QPFLAG_ATTACH_ONLY | local;
    const failed = this.#side.allocPair(link, { handle, flags, size: socket.bufferSize });
    if (failed === undefined) {
      this.#side.stack.established(socket);
      if (link.sayAttached() >= 0) return true;
    }
    link.say(VMCI_TRANSPORT_PACKET_TYPE_RST);
    socket.state = 'closed';
    socket.host.remove(socket);
    link.release();
    return false;
  }

  /** What a child's client says: it offers a queue pair, or the child is given up. */
  #offered({ link, listener }: Pending, control: Control): void {
    const { type, handle } = control;
    this.#forget(link);
    if (type !== VMCI_TRANSPORT_PACKET_TYPE_OFFER || isInvalidHandle(handle)) {
      this.#side.answerReset(control);
    } else if (listener === undefined) {
      link.offered = handle;
      this.#side.stack.defer(link.socket);
    } else if (this.attach(link, handle)) {
      listener.acceptQueue.push(link.socket);
      this.#side.stack.wake(listener);
    }
  }

  #hasRoom(listener: Socket): boolean {
    const waiting = listener.acceptQueue.length + this.#childrenOf(listener);
    return listener.type === 'stream' && waiting < listener.backlog;
  }

  /** Answers a request: with the client's size where that suits the child, else with the child's own. */
  #negotiate(child: Socket, control: Control): VmciLink | undefined {
    const { from, to, type, proto, size } = control;
    child.local = to;
    child.peer = from;
    const link = this.#side.link(child);
    const suits = size >= child.bufferMin && size <= child.bufferMax;
    const agreed = suits ? size : child.bufferSize;
    const old = type === VMCI_TRANSPORT_PACKET_TYPE_REQUEST;
    const common = old ? VSOCK_PROTO_INVALID : highestBit(proto & VSOCK_PROTO_ALL_SUPPORTED);
    const answer = old
      ? VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE
      : VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2;
    const refused = !old && common === VSOCK_PROTO_INVALID;
    if (refused || link.say(answer, { size: agreed, proto: common }) < 0) {
      this.#side.answerReset(control);
      return undefined;
    }
    link.speak(old ? 'old' : 'new');
    child.bufferSize = agreed;
    return link;
  }

  #keep(control: Control, pending: Pending): void {
    const { socket } = pending.link;
    const name = key(control);
    const before = this.#pending.get(name);
    if (before !== undefined) this.#forget(before.link);
    socket.state = 'connecting';
    this.#pending.set(name, pending);
    socket.deadline = socket.host.after(PENDING_TIMEOUT_MS, () => this.#forget(pending.link));
  }

  #forget(link: VmciLink): void {
    link.socket.deadline?.cancel();
    for (const [name, pending] of this.#pending) {
      if (pending.link === link) this.#pending.delete(name);
    }
  }

  #childrenOf(listener: Socket | undefined): number {
    let count = 0;
    for (const pending of this.#pending.values()) if (pending.listener === listener) count++;
    return count;
  }
}

function asks({ type, size }: Control): boolean {
  const request =
    type === VMCI_TRANSPORT_PACKET_TYPE_REQUEST || type === VMCI_TRANSPORT_PACKET_TYPE_REQUEST2;
  return request && size > 0;
}

function highestBit(mask: number): number {
  return mask === 0 ? 0 : 2 ** (31 - Math.clz32(mask));
}

function key({ from, to }: Control): string {
  return `${from.cid}:${from.port}:${to.cid}:${to.port}`;
}
