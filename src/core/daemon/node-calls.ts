/** Requests about device nodes: open, ioctl, close, directories, sysctls. */
import { SystemError } from '../abi/errno.js';
import type { IoctlReply, OpenNode } from '../simulator/node.js';
import { onGuestEnd } from './guest-end.js';
import { explained, type GuestLife, guestOf } from './guest-gone.js';
import type { Keeper } from './keeper.js';
import { mappedBy } from './mapped-memory.js';
import { integer, machineName, oneOf, optionalText, text } from './parameters.js';
import { type NodeEntry, type NodeKeeper, performIoctl } from './perform-ioctl.js';
import { untilReadable } from './poll-node.js';
import type { Answer, Call, CallTable } from './session.js';
import { SentMemory } from './user-memory.js';

/** Nodes that one client may have open: what Linux allows a process by default, more or less. */
const MAX_NODES = 4096;

/** The open nodes of one client. */
export class NodeTable {
  readonly #keeper: NodeKeeper;
  readonly #entries = new Map<number, NodeEntry>();
  #next = 1;

  constructor(keeper: NodeKeeper) {
    this.#keeper = keeper;
  }

  /** @param guest in which it was opened. @param vm the name of its VM. */
  add(node: OpenNode, guest?: GuestLife, vm?: string): number {
    if (this.#entries.size >= MAX_NODES) {
      node.close();
      throw new SystemError('EMFILE', { syscall: 'open' });
    }
    const handle = this.#next++;
    this.#entries.set(handle, { node, vm, making: new Set(), guest, polling: undefined });
    return handle;
  }

  get(handle: number): NodeEntry {
    const entry = this.#entries.get(handle);
    if (entry === undefined) throw new SystemError('EBADF');
    return entry;
  }

  remove(handle: number): void {
    const { node, making, polling } = this.get(handle);
    this.#entries.delete(handle);
    polling?.abort();
    node.close();
    this.#keeper.settled(making);
  }

  close(): void {
    for (const handle of [...this.#entries.keys()]) this.remove(handle);
  }
}

export const NODE_CALLS: CallTable = {
  open(call) {
    const { session, parameters } = call;
    const { world } = session.shared.keeper;
    const of = machineName(parameters);
    const machine = world.machine(of, session.caller);
    const access = oneOf(parameters, 'access', ['r', 'w', 'rw'] as const);
    const path = text(parameters, 'path');
    try {
      const node = machine.open(path, session.caller, access);
      const vm = of === 'host' ? undefined : of.vm;
      return { handle: session.nodes.add(node, guestOf(call), vm) };
    } catch (error) {
      throw aboutPath(error, path);
    }
  },

  async ioctl({ session, parameters, binary, signal }) {
    const { keeper } = session.shared;
    const entry = session.nodes.get(integer(parameters, 'handle'));
    const request = integer(parameters, 'request');
    const { argument: bytes, memory } = SentMemory.split(parameters, binary, mappedBy(session));
    const argument = parameters.argument === undefined ? bytes : integer(parameters, 'argument');
    const call = { request, argument, memory, signal };
    try {
      return ioctlAnswer(await performIoctl(keeper, entry, call), memory);
    } catch (error) {
      throw explained(error, entry.guest?.end);
    }
  },

  /** One call at a time for an open node. */
  async poll({ session, parameters, signal }) {
    const entry = session.nodes.get(integer(parameters, 'handle'));
    if (entry.polling !== undefined) throw new SystemError('EBUSY', { syscall: 'poll' });
    const polling = new AbortController();
    const { vm } = entry;
    const stopWatching =
      vm === undefined ? undefined : onGuestEnd(session, vm, (error) => polling.abort(error));
    entry.polling = polling;
    try {
      await untilReadable(entry.node, AbortSignal.any([signal, polling.signal]));
    } finally {
      entry.polling = undefined;
      stopWatching?.();
    }
    return {};
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
