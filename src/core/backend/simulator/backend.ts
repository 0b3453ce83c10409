/** The backend of the simulated host: the port, over the daemon's socket. */
import { SystemError } from '../../abi/errno.js';
import { hostPaths } from '../../daemon/paths.js';
import type { ConnectOptions } from '../connect.js';
import type {
  CallOptions,
  DeviceNode,
  IoctlOptions,
  IoctlResult,
  MappedMemory,
  OpenOptions,
} from '../port/node.js';
import type { VmciKernel } from '../port/vmci.js';
import type { SocketRecord, SocketType, TapBatch, TapOptions, VsockSocket } from '../port/vsock.js';
import type { Backend, Machine, MachineName, Management } from '../port.js';
import { type Connection, GoneError, openControl } from './connection.js';
import { SimulatorManagement } from './management.js';
import { simulatedMemory } from './mapped-memory.js';
import { takeMemory, withMemory } from './memory.js';
import { SimulatedSocket } from './socket.js';
import { startDaemon } from './start.js';
import { tapSimulated } from './tap.js';
import { simulatedVmci } from './vmci.js';

const NOTHING = { bytes: new Uint8Array(0), memory: undefined };

/** How often a daemon that ended at the wrong moment is started again. */
const ATTEMPTS = 3;

/** Connects to a simulated host, and starts it when it does not run. */
export async function connectSimulator(host: string, options: ConnectOptions): Promise<Backend> {
  const connection = await reach(host, options);
  if (options.trace !== undefined) await traceTo(connection, options.trace);
  return new SimulatorBackend(host, connection, options.trace);
}

async function reach(host: string, options: ConnectOptions): Promise<Connection> {
  const paths = hostPaths(host);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const connection = await openControl(paths, options.caller).catch((error) => {
      // It ends just now, and hangs up on those who come.
      if (!(error instanceof GoneError) || attempt === ATTEMPTS) throw error;
    });
    if (connection) return connection;
    if (options.start === false) break;
    await startDaemon(paths);
  }
  throw new SystemError('ENXIO', {
    path: paths.socket,
    message: 'the simulated host does not run',
    hint: "start it with 'vmmctl sim start'",
  });
}

async function traceTo(connection: Connection, trace: (line: string) => void): Promise<void> {
  connection.on('trace', ({ line }) => trace(`packet ${String(line)}`));
  await connection.call('trace');
}

class SimulatorBackend implements Backend {
  readonly uri: string;
  readonly management: Management;
  readonly #connection: Connection;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(host: string, connection: Connection, trace: ((line: string) => void) | undefined) {
    this.uri = host === 'default' ? 'sim' : `sim:${host}`;
    this.#connection = connection;
    this.#trace = trace;
    this.management = new SimulatorManagement(connection);
  }

  machine(name: MachineName): Machine {
    return new SimulatedMachine(this.#connection, name, this.#trace);
  }

  async close(): Promise<void> {
    this.#connection.close();
  }
}

class SimulatedMachine implements Machine {
  readonly #connection: Connection;
  readonly #name: { vm?: string };
  readonly #trace: ((line: string) => void) | undefined;

  constructor(connection: Connection, name: MachineName, trace?: (line: string) => void) {
    this.#connection = connection;
    this.#name = name === 'host' ? {} : name;
    this.#trace = trace;
  }

  async open(path: string, options: OpenOptions = {}): Promise<DeviceNode> {
    const { access = 'rw', signal } = options;
    const values = await this.#call('open', { path, access }, signal);
    this.#trace?.(`open ${path} ${access} = ${String(values.handle)}`);
    return new SimulatedNode(this.#connection, path, Number(values.handle), this.#trace);
  }

  async readdir(path: string): Promise<string[]> {
    return (await this.#call('readdir', { path })).names as string[];
  }

  async readFile(path: string): Promise<Uint8Array> {
    const parameters = { ...this.#name, path };
    return (await this.#connection.call('readFile', parameters)).binary;
  }

  async sysctl(name: string, value?: string): Promise<string> {
    return String((await this.#call('sysctl', { name, value })).value);
  }

  async socket(type: SocketType): Promise<VsockSocket> {
    const { handle } = await this.#call('socket', { type });
    return new SimulatedSocket(this.#connection, type, Number(handle));
  }

  async localCid(): Promise<number> {
    return Number((await this.#call('localCid')).cid);
  }

  async diag(): Promise<SocketRecord[]> {
    return (await this.#call('diag')).sockets as SocketRecord[];
  }

  tap(options: TapOptions): AsyncIterable<TapBatch> {
    return tapSimulated(this.#connection, this.#name, options);
  }

  vmci(): Promise<VmciKernel> {
    return simulatedVmci(this.#connection, this.#name);
  }

  memory(bytes: number): Promise<MappedMemory> {
    return simulatedMemory(this.#connection, bytes);
  }

  async #call(op: string, parameters: object = {}, signal?: AbortSignal) {
    const { values } = await this.#connection.call(
      op,
      { ...this.#name, ...parameters },
      { signal },
    );
    return values;
  }
}

class SimulatedNode implements DeviceNode {
  readonly path: string;
  readonly #connection: Connection;
  readonly #handle: number;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(
    connection: Connection,
    path: string,
    handle: number,
    trace: ((line: string) => void) | undefined,
  ) {
    this.#connection = connection;
    this.path = path;
    this.#handle = handle;
    this.#trace = trace;
  }

  async ioctl(
    request: number,
    argument: Uint8Array | number = 0,
    { signal, timeoutMs, pointers = [] }: IoctlOptions = {},
  ): Promise<IoctlResult> {
    const name = `ioctl ${this.path} 0x${request.toString(16)}`;
    const plain = typeof argument === 'number';
    const { bytes, memory } = plain ? NOTHING : withMemory(argument, pointers);
    const parameters = { handle: this.#handle, request, memory, ...(plain ? { argument } : {}) };
    const limit = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const signals = [signal, limit].filter((each) => each !== undefined);
    try {
      const { values, binary } = await this.#connection.call('ioctl', parameters, {
        signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
        binary: bytes,
      });
      this.#trace?.(`${name} = ${String(values.result)}`);
      return { result: Number(values.result), data: takeMemory(values.written, binary, pointers) };
    } catch (error) {
      this.#trace?.(`${name} = ${(error as SystemError).code}`);
      throw error;
    }
  }

  async poll({ signal }: CallOptions = {}): Promise<void> {
    await this.#connection.call('poll', { handle: this.#handle }, { signal });
    this.#trace?.(`poll ${this.path}`);
  }

  async close(): Promise<void> {
    await this.#connection.call('close', { handle: this.#handle });
    this.#trace?.(`close ${this.path}`);
  }
}
