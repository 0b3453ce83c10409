/** A laboratory of vsock machines, for tests: a host, guests, a virtual clock, and verbs to play with them. */
import {
  decodeHeader,
  encodeHeader,
  opName,
  type PacketHeader,
  VIRTIO_VSOCK_TYPE_STREAM,
} from '../../src/core/abi/virtio-vsock.js';
import { FIRST_GUEST_CID, VMADDR_CID_ANY, VMADDR_CID_HOST } from '../../src/core/abi/vm-sockets.js';
import { VirtualClock } from '../../src/core/simulator/clock.js';
import { Deadlines } from '../../src/core/simulator/deadlines.js';
import { type Caller, ROOT } from '../../src/core/simulator/node.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import { Vmci } from '../../src/core/simulator/vmci/vmci.js';
import {
  type Guest,
  VsockNetwork,
  type VsockTransport,
} from '../../src/core/simulator/vsock/network.js';
import {
  defaultPolicy,
  type ProfileName,
  type VsockPolicy,
} from '../../src/core/simulator/vsock/profile.js';
import type { Socket, SocketType } from '../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../src/core/simulator/vsock/stack.js';
import type { Port } from '../../src/core/simulator/vsock/switch.js';
import { VirtioLink } from '../../src/core/simulator/vsock/virtio-link.js';

export interface LabOptions {
  guests?: number;
  profile?: ProfileName;
  policy?: VsockPolicy;
  defers?: boolean;
  seed?: number;
  /** What carries the guests' vsock. */
  transport?: VsockTransport;
}

interface ListenOptions {
  type?: SocketType;
  backlog?: number;
  caller?: Caller;
  cid?: number;
}

/** The port at which `pair` lets its server listen. */
export const PORT = 5000;
/** A port at which a test's own driver, which is no socket, sends and is sent to. */
export const RAW_PORT = 7777;

/** A caller without CAP_NET_BIND_SERVICE. */
export const USER: Caller = { uid: 1000, gid: 1000, groups: [], capabilities: new Set(), jail: '' };

export class Lab {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  readonly network: VsockNetwork;
  readonly vmci = new Vmci();
  readonly guests: Guest[] = [];
  readonly transport: VsockTransport;
  /** Every packet that the tap saw. */
  readonly packets: PacketHeader[] = [];

  constructor(options: LabOptions = {}) {
    const { profile = 'linux-6.12', seed = 1, transport = 'virtio' } = options;
    this.transport = transport;
    this.network = new VsockNetwork({
      profile,
      policy: options.policy ?? defaultPolicy(profile),
      clock: this.clock,
      deadlines: this.deadlines,
      rng: new SeededRng(seed),
      defers: options.defers ?? false,
      vmci: this.vmci.host,
    });
    this.network.switch.addTap((header) => this.packets.push(decodeHeader(header)));
    for (let n = 0; n < (options.guests ?? 1); n++) this.addGuest(FIRST_GUEST_CID + n);
  }

  get host(): Stack {
    return this.network.host;
  }

  get dropped() {
    return this.network.switch.counters.dropped;
  }

  addGuest(cid: number): Guest {
    const guest = this.network.addGuest();
    this.network.setCid(guest, cid);
    if (this.transport === 'vmci') {
      const vmci = this.vmci.addGuest();
      vmci.setCid(cid);
      this.network.useVmci(guest, vmci.driver);
    }
    this.guests.push(guest);
    return guest;
  }

  guest(cid = FIRST_GUEST_CID): Guest {
    const guest = this.guests.find((candidate) => candidate.cid === cid);
    if (guest === undefined) throw new Error(`there is no guest ${cid}`);
    return guest;
  }

  /** The socket layer of a guest. */
  stack(cid = FIRST_GUEST_CID): Stack {
    return this.guest(cid).stack;
  }

  port(cid = FIRST_GUEST_CID): Port {
    const { port } = this.guest(cid);
    if (port === undefined) throw new Error(`guest ${cid} has no device`);
    return port;
  }

  /** A bound socket that listens. */
  listen(stack: Stack, port = PORT, options: ListenOptions = {}): Socket {
    const socket = stack.socket(options.type ?? 'stream', options.caller ?? ROOT);
    stack.bind(socket, { cid: options.cid ?? VMADDR_CID_ANY, port });
    stack.listen(socket, options.backlog ?? 128);
    return socket;
  }

  /** A socket that has begun to connect. */
  dial(stack: Stack, cid: number, port = PORT, type: SocketType = 'stream'): Socket {
    const socket = stack.socket(type, ROOT);
    stack.connect(socket, { cid, port });
    return socket;
  }

  /** A socket that has connected, or whose `error` says why it didn't. */
  connect(stack: Stack, cid: number, port = PORT, type: SocketType = 'stream'): Socket {
    const socket = this.dial(stack, cid, port, type);
    this.settle();
    return socket;
  }

  /** The next connection of a listener. */
  accept(listener: Socket): Socket {
    const socket = (listener.host as Stack).accept(listener);
    if (socket === undefined) throw new Error('no connection waits');
    return socket;
  }

  /** Both ends of a connection; by default the first guest has connected to the host. */
  pair(type: SocketType = 'stream', from = this.stack(), to = this.host) {
    const listener = this.listen(to, PORT, { type });
    const client = this.connect(from, to === this.host ? VMADDR_CID_HOST : to.cid, PORT, type);
    const server = this.accept(listener);
    this.settle();
    listener.close();
    this.packets.length = 0;
    return { client, server };
  }

  /** Lets everything happen that happens without time going by. */
  settle(): void {
    do {
      this.vmci.run(512);
      while (this.network.run(512));
      this.deadlines.expire(this.clock.monotonicMs());
    } while (this.network.busy || this.vmci.busy);
  }

  /** Lets time go by, from one deadline to the next. */
  advance(ms: number): void {
    const end = this.clock.monotonicMs() + ms;
    this.settle();
    for (;;) {
      const next = this.deadlines.next() ?? Number.POSITIVE_INFINITY;
      if (next > end) break;
      this.clock.advance(next - this.clock.monotonicMs());
      this.settle();
    }
    this.clock.advance(end - this.clock.monotonicMs());
  }

  /** From now on the test is the driver of this guest: what is sent to the guest is only seen by the tap. */
  ownDriver(cid = FIRST_GUEST_CID): Guest {
    const guest = this.guest(cid);
    guest.stack.receive = () => undefined;
    return guest;
  }

  /** Puts a packet on a guest's queue, as its driver would; whatever is not named is as it should be. */
  raw(
    guest: Guest,
    change: Partial<PacketHeader> & { op: number },
    payload: Uint8Array = new Uint8Array(0),
  ): void {
    const { port } = guest;
    if (port === undefined) throw new Error('the guest has no device');
    const header = encodeHeader({
      srcCid: port.cid,
      dstCid: VMADDR_CID_HOST,
      srcPort: RAW_PORT,
      dstPort: PORT,
      len: payload.length,
      type: VIRTIO_VSOCK_TYPE_STREAM,
      flags: 0,
      bufAlloc: 262144,
      fwdCnt: 0,
      ...change,
    });
    this.network.switch.inject(port, { header, payload });
    this.settle();
  }

  /** The names of the packets' operations since the last call, in order. */
  tapLog(): string[] {
    return this.packets.splice(0).map(({ op }) => opName(op));
  }
}

/** A socket's connection over virtio. */
export function virtio({ link }: Socket): VirtioLink {
  if (link instanceof VirtioLink) return link;
  throw new Error('the socket has no connection over virtio');
}

/** Reads until nothing more is there. `end` when the end was seen, `more` when there may be more. */
export function drain(socket: Socket, step = 65536): { bytes: Uint8Array; end: boolean } {
  const parts: Uint8Array[] = [];
  for (;;) {
    const data = socket.recv(step);
    if (data === null || data === undefined) {
      return { bytes: new Uint8Array(Buffer.concat(parts)), end: data === null };
    }
    parts.push(Uint8Array.from(data));
  }
}

/** Text as bytes. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** What was read, as text; `end` at the end, `wait` when it would block. */
export function text(data: Uint8Array | null | undefined): string {
  if (data === null) return 'end';
  return data === undefined ? 'wait' : new TextDecoder().decode(data);
}
