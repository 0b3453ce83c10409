/** The machines of a run: what they listen on, and what befalls them. */
import { VMADDR_CID_ANY } from '../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../src/core/simulator/node.js';
import type { SeededRng } from '../../src/core/simulator/rng.js';
import type { GuestVmci, Vmci } from '../../src/core/simulator/vmci/vmci.js';
import type { Guest, VsockNetwork } from '../../src/core/simulator/vsock/network.js';
import type { Socket, SocketType } from '../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../src/core/simulator/vsock/stack.js';
import { guardStack } from './checks.js';
import { Kernel, type KernelSurroundings } from './kernel.js';
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
  /** Where the guest is one. */
  readonly kernel: Kernel | undefined;
  /** Its VMCI, where that carries its vsock. */
  readonly vmci: GuestVmci | undefined;
  readonly listeners: Socket[];
  alive: boolean;
}

/** What makes a machine. */
type Joined = Pick<Machine, 'stack'> & Partial<Pick<Machine, 'guest' | 'kernel' | 'vmci'>>;

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
    surroundings: KernelSurroundings,
  ) {
    this.#network = network;
    this.#options = options;
    this.#rng = rng;
    this.#onFault = onFault;
    this.#add({ stack: network.host });
    for (let n = 0; n < options.guests; n++) {
      const guest = network.addGuest();
      const cid = this.#nextCid++;
      network.setCid(guest, cid);
      const isKernel = rng.below(100) < options.kernelPercent;
      const kernel = isKernel ? new Kernel(network, guest, rng, surroundings) : undefined;
      const has = !isKernel && options.vmciPercent > 0 && rng.below(100) < options.vmciPercent;
      const device = has ? vmci.addGuest() : undefined;
      device?.setCid(cid);
      if (device !== undefined) network.useVmci(guest, device.driver);
      this.#add({ stack: kernel?.stack ?? guest.stack, guest, kernel, vmci: device });
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
      machine.kernel?.remove();
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

  /** The drivers of the kernels do something. @returns whether one did */
  runKernels(hurry: boolean): boolean {
    return this.all.map(({ kernel }) => kernel?.run(hurry)).includes(true);
  }

  #add({ stack, guest, kernel, vmci }: Joined): void {
    guardStack(stack);
    const types: SocketType[] =
      this.#options.profile === 'patchset-2015' ? ['stream'] : ['stream', 'seqpacket'];
    const listeners = types.map((type) => {
      const socket = stack.socket(type, ROOT);
      stack.bind(socket, { cid: VMADDR_CID_ANY, port: PORTS[type] });
      stack.listen(socket, this.#options.backlog);
      return socket;
    });
    this.all.push({ stack, guest, kernel, vmci, listeners, alive: true });
  }

  /** A device that was reset has new queues: these are as slow as the old ones. */
  #slowDown(): void {
    const { maxLatencyMs } = this.#options;
    if (maxLatencyMs === 0) return;
    const latency = this.#healed ? undefined : () => this.#rng.below(maxLatencyMs + 1);
    for (const { guest, kernel } of this.all) {
      // A kernel takes packets into buffers that stand ready; how slow it is, its driver says.
      const down = kernel === undefined ? guest?.port?.down : undefined;
      for (const channel of [guest?.port?.up, down, guest?.loopback]) {
        if (channel !== undefined) channel.latency = latency;
      }
    }
  }
}
