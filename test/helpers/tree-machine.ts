/**
 * Machines for clients that read files or talk to one node: one whose files are a directory of the test, with what
 * real kernels wrote in them, and one whose node answers recorded bytes. Neither uses the layouts of the clients.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ErrorCode, isErrorCode, SystemError } from '../../src/core/abi/errno.js';
import type { DeviceNode } from '../../src/core/backend/port/node.js';
import type { Machine } from '../../src/core/backend/port.js';

const nothing = async (): Promise<never> => {
  throw new SystemError('ENOENT');
};

const NO_MACHINE: Machine = {
  open: nothing,
  readdir: nothing,
  readFile: nothing,
  sysctl: nothing,
  socket: nothing,
  localCid: nothing,
};

/** Files by their path; a path that ends with a slash is a directory. */
export function treeMachine(root: string, files: Readonly<Record<string, string>>): Machine {
  for (const [path, text] of Object.entries(files)) {
    const target = join(root, path);
    mkdirSync(path.endsWith('/') ? target : dirname(target), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(target, text, 'latin1');
  }
  return {
    ...NO_MACHINE,
    readdir: async (path) => ofSystem(() => readdirSync(join(root, path))),
    readFile: async (path) => ofSystem(() => readFileSync(join(root, path))),
  };
}

function ofSystem<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw isErrorCode(code) ? new SystemError(code) : error;
  }
}

/** One call of a recorded talk. Bytes are in hex. */
export interface RecordedCall {
  request: number;
  /** A plain integer, or bytes. */
  argument: number | string;
  /** Default 0. */
  result?: number;
  answer?: string;
  error?: ErrorCode;
  /** What the argument points to, and what the call writes there. */
  memory?: readonly { at: number; has: string; gets?: string }[];
}

/** A machine with one node, which expects these calls in this order. */
export function recordedMachine(
  path: string,
  calls: readonly RecordedCall[],
): { machine: Machine; isDone(): boolean } {
  const left = [...calls];
  let open = 0;
  const node: DeviceNode = {
    path,
    async ioctl(request, argument = 0, { pointers = [] } = {}) {
      const call = left.shift();
      const sent = typeof argument === 'number' ? argument : Buffer.from(argument).toString('hex');
      const wanted = call && { request: call.request, argument: call.argument };
      if (JSON.stringify({ request, argument: sent }) !== JSON.stringify(wanted)) {
        throw new Error(`0x${request.toString(16)} ${sent} is not what was recorded`);
      }
      const memory = call?.memory ?? [];
      const has = pointers.map(({ at, to }) => ({ at, has: Buffer.from(to).toString('hex') }));
      if (JSON.stringify(has) !== JSON.stringify(memory.map(({ at, has }) => ({ at, has })))) {
        throw new Error(`it points to ${JSON.stringify(has)}`);
      }
      pointers.forEach(({ to }, i) => {
        to.set(Buffer.from(memory[i]?.gets ?? '', 'hex'));
      });
      if (call?.error) throw new SystemError(call.error, { path });
      return { result: call?.result ?? 0, data: Buffer.from(call?.answer ?? '', 'hex') };
    },
    close: async () => {
      open -= 1;
    },
  };
  const machine: Machine = {
    ...NO_MACHINE,
    open: async (name) => {
      if (name !== path) throw new SystemError('ENOENT', { path: name });
      open += 1;
      return node;
    },
  };
  return { machine, isDone: () => left.length === 0 && open === 0 };
}
