/** The machines of a run: what they listen on, and what befalls them. */
import { VMADDR_CID_ANY } from '../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../src/core/simulator/node.js';
import type { SeededRng } from '../../src/core/simulator/rng.js';
import type { GuestVmci, Vmci } from '../../src/core/simulator/vmci/vmci.js';
import type { Guest, VsockNetwork } from '../../src/core/simulator/vsock/network.js';
import type { Socket, SocketType } from '../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../src/core/simulator/vsock/stack.js';
import { guardStack } from './checks.js';
import type { SimulationOptions } from './options.js';

export const PORTS: Readonly<Record<SocketType, number>> = {
  stream: 5000,
  seqpacket: 5001,
  dgram: 5002,
};

export interface Machine {
  readonly stack: Stack;
  /** Undefined for the host. */
  readonly guest: Guest | undefined;
  /** Its VMCI, where that carries its vsock. */
  readonly vmci: GuestVmci | undefined;
  readonly listeners: Socket[];
  alive: boolean;
}

export class Machines {
  readonly all: Machine[] = [];
  readonly #network: VsockNetwork;
  readonly #options: SimulationOptions;
  readonly #rng: SeededRng;
  readonly #onFault: (machine: Machine) => void;
  /** Guests that are stalled now. */
  readonly #stalled = new Set<Guest>();
  #nextCid = 3;
  #healed = false;

  constructor(
    network: VsockNetwork,
    vmci: Vmci,
    options: SimulationOptions,
    rng: SeededRng,
    onFault: (machine: Machine) => void,
  ) {
    this.#network = network;
    this.#options = options;
    this.#rng = rng;
    this.#onFault = onFault;
    this.#add(network.host);
    for (let n = 0; n < options.guests; n++) {
      const guest = network.addGuest();
      const cid = this.#nextCid++;
      network.setCid(guest, cid);
      const has = options.vmciPercent > 0 && rng.below(100) < options.vmciPercent;
      const device = has ? vmci.addGuest() : undefined;
      device?.setCid(cid);
      network.useVmci(guest, device?.driver);
      this.#add(guest.stack, guest, device);
    }
    this.#slowDown();
  }

  alive(): Machine[] {
    return this.all.filter(({ alive }) => alive);
  }

  /** Perhaps something happens to a guest. */
  misfortune(): void {
    const guests = this.alive().filter(({ guest }) => guest !== undefined);
    const machine = guests[this.#rng.below(Math.max(1, guests.length))];
    const { guest, vmci } = machine ?? {};
    if (machine === undefined || guest === undefined) return;
    const { stallPermille, resetPermille, renumberPermille, removePermille } = this.#options;
    const happens = (permille: number) => this.#rng.below(1000) < permille;
    if (happens(stallPermille)) {
      if (this.#stalled.delete(guest)) this.#network.stall(guest, false);
      else {
        this.#stalled.add(guest);
        this.#network.stall(guest, true);
      }
    }
    if (happens(resetPermille)) {
      this.#onFault(machine);
      this.#network.resetGuest(guest);
      this.#stalled.delete(guest);
    }
    if (happens(renumberPermille)) {
      this.#onFault(machine);
      const cid = this.#nextCid++;
      this.#network.setCid(guest, cid);
      vmci?.setCid(cid);
      this.#stalled.delete(guest);
    }
    if (happens(removePermille)) {
      machine.alive = false;
      this.#onFault(machine);
      vmci?.setCid(undefined);
      this.#network.removeGuest(guest);
      this.#stalled.delete(guest);
    }
    this.#slowDown();
  }

  /** Nothing bad happens from now on: devices run, and packets take no time. */
  heal(): void {
    this.#healed = true;
    for (const guest of this.#stalled) this.#network.stall(guest, false);
    this.#stalled.clear();
    this.#slowDown();
  }

  #add(stack: Stack, guest?: Guest, vmci?: GuestVmci): void {
    guardStack(stack);
    const types: SocketType[] =
      this.#options.profile === 'patchset-2015' ? ['stream'] : ['stream', 'seqpacket'];
    const listeners = types.map((type) => {
      const socket = stack.socket(type, ROOT);
      stack.bind(socket, { cid: VMADDR_CID_ANY, port: PORTS[type] });
      stack.listen(socket, this.#options.backlog);
      return socket;
    });
    this.all.push({ stack, guest, vmci, listeners, alive: true });
  }

  /** A device that was reset has new queues: these are as slow as the old ones. */
  #slowDown(): void {
    const { maxLatencyMs } = this.#options;
    if (maxLatencyMs === 0) return;
    const latency = this.#healed ? undefined : () => this.#rng.below(maxLatencyMs + 1);
    for (const { guest } of this.all) {
      for (const channel of [guest?.port?.up, guest?.port?.down, guest?.loopback]) {
        if (channel !== undefined) channel.latency = latency;
      }
    }
  }
}
