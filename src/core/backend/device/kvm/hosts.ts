/** VMs of KVM on this machine: the port's side of the processes that hold them. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import type { Socket } from 'node:net';
import { isErrorCode, SystemError } from '../../../abi/errno.js';
import { kvmDirectory } from '../../../daemon/paths.js';
import { errorFromWire, MAX_BINARY, parseObject } from '../../../daemon/wire.js';
import { startOwn } from '../../own-process.js';
import type { KvmCreated, KvmExit, KvmHosts, KvmRequest, KvmRunOptions } from '../../port/kvm.js';
import type { CallOptions } from '../../port/node.js';
import type { VmDetails, VmRecord } from '../../port/vm.js';
import { HolderConnection } from './connection.js';
import { nameOfSocket, removeStale, socketPath, socketPaths } from './places.js';
import { exitFromFrame } from './protocol.js';
import { KVM_NODE, refuseOtherProcessors } from './system.js';

/** How long the kernel may take to give back a VM and its memory, milliseconds. */
const DESTROY_MS = 60_000;

export class DeviceKvm implements KvmHosts {
  /** Processes of ephemeral VMs, which end with their input. */
  readonly #held = new Set<ChildProcess>();

  async isThere(): Promise<boolean> {
    if (process.platform !== 'linux') return false;
    try {
      accessSync(KVM_NODE, constants.R_OK | constants.W_OK);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return false;
      if (!isErrorCode(code)) throw error;
      const hint = `'vmmctl doctor ${KVM_NODE}' says how to get it`;
      throw new SystemError(code, { path: KVM_NODE, hint });
    }
  }

  async create(request: KvmRequest, { signal }: CallOptions = {}): Promise<KvmCreated> {
    refuseOtherProcessors();
    const { child, said } = await startOwn({
      program: 'kvm.cjs',
      args: [request.name],
      what: `the process of VM '${request.name}'`,
      signal,
      onInput(input) {
        input.write(`${JSON.stringify(request)}\n`);
        if (!request.ephemeral) input.end();
      },
    });
    if (said === '') throw new SystemError('EIO', { message: 'the process of the VM has ended' });
    const answer = parseObject(said);
    if (answer.vm === undefined) throw errorFromWire(answer);
    const vm = answer.vm as VmRecord;
    if (!request.ephemeral) return { vm };
    this.#hold(child);
    return { vm, end: () => end(child) };
  }

  async vms(): Promise<VmRecord[]> {
    const vms = await Promise.all(socketPaths(kvmDirectory()).map(readVm));
    return vms.filter((vm) => vm !== undefined);
  }

  inspect(name: string): Promise<VmDetails> {
    const ask = (connection: HolderConnection) => connection.ask({ call: 'inspect' });
    return this.#asked(name, ask) as Promise<VmDetails>;
  }

  destroy(name: string): Promise<void> {
    return this.#asked(name, async (connection) => {
      await connection.ask({ call: 'destroy' }, DESTROY_MS);
      await connection.closed;
    });
  }

  async *run(name: string, options: KvmRunOptions): AsyncGenerator<KvmExit, void, undefined> {
    const { vcpu, image, answer, signal } = options;
    if (image !== undefined && image.bytes.length > MAX_BINARY) {
      throw new SystemError('EINVAL', { message: `an image has at most ${MAX_BINARY} bytes` });
    }
    const connection = await reach(name);
    /** What the guest reads by the exit that the caller has; it is given also when that was the last one. */
    let read: Uint8Array | undefined;
    const stop = () => connection.send({ call: 'stop' }, read);
    signal.addEventListener('abort', stop);
    try {
      if (signal.aborted) throw new SystemError('EINTR');
      const begin = { call: 'run', vcpu, at: image?.at ?? null } as const;
      let exit = exitFromFrame(await connection.call(begin, image?.bytes));
      for (;;) {
        read = answer?.(exit);
        yield exit;
        if (signal.aborted) throw new SystemError('EINTR');
        const next = connection.call({ call: 'next' }, read);
        read = undefined;
        exit = exitFromFrame(await next);
      }
    } finally {
      signal.removeEventListener('abort', stop);
      await release(connection, read);
    }
  }

  /** Ends what must not outlive this process. */
  async close(): Promise<void> {
    const held = [...this.#held];
    await Promise.all(held.map(end));
  }

  #hold(child: ChildProcess): void {
    this.#held.add(child);
    child.once('exit', () => this.#held.delete(child));
    // It must not keep a command from ending.
    (child.stdin as Socket | null)?.unref();
  }

  async #asked<T>(name: string, ask: (connection: HolderConnection) => Promise<T>): Promise<T> {
    const connection = await reach(name);
    try {
      return await ask(connection);
    } finally {
      connection.close();
    }
  }
}

/** Ends a process that ends with its input, if it has not ended already. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const ended = once(child, 'exit');
  child.stdin?.end();
  await ended;
}

/** @throws SystemError ENOENT when nobody holds a VM of that name. */
async function reach(name: string): Promise<HolderConnection> {
  const directory = kvmDirectory();
  const path = socketPath(directory, name);
  const connection = socketPaths(directory).includes(path) ? await connectTo(path) : undefined;
  if (connection === undefined) throw new SystemError('ENOENT', { message: `no VM '${name}'` });
  return connection;
}

/** Undefined when nobody is there any more. */
async function connectTo(path: string): Promise<HolderConnection | undefined> {
  try {
    return await HolderConnection.connect(path);
  } catch (error) {
    if (isGone(error)) return void (await removeStale(path));
    throw error;
  }
}

/** Undefined for one that has ended; one that does not answer has its name alone. */
async function readVm(path: string): Promise<VmRecord | undefined> {
  const connection = await connectTo(path);
  try {
    return (await connection?.ask({ call: 'vm' })) as VmRecord | undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    if (error instanceof SystemError && error.code === 'ETIMEDOUT') return silentVm(path);
    throw error;
  } finally {
    connection?.close();
  }
}

function isGone(error: unknown): boolean {
  const codes = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'];
  return error instanceof SystemError && codes.includes(error.code);
}

function silentVm(path: string): VmRecord {
  const unknown = { state: null, reason: null, cpus: null, memory: null, lifetime: null };
  return { name: nameOfSocket(path), ...unknown, cid: null, createdAt: null, labels: {} };
}

/** Stops what runs there, and sees that it has stopped: who comes next finds the vCPU free. */
async function release(connection: HolderConnection, read?: Uint8Array): Promise<void> {
  connection.send({ call: 'stop' }, read);
  // A process that is gone runs nothing any more.
  await connection.ask({ call: 'vm' }).catch(() => undefined);
  connection.close();
}
