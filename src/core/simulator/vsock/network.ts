/** The vsock world of one host: its socket layer, those of its guests, the switch between them, and what they bring about. */
import { SystemError } from '../../abi/errno.js';
import {
  FIRST_GUEST_CID,
  isGuestCid,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
} from '../../abi/vm-sockets.js';
import type { Clock } from '../clock.js';
import type { Deadlines } from '../deadlines.js';
import type { Rng } from '../rng.js';
import type { KernelApi } from '../vmci/parts.js';
import type { Channel } from './channel.js';
import {
  type ProfileName,
  VSOCK_PROFILES,
  type VsockPolicy,
  type VsockProfile,
} from './profile.js';
import type { Socket } from './socket.js';
import { Stack } from './stack.js';
import { type Driver, type Port, Switch } from './switch.js';
import { type VmciHost, VmciNetwork } from './vmci-network.js';

export interface NetworkOptions {
  profile: ProfileName;
  policy: VsockPolicy;
  clock: Clock;
  deadlines: Deadlines;
  rng: Rng;
  /** Whether connections to host ports without a listener are kept for somebody to claim. */
  defers?: boolean;
  /** The VMCI of the host's kernel, where it has that. */
  vmci?: VmciHost;
}

/** What carries a guest's vsock. */
export type VsockTransport = 'virtio' | 'vmci';

/** The device of a guest that is a real kernel, as the network needs it. */
export interface RealDevice extends Driver {
  /**
   * It is joined to the network from now on by this port, which pulls what its driver sends from sources of `up`; by
   * another than before when the transport was reset, or the CID is another one.
   */
  plugged(port: Port): void;
  /** Packets have been put into its driver's buffers: the driver may be told. */
  flush(): void;
}

/** Where nobody is: nothing takes packets, and nothing comes. */
export const NO_DEVICE: RealDevice = {
  room: () => 0,
  take: () => undefined,
  plugged: () => undefined,
  flush: () => undefined,
};

/** A guest's side. It has no device until it has a CID. */
export interface Guest {
  /** Of its programs, where it is a simulated one. */
  readonly stack: Stack;
  transport: VsockTransport;
  /** Where it is a real kernel. */
  device: RealDevice | undefined;
  cid: number | undefined;
  port: Port | undefined;
  readonly loopback: Channel;
}

export class VsockNetwork {
  readonly profile: VsockProfile;
  readonly switch: Switch;
  readonly host: Stack;
  /** Sockets whose program may find them changed. Whoever serves the programs empties it. */
  readonly woken = new Set<Socket>();
  /** Connections of guests to host ports without a listener, for somebody to claim or refuse. */
  readonly deferred: Socket[] = [];
  readonly #options: NetworkOptions;
  readonly #guests = new Map<number, Guest>();
  readonly #devices = new Set<RealDevice>();
  readonly #vmci: VmciNetwork | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.profile = VSOCK_PROFILES[options.profile];
    this.switch = new Switch(options.policy, {
      nowMs: () => options.clock.monotonicMs(),
      after: (ms, action) => this.#after(ms, action),
    });
    const host: Stack = this.#stack(
      () => VMADDR_CID_HOST,
      (cid) => (cid === VMADDR_CID_LOCAL ? loopback : this.switch.channelTo(cid)),
      options.defers ?? false,
    );
    const loopback = this.switch.attachLoopback(host);
    this.host = host;
    this.switch.attachHost(host);
    const { vmci } = options;
    this.#vmci =
      vmci && new VmciNetwork(vmci, (cid) => this.#guests.get(cid)?.transport === 'vmci');
    host.vmci = this.#vmci?.hostSide(host);
  }

  /** A new guest, without a CID, whose vsock is carried by virtio. */
  addGuest(): Guest {
    const stack: Stack = this.#stack(
      () => guest.cid ?? VMADDR_CID_ANY,
      (cid) => (cid === VMADDR_CID_LOCAL ? guest.loopback : guest.port?.up),
      false,
    );
    const guest: Guest = {
      stack,
      transport: 'virtio',
      device: undefined,
      cid: undefined,
      port: undefined,
      loopback: this.switch.attachLoopback(stack),
    };
    return guest;
  }

  /**
   * What VHOST_VSOCK_SET_GUEST_CID does. Another CID than before frees the old one, and resets the connections.
   * @throws SystemError EINVAL for a reserved CID, EADDRINUSE for one that another guest has.
   */
  setCid(guest: Guest, cid: number): void {
    if (!isGuestCid(cid)) throw new SystemError('EINVAL', { message: `CID ${cid} is reserved` });
    const owner = this.#guests.get(cid);
    if (owner === guest) return;
    if (owner !== undefined) {
      throw new SystemError('EADDRINUSE', { message: `CID ${cid} is in use` });
    }
    this.#detach(guest);
    guest.cid = cid;
    this.#guests.set(cid, guest);
    this.#plug(guest, cid);
  }

  /**
   * Lets VMCI carry a guest's vsock, as its kernel has it, or virtio again (undefined). Its connections end.
   * @throws SystemError EOPNOTSUPP for a host without VMCI.
   */
  useVmci(guest: Guest, api: KernelApi | undefined): void {
    if ((api !== undefined) === (guest.transport === 'vmci')) return;
    if (this.#vmci === undefined)
      throw new SystemError('EOPNOTSUPP', { message: 'there is no VMCI' });
    const { cid } = guest;
    this.#detach(guest);
    guest.stack.vmci?.close();
    guest.stack.vmci = api && this.#vmci.guestSide(guest.stack, api, guest);
    guest.transport = api === undefined ? 'virtio' : 'vmci';
    this.#vmci.guests += api === undefined ? -1 : 1;
    if (cid !== undefined) this.setCid(guest, cid);
  }

  /** The kernel of a guest whose vsock VMCI carries is another one: it has booted anew. Its connections have ended. */
  renewVmci(guest: Guest, api: KernelApi): void {
    if (guest.transport !== 'vmci') return;
    guest.stack.vmci?.close();
    guest.stack.vmci = this.#vmci?.guestSide(guest.stack, api, guest);
  }

  /** Stops or resumes the vsock traffic of a guest; over VMCI what it and the host say of their queues. */
  stall(guest: Guest, stalled: boolean): void {
    const { cid, port } = guest;
    if (port !== undefined) this.switch.stall(port, stalled);
    else if (cid !== undefined) this.#vmci?.work.hold(cid, stalled);
  }

  /**
   * Gives a guest a real kernel's device instead of simulated programs, or (undefined) takes it away again: the guest has
   * rebooted either way. Its sockets end, and connections to it. A real kernel's is not for a guest with VMCI.
   */
  setDevice(guest: Guest, device: RealDevice | undefined): void {
    if (guest.device !== undefined) this.#devices.delete(guest.device);
    if (device === undefined) guest.stack.startUp();
    else {
      this.#devices.add(device);
      guest.stack.shutDown();
    }
    guest.device = device;
    this.resetGuest(guest);
  }

  /** The lowest CID that no guest has. */
  freeCid(): number {
    let cid = FIRST_GUEST_CID;
    while (this.#guests.has(cid)) cid++;
    return cid;
  }

  /** The guest with a CID. */
  guest(cid: number): Guest | undefined {
    return this.#guests.get(cid);
  }

  /** The guest and its device are gone: its programs' sockets and the host's connections to it end. */
  removeGuest(guest: Guest): void {
    guest.stack.shutDown();
    if (guest.device !== undefined) this.#devices.delete(guest.device);
    this.#detach(guest);
    if (this.#vmci !== undefined && guest.transport === 'vmci') this.#vmci.guests--;
    guest.stack.vmci?.close();
    guest.stack.vmci = undefined;
    this.switch.detachLoopback(guest.loopback);
  }

  /** A transport reset: both sides lose their connections, listeners stay. */
  resetGuest(guest: Guest): void {
    const { cid } = guest;
    if (cid === undefined) return;
    this.#detach(guest);
    this.setCid(guest, cid);
  }

  /** Whether something waits that could be delivered. */
  get busy(): boolean {
    return this.switch.busy || this.#vmci?.work.busy === true;
  }

  /** Delivers up to `budget` packets, and as many of VMCI. True when there are more to deliver. */
  run(budget: number): boolean {
    const packets = this.switch.run(budget);
    for (const device of this.#devices) device.flush();
    const others = this.#vmci?.work.run(budget) ?? 0;
    return Math.max(packets, others) >= budget && this.busy;
  }

  #plug(guest: Guest, cid: number): void {
    const { device, stack, transport } = guest;
    if (transport === 'vmci') return;
    const port =
      device === undefined ? this.switch.attach(cid, stack) : this.switch.attachDriver(cid, device);
    guest.port = port;
    device?.plugged(port);
  }

  #detach(guest: Guest): void {
    const { cid, port } = guest;
    if (cid === undefined) return;
    if (port !== undefined) this.switch.detach(port);
    this.#vmci?.work.forget(cid);
    this.#guests.delete(cid);
    guest.cid = undefined;
    guest.port = undefined;
    guest.stack.resetAll();
    this.host.resetPeer(cid);
    for (const other of this.#guests.values()) other.stack.resetPeer(cid);
  }

  #stack(
    cid: () => number,
    channelTo: (cid: number) => Channel | undefined,
    defers: boolean,
  ): Stack {
    return new Stack({
      profile: this.profile,
      rng: this.#options.rng,
      cid,
      channelTo,
      defers,
      wake: (socket) => this.woken.add(socket),
      deferred: (socket) => this.deferred.push(socket),
      nowMs: () => this.#options.clock.monotonicMs(),
      after: (ms, action) => this.#after(ms, action),
    });
  }

  #after(ms: number, action: () => void) {
    return this.#options.deadlines.schedule(this.#options.clock.monotonicMs() + ms, action);
  }
}
