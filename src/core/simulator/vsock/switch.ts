/**
 * Where packets cross between machines. The switch pulls from the channels in turn, checks who sends,
 * applies the policy, feeds the tap, and hands each packet to the socket layer that it is for.
 */
import {
  decodeHeader,
  type PacketHeader,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RST,
  virtio_vsock_hdr,
} from '../../abi/virtio-vsock.js';
import { VMADDR_CID_HOST } from '../../abi/vm-sockets.js';
import { Channel, type Packet } from './channel.js';
import type { VsockPolicy } from './profile.js';
import { resetFor } from './protocol.js';

/** What a machine's socket layer is to the switch. */
export interface Receiver {
  receive(header: PacketHeader, payload: Uint8Array, answers: Channel): void;
}

/** Why a packet was not delivered. */
export type DropReason = 'spoofed' | 'unroutable' | 'policy' | 'malformed' | 'detached' | 'fault';

export interface SwitchCounters {
  packets: number;
  bytes: number;
  dropped: Record<DropReason, number>;
}

/** Sees every well-formed packet that reaches the switch, also one that is dropped then. */
export type Tap = (header: Uint8Array, payload: Uint8Array) => void;

interface Route {
  /** @param pulledAt how many devices there had been when the packet was pulled. */
  deliver(packet: Packet, header: PacketHeader, pulledAt: number): void;
}

/** A guest's device: what it sends, and what is sent to it. */
export interface Port {
  readonly cid: number;
  /** From the guest's driver to the device. */
  readonly up: Channel;
  /** From the device to the guest's driver. */
  readonly down: Channel;
}

/** Time, for packets that are under way for a while. */
export interface SwitchTime {
  nowMs(): number;
  after(ms: number, action: () => void): unknown;
}

interface Attached extends Port {
  readonly guest: Receiver;
  /** The how many-th device it is: what was under way before is not for it. */
  readonly order: number;
}

export class Switch {
  policy: VsockPolicy;
  readonly #taps = new Set<Tap>();
  readonly counters: SwitchCounters = {
    packets: 0,
    bytes: 0,
    dropped: { spoofed: 0, unroutable: 0, policy: 0, malformed: 0, detached: 0, fault: 0 },
  };
  readonly #ports = new Map<number, Attached>();
  readonly #routes = new Map<Channel, Route>();
  /** Channels that have something to pull. */
  readonly #active = new Set<Channel>();
  readonly #time: SwitchTime;
  #host: Receiver | undefined;
  /** Devices attached so far. */
  #attached = 0;

  constructor(policy: VsockPolicy, time: SwitchTime) {
    this.policy = policy;
    this.#time = time;
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
    const order = ++this.#attached;
    const port: Attached = { cid, guest, order, up: this.#channel(), down: this.#channel() };
    this.#ports.set(cid, port);
    this.#routes.set(port.up, {
      deliver: (packet, header, pulledAt) => this.#fromGuest(port, packet, header, pulledAt),
    });
    this.#routes.set(port.down, {
      deliver: (packet, header) => guest.receive(header, packet.payload, port.up),
    });
    return port;
  }

  /** Takes a guest's device away, with all that is under way to and from it. */
  detach(port: Port): void {
    this.#ports.delete(port.cid);
    this.#remove(port.up);
    this.#remove(port.down);
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
    for (const channel of this.#active) if (!channel.stalled) return true;
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
        if (channel.stalled) continue;
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
   * A packet as the driver of a guest puts it on its queue, well-formed or not: for real guests, and for
   * showing what a hostile one can do.
   */
  inject(port: Port, packet: Packet): void {
    this.#deliver(port.up, packet, this.#attached);
  }

  #channel(): Channel {
    return new Channel((channel) => this.#active.add(channel));
  }

  #remove(channel: Channel): void {
    channel.close();
    this.#routes.delete(channel);
    this.#active.delete(channel);
  }

  #send(channel: Channel, packet: Packet): void {
    const pulledAt = this.#attached;
    if (channel.latency === undefined && channel.underWay === 0) {
      return this.#deliver(channel, packet, pulledAt);
    }
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
    if (packet.header.length !== virtio_vsock_hdr.size) return this.#drop('malformed');
    const header = decodeHeader(packet.header);
    if (header.len !== packet.payload.length) return this.#drop('malformed');
    if (channel.loses?.()) return this.#drop('fault');
    this.counters.packets++;
    this.counters.bytes += packet.payload.length;
    for (const tap of this.#taps) tap(packet.header, packet.payload);
    route.deliver(packet, header, pulledAt);
  }

  #fromGuest(from: Attached, packet: Packet, header: PacketHeader, pulledAt: number): void {
    if (header.srcCid !== from.cid) return this.#drop('spoofed');
    if (header.dstCid === VMADDR_CID_HOST) {
      const refused = this.policy === 'host-connects' && header.op === VIRTIO_VSOCK_OP_REQUEST;
      if (refused || this.#host === undefined) return this.#drop('policy');
      return this.#host.receive(header, packet.payload, from.down);
    }
    const to = this.#ports.get(header.dstCid);
    if (to === undefined || to === from) return this.#drop('unroutable');
    if (to.order > pulledAt) return this.#drop('detached');
    if (this.policy === 'siblings') return to.guest.receive(header, packet.payload, to.up);
    this.#drop('policy');
    const answer = this.policy === 'refuse' && header.op !== VIRTIO_VSOCK_OP_RST;
    if (answer) from.down.reply(resetFor(header));
  }

  #drop(reason: DropReason): void {
    this.counters.dropped[reason]++;
  }
}
