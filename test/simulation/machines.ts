/** The machines of a run: what they listen on, and what befalls them. */
import { VMADDR_CID_ANY } from '../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../src/core/simulator/node.js';
import type { SeededRng } from '../../src/core/simulator/rng.js';
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
  readonly listeners: Socket[];
  alive: boolean;
}

export class Machines {
  readonly all: Machine[] = [];
  readonly #network: VsockNetwork;
  readonly #options: SimulationOptions;
  readonly #rng: SeededRng;
  readonly #onFault: (machine: Machine) => void;
  #nextCid = 3;
  #healed = false;

  constructor(
    network: VsockNetwork,
    options: SimulationOptions,
    rng: SeededRng,
    onFault: (machine: Machine) => void,
    surroundings: KernelSurroundings,
  ) {
    this.#network = network;
    this.#options = options;
    this.#rng = rng;
    this.#onFault = onFault;
    this.#add(network.host, undefined, undefined);
    for (let n = 0; n < options.guests; n++) {
      const guest = network.addGuest();
      network.setCid(guest, this.#nextCid++);
      const isKernel = rng.below(100) < options.kernelPercent;
      const kernel = isKernel ? new Kernel(network, guest, rng, surroundings) : undefined;
      this.#add(kernel?.stack ?? guest.stack, guest, kernel);
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
    const guest = machine?.guest;
    if (machine === undefined || guest === undefined) return;
    const { stallPermille, resetPermille, renumberPermille, removePermille } = this.#options;
    const happens = (permille: number) => this.#rng.below(1000) < permille;
    if (happens(stallPermille) && guest.port !== undefined) {
      this.#network.switch.stall(guest.port, !guest.port.up.stalled);
    }
    if (happens(resetPermille)) {
      this.#onFault(machine);
      this.#network.resetGuest(guest);
    }
    if (happens(renumberPermille)) {
      this.#onFault(machine);
      this.#network.setCid(guest, this.#nextCid++);
    }
    if (happens(removePermille)) {
      machine.alive = false;
      this.#onFault(machine);
      this.#network.removeGuest(guest);
      machine.kernel?.remove();
    }
    this.#slowDown();
  }

  /** Nothing bad happens from now on: devices run, and packets take no time. */
  heal(): void {
    this.#healed = true;
    for (const { guest } of this.all) {
      if (guest?.port !== undefined) this.#network.switch.stall(guest.port, false);
    }
    this.#slowDown();
  }

  /** The drivers of the kernels do something. @returns whether one did */
  runKernels(hurry: boolean): boolean {
    return this.all.map(({ kernel }) => kernel?.run(hurry)).includes(true);
  }

  #add(stack: Stack, guest: Guest | undefined, kernel: Kernel | undefined): void {
    guardStack(stack);
    const types: SocketType[] =
      this.#options.profile === 'patchset-2015' ? ['stream'] : ['stream', 'seqpacket'];
    const listeners = types.map((type) => {
      const socket = stack.socket(type, ROOT);
      stack.bind(socket, { cid: VMADDR_CID_ANY, port: PORTS[type] });
      stack.listen(socket, this.#options.backlog);
      return socket;
    });
    this.all.push({ stack, guest, kernel, listeners, alive: true });
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
