/** The backend of this machine's own nodes and sockets. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { isErrorCode, SystemError } from '../../abi/errno.js';
import { fromBytes, u32 } from '../../abi/layout.js';
import { IOCTL_VM_SOCKETS_GET_LOCAL_CID, VMADDR_CID_ANY } from '../../abi/vm-sockets.js';
import { endThreads } from '../../native/blocking.js';
import { type Libc, loadLibc } from '../../native/libc.js';
import { Reactor } from '../../native/reactor.js';
import type { ConnectOptions } from '../connect.js';
import type { DeviceNode, MappedMemory, NodeStatus, OpenOptions } from '../port/node.js';
import type { SocketRecord, SocketType, TapBatch, TapOptions, VsockSocket } from '../port/vsock.js';
import type { Backend, Machine, MachineName } from '../port.js';
import type { SocketSystem } from './descriptor.js';
import { dumpSockets } from './diag.js';
import { native, systemError } from './errors.js';
import { DeviceKvm } from './kvm/hosts.js';
import { deviceMemory } from './memory.js';
import { openNode, type Trace } from './node.js';
import { findSockets } from './proc.js';
import { DeviceSocket } from './socket.js';
import { sysctl } from './sysctl.js';
import { tapDevice } from './tap.js';

/** @throws SystemError EOPNOTSUPP where no system call can be made, or where a caller was given. */
export async function connectDevice(options: ConnectOptions): Promise<Backend> {
  const { uid, gid, jail } = options.caller ?? {};
  if (uid !== undefined || gid !== undefined || jail !== undefined) {
    throw new SystemError('EOPNOTSUPP', {
      message: 'another caller can be named on the simulated host only',
      hint: 'run vmmctl as that user instead',
    });
  }
  const machine = new DeviceMachine(await native(loadLibc()), options.trace);
  const kvm = new DeviceKvm();
  return {
    uri: 'device',
    machine: (name) => only(machine, name),
    kvm,
    async close() {
      await kvm.close();
      await machine.close();
    },
  };
}

function only(machine: Machine, name: MachineName): Machine {
  if (name === 'host') return machine;
  throw new SystemError('EOPNOTSUPP', {
    message: `the guest '${name.vm}' can't be entered from here: --in is for the simulated host`,
    hint: 'run vmmctl -b device inside the guest',
  });
}

class DeviceMachine implements Machine {
  readonly #libc: Libc;
  readonly #trace: Trace;
  #system: Promise<SocketSystem> | undefined;

  constructor(libc: Libc, trace: Trace) {
    this.#libc = libc;
    this.#trace = trace;
  }

  async open(path: string, options: OpenOptions = {}): Promise<DeviceNode> {
    const system = {
      libc: this.#libc,
      trace: this.#trace,
      reactor: async () => (await this.#sockets()).reactor,
    };
    return openNode(system, path, options);
  }

  readdir(path: string): Promise<string[]> {
    return named(readdir(path));
  }

  async readFile(path: string): Promise<Uint8Array> {
    return named(readFile(path));
  }

  async stat(path: string): Promise<NodeStatus> {
    const status = await named(stat(path));
    return {
      mode: status.mode & 0o7777,
      uid: status.uid,
      gid: status.gid,
      isDevice: status.isCharacterDevice() || status.isBlockDevice(),
    };
  }

  async sysctl(name: string, value?: string): Promise<string> {
    return sysctl(this.#libc, name, value);
  }

  async socket(type: SocketType): Promise<VsockSocket> {
    return DeviceSocket.create(await this.#sockets(), type);
  }

  memory(bytes: number): Promise<MappedMemory> {
    return deviceMemory(bytes);
  }

  tap(options: TapOptions): AsyncIterable<TapBatch> {
    return tapDevice(() => this.#sockets(), options);
  }

  async localCid(): Promise<number> {
    const node = await this.open('/dev/vsock', { access: 'r' });
    try {
      const { data } = await node.ioctl(IOCTL_VM_SOCKETS_GET_LOCAL_CID, new Uint8Array(u32.size));
      return fromBytes(u32, data);
    } finally {
      await node.close();
    }
  }

  async diag(): Promise<SocketRecord[]> {
    onlyLinux();
    const cid = await this.localCid().catch(() => VMADDR_CID_ANY);
    const owner = cid === VMADDR_CID_ANY ? null : cid;
    try {
      return dumpSockets(this.#libc, owner);
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'ENOENT') throw error;
      this.#trace?.('vsock_diag = ENOENT, looking through /proc');
      return findSockets(this.#libc, owner);
    }
  }

  async close(): Promise<void> {
    const system = await this.#system?.catch(() => undefined);
    system?.reactor.close();
    await endThreads();
  }

  #sockets(): Promise<SocketSystem> {
    this.#system ??= startSockets(this.#libc);
    return this.#system;
  }
}

function onlyLinux(): void {
  if (process.platform === 'linux') return;
  throw new SystemError('EAFNOSUPPORT', {
    syscall: 'socket',
    message: `vsock sockets of ${process.platform} are not known to vmmctl`,
    hint: 'use the simulated host: --backend sim',
  });
}

async function startSockets(libc: Libc): Promise<SocketSystem> {
  onlyLinux();
  const reactor = await Reactor.start();
  if (typeof reactor === 'number') throw systemError(-reactor, { syscall: 'epoll_create1' });
  return { libc, reactor };
}

/** A system error of Node's own, as ours. */
async function named<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const { code, syscall, path } = error as NodeJS.ErrnoException;
    throw isErrorCode(code) ? new SystemError(code, { syscall, path }) : error;
  }
}
