/**
 * Where packets cross between machines. The switch pulls from the channels in turn, checks who sends,
 * applies the policy, feeds the tap, and hands each packet to the socket layer that it is for.
 */
import {
  decodeHeader,
  type PacketHeader,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  virtio_vsock_hdr,
} from '../../abi/virtio-vsock.js';
import { VMADDR_CID_HOST } from '../../abi/vm-sockets.js';
import { Channel, type Packet } from './channel.js';
import { type DropReason, type Drops, noDrops } from './drops.js';
import type { VsockPolicy } from './profile.js';
import { resetFor } from './protocol.js';
import { type Lane, Siblings } from './siblings.js';

/** What a machine's socket layer is to the switch. */
export interface Receiver {
  receive(header: PacketHeader, payload: Uint8Array, answers: Channel): void;
}

/** What a real guest's driver is to the switch: the buffers that it has given to the device. */
export interface Driver {
  /** Bytes of payload that the next buffer takes, 0 when there is none. */
  room(): number;
  /** Puts a packet, with no more payload than that, into the next buffer. */
  take(packet: Packet): void;
}

export interface SwitchCounters {
  packets: number;
  bytes: number;
  dropped: Drops;
}

/**
 * Sees every well-formed packet that reaches the switch, also one that is dropped then, and the channel it came by. The
 * bytes are the tap's only during the call.
 */
export type Tap = (header: Uint8Array, payload: Uint8Array, channel: Channel) => void;

interface Route {
  /** @param pulledAt how many devices there had been when the packet was pulled. */
  deliver(packet: Packet, header: PacketHeader, pulledAt: number): void;
  /** Counts of its sender's own. */
  readonly dropped?: Drops;
}

/** A guest's device: what it sends, and what is sent to it. */
export interface Port {
  readonly cid: number;
  /** From the guest's driver to the device. */
  readonly up: Channel;
  /** From the device to the guest's driver. */
  readonly down: Channel;
  /** Packets from it that were dropped, by reason. */
  readonly dropped: Readonly<Drops>;
}

/** Time, for packets that are under way for a while. */
export interface SwitchTime {
  nowMs(): number;
  after(ms: number, action: () => void): unknown;
}

interface Attached extends Port {
  readonly dropped: Drops;
  /** The how many-th device it is: what was under way before is not for it. */
  readonly order: number;
  readonly lane: Lane;
}

export class Switch {
  policy: VsockPolicy;
  readonly #taps = new Set<Tap>();
  readonly counters: SwitchCounters = {
    packets: 0,
    bytes: 0,
    dropped: noDrops(),
  };
  readonly #ports = new Map<number, Attached>();
  readonly #routes = new Map<Channel, Route>();
  /** Channels that have something to pull. */
  readonly #active = new Set<Channel>();
  readonly #time: SwitchTime;
  readonly #siblings: Siblings;
  #host: Receiver | undefined;
  /** Devices attached so far. */
  #attached = 0;

  constructor(policy: VsockPolicy, time: SwitchTime) {
    this.policy = policy;
    this.#time = time;
    this.#siblings = new Siblings((ms, action) => time.after(ms, action));
  }

  /** Lets somebody see every packet, until the returned function is called. */
  addTap(tap: Tap): () => void {
    this.#taps.add(tap);
    return () => this.#taps.delete(tap);
  }

  /** Sets the host's socket layer, which has CID 2. */
  attachHost(host: Receiver): void {
    this.#host = host;
  }

  /** Gives a guest a device. The caller has made sure that the CID is free. */
  attach(cid: number, guest: Receiver): Port {
    const port: Port = this.#attach(cid, (packet, header) => {
      guest.receive(header, packet.payload, port.up);
    });
    return port;
  }

  /** The same for a guest that is a real kernel. What its driver sends is pulled from sources of `up`. */
  attachDriver(cid: number, driver: Driver): Port {
    const port = this.#attach(cid, (packet) => driver.take(packet));
    port.down.room = () => driver.room();
    this.#siblings.remember(port.lane);
    // A driver that takes no answers gets to ask no more questions.
    port.up.waits = () => port.lane.held.length > 0 || port.down.repliesFull;
    return port;
  }

  /** Takes a guest's device away, with all that is under way to and from it. */
  detach(port: Port): void {
    const attached = this.#ports.get(port.cid);
    if (attached !== port) return;
    this.#ports.delete(port.cid);
    this.#remove(port.up);
    this.#remove(port.down);
    this.#siblings.close(attached.lane);
  }

  /** A channel by which a machine talks to itself (CID 1). */
  attachLoopback(machine: Receiver): Channel {
    const channel = this.#channel();
    this.#routes.set(channel, {
      deliver: (packet, header) => machine.receive(header, packet.payload, channel),
    });
    return channel;
  }

  detachLoopback(channel: Channel): void {
    this.#remove(channel);
  }

  /** The host's channel to a guest. */
  channelTo(cid: number): Channel | undefined {
    return this.#ports.get(cid)?.down;
  }

  /** Whether something waits that could be delivered. */
  get busy(): boolean {
    for (const channel of this.#active) if (channel.flows) return true;
    return false;
  }

  /**
   * Delivers up to `budget` packets, one from each channel in turn.
   * @returns how many were pulled; less than the budget means that nothing is left to do.
   */
  run(budget: number): number {
    let pulled = 0;
    let idle = false;
    while (!idle && pulled < budget) {
      idle = true;
      for (const channel of this.#active) {
        if (pulled >= budget) break;
        if (!channel.flows) continue;
        const packet = channel.pull();
        if (channel.empty) this.#active.delete(channel);
        if (packet === undefined) continue;
        idle = false;
        pulled++;
        this.#send(channel, packet);
      }
    }
    return pulled;
  }

  /** Stops or resumes the traffic of a guest's device, in both directions. */
  stall(port: Port, stalled: boolean): void {
    port.up.stalled = stalled;
    port.down.stalled = stalled;
  }

  /** Loses packets of a guest's device, in both directions, as `chance` says for each; none when it is absent. */
  lose(port: Port, chance: (() => boolean) | undefined): void {
    port.up.loses = chance;
    port.down.loses = chance;
  }

  /**
   * A packet as the driver of a guest puts it on its queue, well-formed or not: for showing what a hostile one can do.
   */
  inject(port: Port, packet: Packet): void {
    this.#deliver(port.up, packet, this.#attached);
  }

  #channel(): Channel {
    return new Channel((channel) => this.#active.add(channel));
  }

  #attach(cid: number, receive: (packet: Packet, header: PacketHeader) => void): Attached {
    const down = this.#channel();
    const lane = this.#siblings.open(cid, down, (header, why) => this.#lost(port, header, why));
    const order = ++this.#attached;
    const port: Attached = { cid, up: this.#channel(), down, dropped: noDrops(), order, lane };
    port.up.waits = () => port.lane.held.length > 0;
    this.#ports.set(cid, port);
    this.#routes.set(port.up, {
      deliver: (packet, header, pulledAt) => this.#fromGuest(port, packet, header, pulledAt),
      dropped: port.dropped,
    });
    this.#routes.set(port.down, { deliver: receive });
    return port;
  }

  #remove(channel: Channel): void {
    channel.close();
    this.#routes.delete(channel);
    this.#active.delete(channel);
  }

  #send(channel: Channel, packet: Packet): void {
    const pulledAt = this.#attached;
    const prompt = channel.latency === undefined && channel.underWay === 0;
    // From guest to guest it is the sender's channel that takes time.
    if (prompt || packet.passed) return this.#deliver(channel, packet, pulledAt);
    const now = this.#time.nowMs();
    const arrival = Math.max(channel.lastArrivalMs, now + (channel.latency?.() ?? 0));
    channel.lastArrivalMs = arrival;
    channel.underWay++;
    this.#time.after(arrival - now, () => {
      channel.underWay--;
      this.#deliver(channel, packet, pulledAt);
    });
  }

  #deliver(channel: Channel, packet: Packet, pulledAt: number): void {
    const route = this.#routes.get(channel);
    if (route === undefined) return this.#drop('detached');
    if (packet.header.length !== virtio_vsock_hdr.size) return this.#drop('malformed', route);
    const header = decodeHeader(packet.header);
    if (header.len !== packet.payload.length) return this.#drop('malformed', route);
    if (channel.loses?.()) return this.#drop('fault', route);
    if (packet.passed !== true) {
      this.counters.packets++;
      this.counters.bytes += packet.payload.length;
      for (const tap of this.#taps) tap(packet.header, packet.payload, channel);
    }
    route.deliver(packet, header, pulledAt);
  }

  #fromGuest(from: Attached, packet: Packet, header: PacketHeader, pulledAt: number): void {
    if (header.srcCid !== from.cid) return this.#drop('spoofed', from);
    if (header.dstCid === VMADDR_CID_HOST) {
      const refused = this.policy === 'host-connects' && header.op === VIRTIO_VSOCK_OP_REQUEST;
      if (refused || this.#host === undefined) return this.#drop('policy', from);
      return this.#host.receive(header, packet.payload, from.down);
    }
    const to = this.#ports.get(header.dstCid);
    if (to === undefined || to === from) return this.#drop('unroutable', from);
    if (to.order > pulledAt) return this.#drop('detached', from);
    if (this.policy === 'siblings') return this.#forward(from, to, packet, header);
    this.#drop('policy', from);
    if (this.policy === 'refuse') answerReset(from, header);
  }

  #forward(from: Attached, to: Attached, packet: Packet, header: PacketHeader): void {
    const carriesBytes = header.op === VIRTIO_VSOCK_OP_RW;
    if (packet.payload.length > 0 && !carriesBytes) return this.#drop('malformed', from);
    this.#siblings.send(from.lane, to.lane, packet, header);
  }

  /** A packet for another guest, which takes none, or whose device is gone. */
  #lost(from: Attached, header: PacketHeader, why: 'full' | 'detached'): void {
    this.#drop(why, from);
    if (why === 'full') answerReset(from, header);
  }

  #drop(reason: DropReason, by?: { dropped?: Drops }): void {
    this.counters.dropped[reason]++;
    if (by?.dropped !== undefined) by.dropped[reason]++;
  }
}

function answerReset(from: Port, header: PacketHeader): void {
  if (header.op !== VIRTIO_VSOCK_OP_RST) from.down.reply(resetFor(header));
}
