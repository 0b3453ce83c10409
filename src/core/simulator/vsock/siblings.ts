/**
 * Traffic from guest to guest. A guest that takes its packets slowly holds up those that send to it, in their drivers,
 * so nothing grows; one that stands still does so for a while only.
 */
import type { PacketHeader } from '../../abi/virtio-vsock.js';
import type { Channel, Packet } from './channel.js';
import { ForwardQueue } from './forward.js';
import { Peers } from './peers.js';

/**
 * How long a packet waits for a guest that takes none, milliseconds: as long as a connect waits by default. After that
 * packets for it are refused, until it takes some.
 */
export const FORWARD_TIMEOUT_MS = 2000;

interface Held {
  readonly packet: Packet;
  readonly header: PacketHeader;
  readonly to: Lane;
}

/** What of a guest's device has to do with other guests. */
export interface Lane {
  readonly cid: number;
  /** To the guest. */
  readonly down: Channel;
  /** What others sent to it. */
  readonly inbox: ForwardQueue;
  /** Guests whose first held packet is for this one. */
  readonly waiting: Set<Lane>;
  /** Packets of this guest that wait. Its driver is not asked for more meanwhile; some may have been under way. */
  readonly held: Held[];
  /** Nobody waits for it. */
  stuck: boolean;
  /** There is a deadline for it to take something. */
  watched: boolean;
  open: boolean;
  readonly lost: Lost;
  /** Of a real guest. */
  peers: Peers | undefined;
}

/** Told of a packet of the guest that is lost: the other takes none, or its device is gone. */
type Lost = (header: PacketHeader, why: 'full' | 'detached') => void;

export class Siblings {
  readonly #lanes = new Set<Lane>();
  readonly #after: (ms: number, action: () => void) => unknown;

  /** @param after calls back in so many milliseconds. */
  constructor(after: (ms: number, action: () => void) => unknown) {
    this.#after = after;
  }

  open(cid: number, down: Channel, lost: Lost): Lane {
    const lane: Lane = {
      cid,
      down,
      lost,
      inbox: new ForwardQueue(() => this.#roomAt(lane)),
      waiting: new Set(),
      held: [],
      stuck: false,
      watched: false,
      open: true,
      peers: undefined,
    };
    this.#lanes.add(lane);
    return lane;
  }

  /** Its device is gone: what waits for it is lost, and what it had sent. */
  close(lane: Lane): void {
    lane.open = false;
    lane.held[0]?.to.waiting.delete(lane);
    for (const { header } of lane.held.splice(0)) lane.lost(header, 'detached');
    this.#lanes.delete(lane);
    for (const other of this.#lanes) {
      other.inbox.forget(lane);
      if (other.peers?.gone(lane.cid)) other.down.add(other.peers);
    }
    for (const from of [...lane.waiting]) this.#release(from);
  }

  /** The guest is a real one: nobody else tells it when another is gone. */
  remember(lane: Lane): void {
    lane.peers = new Peers();
  }

  send(from: Lane, to: Lane, packet: Packet, header: PacketHeader): void {
    from.peers?.sent(header);
    from.held.push({ packet, header, to });
    if (from.held.length === 1) this.#release(from);
  }

  /** Lets go what waits of a guest, in order, as far as there is room. */
  #release(from: Lane): void {
    from.held[0]?.to.waiting.delete(from);
    for (let next = from.held[0]; next !== undefined; next = from.held[0]) {
      const { to } = next;
      if (to.open && to.inbox.full && !to.stuck) {
        this.#wait(from, to);
        return;
      }
      from.held.shift();
      this.#settle(from, next);
    }
  }

  #settle(from: Lane, { packet, header, to }: Held): void {
    if (!to.open) from.lost(header, 'detached');
    else if (to.inbox.full) from.lost(header, 'full');
    else {
      to.peers?.received(header);
      to.inbox.push(packet, from);
      to.down.add(to.inbox);
    }
  }

  #wait(from: Lane, to: Lane): void {
    to.waiting.add(from);
    if (to.watched) return;
    to.watched = true;
    const before = to.inbox.taken;
    this.#after(FORWARD_TIMEOUT_MS, () => this.#check(to, before));
  }

  #check(to: Lane, before: number): void {
    to.watched = false;
    if (to.inbox.taken === before) to.stuck = true;
    for (const from of [...to.waiting]) this.#release(from);
  }

  #roomAt(lane: Lane): void {
    lane.stuck = false;
    for (const from of [...lane.waiting]) this.#release(from);
  }
}
