/** /dev/vmci of the simulated host in this process, as a client would see it through the port. */
import { SystemError } from '../../src/core/abi/errno.js';
import { BufferMemory } from '../../src/core/abi/vmci-memory.js';
import { type QueueMemory, VMCI_PAGE_SIZE } from '../../src/core/abi/vmci-queue.js';
import type { DeviceNode, MappedMemory, Pointer } from '../../src/core/backend/port/node.js';
import { type OpenNode, PendingIoctl, type UserMemory } from '../../src/core/simulator/node.js';
import type { VmciMachine } from './vmci-transcript.js';

const FIRST_MAPPED = 0x7f00_0000_0000n;
/** Where the pointers of a call are, one after the other. */
const FIRST_POINTER = 0x10_0000n;
const POINTER_STEP = 0x100_0000n;

/** The memory of a program: mappings that stay, and what a call's pointers point to. */
export class ProgramMemory implements UserMemory {
  readonly #mapped: { address: bigint; memory: BufferMemory }[] = [];
  readonly #pointers: { address: bigint; to: Uint8Array }[] = [];
  #next = FIRST_MAPPED;

  map(bytes: number): MappedMemory {
    const length = Math.ceil(bytes / VMCI_PAGE_SIZE) * VMCI_PAGE_SIZE;
    const memory = new BufferMemory(length);
    const address = this.#next;
    // A page between two mappings belongs to nobody.
    this.#next += BigInt(length + VMCI_PAGE_SIZE);
    this.#mapped.push({ address, memory });
    const view = (offset: number, count: number) => memory.view(offset, count);
    return { address, length, view, release: async () => undefined };
  }

  /** The argument with addresses in it, for one call. */
  place(argument: Uint8Array, pointers: readonly Pointer[]): Uint8Array {
    this.#pointers.length = 0;
    const data = argument.slice();
    for (const [index, { at, to }] of pointers.entries()) {
      const address = FIRST_POINTER + POINTER_STEP * BigInt(index);
      new DataView(data.buffer).setBigUint64(at, address, true);
      this.#pointers.push({ address, to });
    }
    return data;
  }

  read(address: bigint, length: number): Uint8Array {
    return length === 0 ? new Uint8Array(0) : this.#find(address, length).slice();
  }

  write(address: bigint, data: Uint8Array): void {
    if (data.length > 0) this.#find(address, data.length).set(data);
  }

  pin(address: bigint, length: number): QueueMemory | undefined {
    for (const mapped of this.#mapped) {
      const offset = address - mapped.address;
      if (offset < 0n || offset + BigInt(length) > BigInt(mapped.memory.length)) continue;
      const bytes = mapped.memory.view(Number(offset), length);
      return new BufferMemory(bytes);
    }
    return undefined;
  }

  #find(address: bigint, length: number): Uint8Array {
    for (const { address: start, to } of this.#pointers) {
      const offset = address - start;
      if (offset < 0n || offset + BigInt(length) > BigInt(to.length)) continue;
      return to.subarray(Number(offset), Number(offset) + length);
    }
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
}

/** @param after called after each call, for what it has put off. */
export function vmciMachine(open: () => OpenNode, after: () => void): VmciMachine {
  const program = new ProgramMemory();
  const nodes = new WeakMap<DeviceNode, OpenNode>();
  return {
    async open() {
      const node = open();
      const device = deviceNode(node, program, after);
      nodes.set(device, node);
      return device;
    },
    memory: async (bytes) => program.map(bytes),
    readable: async (node) => (nodes.get(node)?.pollMask?.() ?? 0) !== 0,
  };
}

function deviceNode(node: OpenNode, program: ProgramMemory, after: () => void): DeviceNode {
  return {
    path: '/dev/vmci',
    async ioctl(request, argument = 0, { pointers = [] } = {}) {
      const placed = typeof argument === 'number' ? argument : program.place(argument, pointers);
      try {
        const reply = node.ioctl(request, placed, program);
        if (reply instanceof PendingIoctl) throw new Error('a call waits');
        return { result: reply.result, data: reply.data ?? new Uint8Array(0) };
      } finally {
        after();
      }
    },
    async close() {
      node.close();
      after();
    },
  };
}
