/**
 * The suite between a VM and its host: whoever connects is on one machine, whoever listens on the other. Cases know nothing
 * of that; a socket shows which of the two it is by what is done with it first.
 */
import { VMADDR_CID_LOCAL } from '../../src/core/abi/vm-sockets.js';
import type { CallOptions } from '../../src/core/backend/port/node.js';
import type {
  SocketOption,
  SocketType,
  VsockAddress,
  VsockSocket,
  VsockStream,
} from '../../src/core/backend/port/vsock.js';
import type { Machine } from '../../src/core/backend/port.js';

/** Both machines. */
export interface Sides {
  /** Where sockets listen. */
  readonly servers: Machine;
  /** By which CID the others know that machine. */
  readonly cid: number;
  /** Where sockets connect. */
  readonly clients: Machine;
}

/** One machine with the sockets of both. */
export function across(sides: Sides): Machine {
  const { servers } = sides;
  return {
    open: (path, options) => servers.open(path, options),
    readdir: (path) => servers.readdir(path),
    readFile: (path) => servers.readFile(path),
    sysctl: (name, value) => servers.sysctl(name, value),
    localCid: () => servers.localCid(),
    socket: async (type) => new UndecidedSocket(sides, type),
  };
}

class UndecidedSocket implements VsockSocket {
  readonly #options: [SocketOption, number][] = [];
  #socket: Promise<VsockSocket> | undefined;

  constructor(
    private readonly sides: Sides,
    readonly type: SocketType,
  ) {}

  async bind(address: VsockAddress): Promise<void> {
    return (await this.#decide()).bind(address);
  }

  async listen(backlog: number): Promise<void> {
    return (await this.#decide()).listen(backlog);
  }

  async accept(options?: CallOptions): Promise<VsockSocket> {
    return (await this.#decide()).accept(options);
  }

  async connect({ cid, port }: VsockAddress, options?: CallOptions): Promise<void> {
    const { clients, cid: there } = this.sides;
    const socket = await this.#decide(clients);
    await socket.connect({ cid: cid === VMADDR_CID_LOCAL ? there : cid, port }, options);
  }

  async setOption(option: SocketOption, value: number): Promise<void> {
    if (this.#socket !== undefined) return (await this.#socket).setOption(option, value);
    this.#options.push([option, value]);
  }

  async getOption(option: SocketOption): Promise<number> {
    return (await this.#decide()).getOption(option);
  }

  async localAddress(): Promise<VsockAddress> {
    return (await this.#decide()).localAddress();
  }

  async peerAddress(): Promise<VsockAddress> {
    return (await this.#decide()).peerAddress();
  }

  async stream(): Promise<VsockStream> {
    return (await this.#decide()).stream();
  }

  async close(): Promise<void> {
    return (await this.#decide()).close();
  }

  #decide(machine = this.sides.servers): Promise<VsockSocket> {
    this.#socket ??= this.#make(machine);
    return this.#socket;
  }

  async #make(machine: Machine): Promise<VsockSocket> {
    const socket = await machine.socket(this.type);
    for (const [option, value] of this.#options) await socket.setOption(option, value);
    return socket;
  }
}
