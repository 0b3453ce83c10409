/** Nodes of a simulated driver, as the clients see nodes, without a daemon between. */
import { SystemError } from '../../src/core/abi/errno.js';
import { ioctlParts } from '../../src/core/abi/linux-ioctl.js';
import { VBG_IOCTL_HGCM_CALL_32 } from '../../src/core/abi/vboxguest.js';
import type {
  DeviceNode,
  IoctlOptions,
  IoctlResult,
  Pointer,
} from '../../src/core/backend/port/node.js';
import {
  type IoctlOutcome,
  type OpenNode,
  PendingIoctl,
  type UserMemory,
} from '../../src/core/simulator/node.js';

/** Its parameters have addresses of 32 bits. */
const CALL_32 = ioctlParts(VBG_IOCTL_HGCM_CALL_32(0)).nr;

export class SimulatedNode implements DeviceNode {
  readonly path: string;
  readonly #node: OpenNode;

  constructor(path: string, node: OpenNode) {
    this.path = path;
    this.#node = node;
  }

  async ioctl(
    request: number,
    argument: Uint8Array | number = 0,
    { signal, pointers = [] }: IoctlOptions = {},
  ): Promise<IoctlResult> {
    const isSmall = ioctlParts(request).nr === CALL_32;
    const memory = new ProgramMemory(pointers);
    const given = typeof argument === 'number' ? argument : memory.addressed(argument, isSmall);
    const outcome = await this.#outcome(request, given, memory, signal);
    if (outcome instanceof SystemError) throw outcome;
    return { result: 0, data: outcome.data ?? new Uint8Array() };
  }

  async close(): Promise<void> {
    this.#node.close();
  }

  async #outcome(
    request: number,
    argument: Uint8Array | number,
    memory: UserMemory,
    signal: AbortSignal | undefined,
  ): Promise<IoctlOutcome> {
    const reply = this.#node.ioctl(request, argument, memory);
    if (!(reply instanceof PendingIoctl)) return reply;
    signal?.addEventListener('abort', () => reply.interrupt(), { once: true });
    return new Promise((resolve) => reply.onFinish(resolve));
  }
}

/** What an argument points to, at addresses that both word sizes have. */
class ProgramMemory implements UserMemory {
  readonly #pointers: readonly Pointer[];

  constructor(pointers: readonly Pointer[]) {
    this.#pointers = pointers;
  }

  addressed(argument: Uint8Array, isSmall: boolean): Uint8Array {
    const data = argument.slice();
    const view = new DataView(data.buffer);
    this.#pointers.forEach(({ at }, index) => {
      if (isSmall) view.setUint32(at, base(index), true);
      else view.setBigUint64(at, BigInt(base(index)), true);
    });
    return data;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#at(address, length).slice();
  }

  write(address: bigint, data: Uint8Array): void {
    this.#at(address, data.length).set(data);
  }

  #at(address: bigint, length: number): Uint8Array {
    for (const [index, { to }] of this.#pointers.entries()) {
      const at = Number(address) - base(index);
      if (at >= 0 && at + length <= to.length) return to.subarray(at, at + length);
    }
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
}

function base(index: number): number {
  return (index + 1) * 2 ** 24;
}
