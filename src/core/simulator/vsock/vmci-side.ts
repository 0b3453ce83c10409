/**
 * The VMCI transport of one machine: control packets from and to its kernel's endpoint, and which socket they mean.
 * Source: Linux net/vmw_vsock/vmci_transport.c.
 */
import type { ErrorCode } from '../../abi/errno.js';
import { VMADDR_CID_ANY, VMADDR_CID_HYPERVISOR, VMADDR_CID_LOCAL } from '../../abi/vm-sockets.js';
import { handleText, VMCI_PRIVILEGE_FLAG_TRUSTED } from '../../abi/vmci.js';
import { VMCI_FLAG_ANYCID_DG_HND } from '../../abi/vmci-datagram.js';
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import {
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
  VMCI_EVENT_QP_RESUMED,
  vmci_event_data,
  vmci_event_payld_qp,
} from '../../abi/vmci-event.js';
import {
  VMCI_TRANSPORT_PACKET_RID,
  VMCI_TRANSPORT_PACKET_TYPE_INVALID,
  VMCI_TRANSPORT_PACKET_TYPE_MAX,
  VMCI_TRANSPORT_PACKET_TYPE_REQUEST2,
  VMCI_TRANSPORT_PACKET_TYPE_RST,
  VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN,
  VSOCK_PROTO_ALL_SUPPORTED,
} from '../../abi/vmci-vsock.js';
import { type Caller, hasCapability } from '../node.js';
import type { Datagram, Handle, KernelApi } from '../vmci/parts.js';
import type { Transport } from './link.js';
import type { Socket } from './socket.js';
import type { Stack } from './stack.js';
import { receiveAsClient } from './vmci-client.js';
import {
  type Control,
  decodeControl,
  encodeControl,
  packetResource,
  type Words,
} from './vmci-control.js';
import { VmciDatagrams } from './vmci-datagrams.js';
import { endpointOf } from './vmci-endpoint.js';
import { VmciLink } from './vmci-link.js';
import { errorOf } from './vmci-result.js';
import { VmciServer } from './vmci-server.js';
import type { VmciWork } from './vmci-work.js';

/** What a kernel knows of the context of somebody else. */
export interface OtherContext {
  /** It may only talk to those that are trusted. */
  readonly restricted: boolean;
  /** Whose it is; undefined where that is not known. */
  readonly uid: number | undefined;
}

export interface VmciSideOptions {
  readonly stack: Stack;
  readonly api: KernelApi;
  readonly work: VmciWork;
  /** What a packet of a context is about: the guest, for its own side too. */
  lane(cid: number): number;
  /** Whether there is anybody to talk to. */
  active(): boolean;
  /** Whether connections to a CID go through VMCI. */
  reaches(cid: number): boolean;
  context(cid: number): OtherContext;
  /** Whether a context is a simulated guest's, whose pages and host connections are of this simulation. */
  isGuest(cid: number): boolean;
}

export class VmciSide implements Transport {
  readonly seqpacket = false;
  readonly datagrams: VmciDatagrams;
  readonly #options: VmciSideOptions;
  readonly #server: VmciServer;
  /** By queue pair. */
  readonly #links = new Map<string, VmciLink>();
  readonly #endpoint: Handle | number;
  readonly #subscriptions: number[];

  constructor(options: VmciSideOptions) {
    this.#options = options;
    const { api } = options;
    this.#server = new VmciServer(this);
    this.datagrams = new VmciDatagrams(api, (socket, cid) => this.allows(socket, cid));
    this.#endpoint = endpointOf(
      api,
      VMCI_TRANSPORT_PACKET_RID,
      VMCI_FLAG_ANYCID_DG_HND,
      (datagram) => this.#arrived(datagram),
    );
    this.#subscriptions = [
      api.subscribe(VMCI_EVENT_QP_PEER_ATTACH, (payload) => this.#attached(payload)),
      api.subscribe(VMCI_EVENT_QP_PEER_DETACH, (payload) => this.#detached(payload)),
      api.subscribe(VMCI_EVENT_QP_RESUMED, () => this.#resumed()),
    ];
  }

  get stack(): Stack {
    return this.#options.stack;
  }

  get api(): KernelApi {
    return this.#options.api;
  }

  /** Whether there is anybody to talk to: as a module that is loaded when it is needed. */
  get active(): boolean {
    return this.#options.active();
  }

  /** The transport is not used any more. */
  close(): void {
    const { api } = this.#options;
    if (typeof this.#endpoint !== 'number') api.destroyDatagramHandle(this.#endpoint);
    for (const id of this.#subscriptions) api.unsubscribe(id);
    this.#server.close();
    this.datagrams.close();
    for (const link of [...this.#links.values()]) link.release();
  }

  reaches(cid: number): boolean {
    return cid !== VMADDR_CID_ANY && cid !== VMADDR_CID_LOCAL && this.#options.reaches(cid);
  }

  link(socket: Socket): VmciLink {
    const link = new VmciLink(socket, this);
    socket.link = link;
    socket.sourceCid = this.api.cid;
    return link;
  }

  /** Asks for a connection, in the newest way. @returns a result of VMCI. */
  request(link: VmciLink): number {
    const words = { size: link.socket.bufferSize, proto: VSOCK_PROTO_ALL_SUPPORTED };
    const result = link.say(VMCI_TRANSPORT_PACKET_TYPE_REQUEST2, words);
    link.requested = result >= 0;
    // Without a socket there the other kernel says so by a RST, too, which tells programs more.
    return result === R.VMCI_ERROR_NOT_FOUND ? R.VMCI_SUCCESS : result;
  }

  /** See VmciServer. */
  attach(link: VmciLink, handle: Handle): boolean {
    return this.#server.attach(link, handle);
  }

  /** Sends a control packet to a socket's peer. @returns a result of VMCI. */
  say(socket: Socket, type: number, words?: Words): number {
    if (socket.peer === undefined) return R.VMCI_ERROR_INVALID_ARGS;
    return this.#send(encodeControl(type, socket.local, socket.peer, words));
  }

  /** Answers RST to whatever was said, but RST. */
  answerReset({ type, from, to }: Control): void {
    if (type === VMCI_TRANSPORT_PACKET_TYPE_RST) return;
    this.#send(encodeControl(VMCI_TRANSPORT_PACKET_TYPE_RST, to, from));
  }

  /** A connection that was being made can't be. */
  fail(link: VmciLink, error: ErrorCode): void {
    const { socket } = link;
    socket.deadline?.cancel();
    link.release();
    socket.state = 'closed';
    socket.error = error;
    link.wake();
  }

  /** Allocates an end of a queue pair as `alloc` says, as a trusted kernel where the socket is trusted. */
  allocPair(
    link: VmciLink,
    request: { handle: Handle | undefined; flags: number; size: number },
  ): ErrorCode | undefined {
    const { handle, flags, size } = request;
    const { socket } = link;
    const peer = socket.peer?.cid ?? VMADDR_CID_ANY;
    const sizes = { produceSize: size, consumeSize: size };
    const wish = { handle, peer, flags, ...sizes, wakeup: () => link.wake() };
    const trusted = this.#isTrusted(socket, peer);
    let pair = this.api.allocQueuePair({
      ...wish,
      privileges: trusted ? VMCI_PRIVILEGE_FLAG_TRUSTED : 0,
    });
    if (trusted && pair === R.VMCI_ERROR_NO_ACCESS) {
      pair = this.api.allocQueuePair({ ...wish, privileges: 0 });
    }
    if (typeof pair === 'number') return errorOf(pair);
    link.join(pair);
    return undefined;
  }

  /** A link has a queue pair, whose events are for it. */
  joined(link: VmciLink, handle: Handle): void {
    this.#links.set(handleText(handle), link);
  }

  left(handle: Handle): void {
    this.#links.delete(handleText(handle));
  }

  /** Whether the pages of a connection stay readable when it is over: they are a simulated guest's. */
  keepsPages(peer: number | undefined): boolean {
    const { isGuest } = this.#options;
    return isGuest(this.api.cid) || (peer !== undefined && isGuest(peer));
  }

  isGuest(cid: number): boolean {
    return this.#options.isGuest(cid);
  }

  /** Whether a socket may talk to a context: with a restricted one only sockets that are trusted. */
  allows(socket: Socket, cid: number): boolean {
    if (cid === VMADDR_CID_HYPERVISOR || !this.#options.context(cid).restricted) return true;
    return this.#isTrusted(socket, cid);
  }

  #isTrusted({ caller }: { caller: Caller }, peer: number): boolean {
    const { uid } = this.#options.context(peer);
    return hasCapability(caller, 'CAP_NET_ADMIN') || uid === caller.uid;
  }

  #send(datagram: Datagram): number {
    return this.api.sendDatagram(datagram);
  }

  /** A datagram for the kernel's endpoint. What it brings about is put off. */
  #arrived(datagram: Datagram): number {
    const { context, resource } = datagram.src;
    if (context === VMADDR_CID_LOCAL || packetResource(context) !== resource) {
      return R.VMCI_ERROR_NO_ACCESS;
    }
    const control = decodeControl(datagram);
    if (control === undefined) return R.VMCI_ERROR_INVALID_ARGS;
    const { from, to, type } = control;
    const socket = this.stack.find(from, to);
    if (socket === undefined && !this.#server.takes(control)) {
      this.answerReset(control);
      return R.VMCI_ERROR_NOT_FOUND;
    }
    if (type >= VMCI_TRANSPORT_PACKET_TYPE_MAX) {
      this.#send(encodeControl(VMCI_TRANSPORT_PACKET_TYPE_INVALID, to, from));
      return R.VMCI_ERROR_INVALID_ARGS;
    }
    if (socket !== undefined && !this.allows(socket, from.cid)) return R.VMCI_ERROR_NO_ACCESS;
    const { work, lane } = this.#options;
    const about = lane(from.cid);
    if (work.full(about)) {
      this.answerReset(control);
      return R.VMCI_ERROR_NO_MEM;
    }
    work.add(about, () => this.#received(socket, control));
    return R.VMCI_SUCCESS;
  }

  #received(socket: Socket | undefined, control: Control): void {
    const { link, state = 'listen' } = socket ?? {};
    if (state === 'listen') this.#server.received(socket, control);
    else if (!(link instanceof VmciLink)) this.answerReset(control);
    else if (state === 'connecting') receiveAsClient(link, control);
    else if (state === 'connected') receiveConnected(link, control);
    else if (control.type !== VMCI_TRANSPORT_PACKET_TYPE_RST) this.answerReset(control);
    else if (state === 'deferred') socket?.abort('ECONNRESET');
  }

  #attached(payload: Uint8Array): void {
    this.#linkOf(payload)?.link.peerCame();
  }

  #detached(payload: Uint8Array): void {
    const found = this.#linkOf(payload);
    if (found === undefined) return;
    const { link, key, peer } = found;
    // Behind what the peer has said before.
    this.#options.work.add(this.#options.lane(peer), () => {
      if (this.#links.get(key) === link) link.peerLeft();
    });
  }

  /** Which connection an event of a queue pair is about, with the other end's context. */
  #linkOf(payload: Uint8Array): { link: VmciLink; key: string; peer: number } | undefined {
    if (payload.length < vmci_event_data.size + vmci_event_payld_qp.size) return undefined;
    const { handle, peer_id } = vmci_event_payld_qp.decode(payload.subarray(vmci_event_data.size));
    const key = handleText(handle);
    const link = this.#links.get(key);
    return link && { link, key, peer: peer_id };
  }

  /** The guest was resumed, and all that it was connected to is gone. */
  #resumed(): void {
    const { work, lane } = this.#options;
    for (const link of this.#links.values()) work.add(lane(this.api.cid), () => link.peerLeft());
  }
}

function receiveConnected(link: VmciLink, { type, mode }: Control): void {
  if (type === VMCI_TRANSPORT_PACKET_TYPE_SHUTDOWN) link.peerShutDown(mode);
  else if (type === VMCI_TRANSPORT_PACKET_TYPE_RST) link.peerReset();
  else link.hear(type);
}
