/** Requests about device nodes: open, ioctl, close, directories, sysctls. */
import { SystemError } from '../abi/errno.js';
import { type IoctlReply, type OpenNode, PendingIoctl } from '../simulator/node.js';
import type { Keeper } from './keeper.js';
import { integer, machineName, oneOf, optionalText, text } from './parameters.js';
import type { Answer, Call, CallTable } from './session.js';
import { SentMemory } from './user-memory.js';

/** Nodes that one client may have open: what Linux allows a process by default, more or less. */
const MAX_NODES = 4096;

interface Entry {
  readonly node: OpenNode;
  /** VMs that were created on this handle. */
  readonly making: Set<string>;
}

/** The open nodes of one client. */
export class NodeTable {
  readonly #keeper: Keeper;
  readonly #entries = new Map<number, Entry>();
  #next = 1;

  constructor(keeper: Keeper) {
    this.#keeper = keeper;
  }

  add(node: OpenNode): number {
    if (this.#entries.size >= MAX_NODES) {
      node.close();
      throw new SystemError('EMFILE', { syscall: 'open' });
    }
    const handle = this.#next++;
    this.#entries.set(handle, { node, making: new Set() });
    return handle;
  }

  get(handle: number): Entry {
    const entry = this.#entries.get(handle);
    if (entry === undefined) throw new SystemError('EBADF');
    return entry;
  }

  remove(handle: number): void {
    const { node, making } = this.get(handle);
    this.#entries.delete(handle);
    node.close();
    this.#keeper.settled(making);
  }

  close(): void {
    for (const handle of [...this.#entries.keys()]) this.remove(handle);
  }
}

export const NODE_CALLS: CallTable = {
  open({ session, parameters }) {
    const { world } = session.shared.keeper;
    const machine = world.machine(machineName(parameters), session.caller);
    const access = oneOf(parameters, 'access', ['r', 'w', 'rw'] as const);
    const path = text(parameters, 'path');
    try {
      return { handle: session.nodes.add(machine.open(path, session.caller, access)) };
    } catch (error) {
      throw aboutPath(error, path);
    }
  },

  async ioctl({ session, parameters, binary, signal }) {
    const { keeper } = session.shared;
    const { node, making } = session.nodes.get(integer(parameters, 'handle'));
    const request = integer(parameters, 'request');
    const { argument: bytes, memory } = SentMemory.split(parameters, binary);
    const argument = parameters.argument === undefined ? bytes : integer(parameters, 'argument');
    const begun = node.ioctl(request, argument, memory);
    keeper.digest(making);
    const reply = begun instanceof PendingIoctl ? await finished(begun, signal) : begun;
    await keeper.durable();
    return ioctlAnswer(reply, memory);
  },

  async close({ session, parameters }) {
    session.nodes.remove(integer(parameters, 'handle'));
    await digested(session.shared.keeper);
    return {};
  },

  readFile({ session, parameters }) {
    const { world } = session.shared.keeper;
    const machine = world.machine(machineName(parameters), session.caller);
    return { binary: machine.readFile(text(parameters, 'path'), session.caller) };
  },

  readdir({ session, parameters }) {
    const { world } = session.shared.keeper;
    const machine = world.machine(machineName(parameters), session.caller);
    return { names: machine.readdir(text(parameters, 'path'), session.caller) };
  },

  async sysctl(call: Call) {
    const { session, parameters } = call;
    const { keeper } = session.shared;
    const machine = keeper.world.machine(machineName(parameters), session.caller);
    const value = optionalText(parameters, 'value');
    const result = machine.sysctl(text(parameters, 'name'), value, session.caller);
    await digested(keeper);
    return { value: result };
  },
};

/** Waits for the end of a call; aborting the signal is what a signal is to a system call. */
function finished(pending: PendingIoctl, signal: AbortSignal): Promise<IoctlReply> {
  return new Promise((resolve, reject) => {
    const interrupt = () => pending.interrupt();
    signal.addEventListener('abort', interrupt);
    pending.onFinish((outcome) => {
      signal.removeEventListener('abort', interrupt);
      if (outcome instanceof SystemError) reject(outcome);
      else resolve(outcome);
    });
    if (signal.aborted) interrupt();
  });
}

/** What the call left: first the argument, where it is copied out, then the memory that it wrote. */
function ioctlAnswer({ result, data }: IoctlReply, memory: SentMemory): Answer {
  const { written, bytes } = memory.changes();
  if (written.length === 0) return { result, ...(data === undefined ? {} : { binary: data }) };
  const all = [data ?? new Uint8Array(0), ...bytes];
  return { result, written, binary: Buffer.concat(all) };
}

/** The same error, which says what could not be opened. */
function aboutPath(error: unknown, path: string): unknown {
  if (!(error instanceof SystemError) || error.path !== undefined) return error;
  const { code, message, hint, cause } = error;
  return new SystemError(code, { syscall: 'open', path, message, hint, cause });
}

async function digested(keeper: Keeper): Promise<void> {
  keeper.digest();
  await keeper.durable();
}
