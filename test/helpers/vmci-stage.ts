/** The simulated host as a stage for transcripts: a program on its /dev/vmci, and sockets of its kernel. */
import { isErrorCode, SystemError } from '../../src/core/abi/errno.js';
import { VMCI_VERSION } from '../../src/core/abi/vmci.js';
import type { VmciDatagramValue } from '../../src/core/abi/vmci-datagram.js';
import {
  decodeDatagram,
  encodeDatagram,
  VMCI_MAX_DG_SIZE,
} from '../../src/core/abi/vmci-datagram.js';
import * as ioctls from '../../src/core/abi/vmci-ioctls.js';
import { BufferMemory } from '../../src/core/abi/vmci-memory.js';
import { type QueueMemory, VMCI_PAGE_SIZE } from '../../src/core/abi/vmci-queue.js';
import {
  type OpenNode,
  PendingIoctl,
  ROOT,
  type UserMemory,
} from '../../src/core/simulator/node.js';
import type { Socket } from '../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../src/core/simulator/vsock/stack.js';
import type { World } from '../../src/core/simulator/world.js';
import {
  type CallResult,
  type KernelSocket,
  type Outcome,
  PROGRAM_CID,
  type Program,
  type Stage,
} from './vmci-vsock-transcript.js';

/** Linux's numbers of the errors that a transcript shows. */
const ERRNO: Readonly<Record<string, number>> = {
  EAGAIN: 11,
  ENOMEM: 12,
  EINVAL: 22,
  EPIPE: 32,
  EMSGSIZE: 90,
  EINPROGRESS: 115,
};

/** A process's memory, of pieces that stand at addresses of their own. */
class ProcessMemory implements UserMemory {
  readonly #pieces: { address: bigint; bytes: Uint8Array }[] = [];
  #next = 0x10000n;

  /** Whole pages, zeros. */
  map(bytes: number): { address: bigint; bytes: Uint8Array } {
    const length = Math.ceil(bytes / VMCI_PAGE_SIZE) * VMCI_PAGE_SIZE;
    const piece = { address: this.#next, bytes: new Uint8Array(length) };
    this.#next += BigInt(length + VMCI_PAGE_SIZE);
    this.#pieces.push(piece);
    return piece;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#view(address, length).slice();
  }

  write(address: bigint, data: Uint8Array): void {
    this.#view(address, data.length).set(data);
  }

  pin(address: bigint, length: number): QueueMemory | undefined {
    return new BufferMemory(this.#view(address, length));
  }

  #view(address: bigint, length: number): Uint8Array {
    for (const piece of this.#pieces) {
      const at = Number(address - piece.address);
      if (at >= 0 && at + length <= piece.bytes.length)
        return piece.bytes.subarray(at, at + length);
    }
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
}

class SimulatedProgram implements Program {
  readonly #node: OpenNode;
  readonly #settle: () => void;
  readonly #memory = new ProcessMemory();
  readonly #addresses = new Map<QueueMemory, bigint>();
  readonly #room;

  constructor(node: OpenNode, settle: () => void) {
    this.#node = node;
    this.#settle = settle;
    this.#room = this.#memory.map(VMCI_MAX_DG_SIZE);
    const version = new Uint8Array(4);
    new DataView(version.buffer).setInt32(0, VMCI_VERSION, true);
    this.#ioctl(ioctls.IOCTL_VMCI_VERSION2, version);
    const wanted = ioctls.vmci_init_blk.encode({ cid: PROGRAM_CID });
    this.#ioctl(ioctls.IOCTL_VMCI_INIT_CONTEXT, wanted);
  }

  async send(datagram: VmciDatagramValue): Promise<number> {
    const bytes = encodeDatagram(datagram);
    this.#room.bytes.set(bytes);
    const info = { addr: this.#room.address, len: bytes.length };
    const argument = ioctls.vmci_datagram_snd_rcv_info.encode(info);
    const { data } = this.#ioctl(ioctls.IOCTL_VMCI_DATAGRAM_SEND, argument);
    this.#settle();
    return ioctls.vmci_datagram_snd_rcv_info.decode(data).result;
  }

  async receive(): Promise<VmciDatagramValue | undefined> {
    const info = { addr: this.#room.address, len: VMCI_MAX_DG_SIZE };
    const argument = ioctls.vmci_datagram_snd_rcv_info.encode(info);
    const { data } = this.#ioctl(ioctls.IOCTL_VMCI_DATAGRAM_RECEIVE, argument);
    if (ioctls.vmci_datagram_snd_rcv_info.decode(data).result < 0) return undefined;
    const size = 24 + Number(new DataView(this.#room.bytes.buffer).getBigUint64(16, true));
    return decodeDatagram(this.#room.bytes.slice(0, size));
  }

  async memory(bytes: number): Promise<QueueMemory> {
    const piece = this.#memory.map(bytes);
    const memory = new BufferMemory(piece.bytes);
    this.#addresses.set(memory, piece.address);
    return memory;
  }

  async alloc(request: Parameters<Program['alloc']>[0]): Promise<Outcome> {
    const { handle, peer, flags, produceSize, consumeSize, memory } = request;
    const argument = ioctls.vmci_qp_alloc_info.encode({
      handle,
      peer,
      flags,
      produce_size: BigInt(produceSize),
      consume_size: BigInt(consumeSize),
      ppn_va: this.#addressOf(memory),
      num_ppns: BigInt(memory.length / VMCI_PAGE_SIZE),
      version: VMCI_VERSION,
    });
    const { result, data } = this.#ioctl(ioctls.IOCTL_VMCI_QUEUEPAIR_ALLOC, argument);
    return { returned: result, result: ioctls.vmci_qp_alloc_info.decode(data).result };
  }

  async setPages(
    handle: { context: number; resource: number },
    memory: QueueMemory | undefined,
  ): Promise<Outcome> {
    const va = memory === undefined ? 0n : this.#addressOf(memory);
    const pages = BigInt((memory?.length ?? 0) / VMCI_PAGE_SIZE);
    const argument = ioctls.vmci_qp_set_va_info.encode({ handle, va, num_ppns: pages });
    const { result, data } = this.#ioctl(ioctls.IOCTL_VMCI_QUEUEPAIR_SETVA, argument);
    return { returned: result, result: ioctls.vmci_qp_set_va_info.decode(data).result };
  }

  async detach(handle: { context: number; resource: number }): Promise<Outcome> {
    const argument = ioctls.vmci_qp_dtch_info.encode({ handle });
    const { result, data } = this.#ioctl(ioctls.IOCTL_VMCI_QUEUEPAIR_DETACH, argument);
    return { returned: result, result: ioctls.vmci_qp_dtch_info.decode(data).result };
  }

  async close(): Promise<void> {
    this.#node.close();
    this.#settle();
  }

  #addressOf(memory: QueueMemory): bigint {
    return this.#addresses.get(memory) ?? 0n;
  }

  #ioctl(request: number, argument: Uint8Array): { result: number; data: Uint8Array } {
    const reply = this.#node.ioctl(request, argument, this.#memory);
    if (reply instanceof PendingIoctl) throw new Error('an ioctl of /dev/vmci waits');
    this.#settle();
    return { result: reply.result, data: reply.data ?? argument };
  }
}

class SimulatedSocket implements KernelSocket {
  constructor(
    readonly stack: Stack,
    readonly socket: Socket,
    readonly settle: () => void,
  ) {}

  async bind(address: { cid: number; port: number }): Promise<CallResult> {
    return this.#call(() => {
      this.stack.bind(this.socket, address);
      return 0;
    });
  }

  async listen(backlog: number): Promise<CallResult> {
    return this.#call(() => {
      this.stack.listen(this.socket, backlog);
      return 0;
    });
  }

  async accept() {
    const child = this.stack.accept(this.socket);
    if (child?.peer === undefined) throw new Error('no connection waits');
    return { socket: new SimulatedSocket(this.stack, child, this.settle), peer: child.peer };
  }

  async connect(address: { cid: number; port: number }): Promise<CallResult> {
    return this.#call(() => {
      this.stack.connect(this.socket, address);
      throw new SystemError('EINPROGRESS');
    });
  }

  async setBufferSize(bytes: number): Promise<void> {
    this.socket.setBuffer('size', bytes);
  }

  async send(data: Uint8Array): Promise<CallResult> {
    return this.#call(() => this.socket.send(data, 'hurries') || again());
  }

  async sendTo(address: { cid: number; port: number }, data: Uint8Array): Promise<CallResult> {
    return this.#call(() => {
      this.stack.sendTo(this.socket, data, address);
      return data.length;
    });
  }

  async recv(max: number): Promise<CallResult & { data: Uint8Array }> {
    let data = new Uint8Array(0);
    const result = this.#call(() => {
      const got = this.socket.recv(max, 'hurries');
      if (got === undefined) return again();
      data = Uint8Array.from(got ?? []);
      return data.length;
    });
    return { ...result, data };
  }

  async recvFrom() {
    const message = this.socket.recvMessage();
    if (message === null || message === undefined) throw new Error('no datagram waits');
    return { data: message.bytes, from: message.from };
  }

  async endWriting(): Promise<CallResult> {
    return this.#call(() => {
      this.socket.shutdown('write');
      return 0;
    });
  }

  async poll(events: number): Promise<number> {
    const { socket } = this;
    const readable = (events & 1) !== 0 && socket.readable();
    // Who finds nothing is going to wait.
    if ((events & 1) !== 0 && !readable) socket.recv(1);
    const writable = socket.state === 'connected' && (socket.queues()?.room ?? 0) > 0;
    this.settle();
    return (readable ? 1 : 0) | ((events & 4) !== 0 && writable ? 4 : 0);
  }

  async error(): Promise<number> {
    return errnoOf(this.socket.takeError());
  }

  async close(): Promise<void> {
    this.socket.close();
    this.settle();
  }

  #call(call: () => number): CallResult {
    try {
      return { value: call(), errno: 0 };
    } catch (error) {
      return { value: -1, errno: errnoOf((error as { code?: unknown }).code) };
    } finally {
      this.settle();
    }
  }
}

function again(): never {
  throw new SystemError('EAGAIN');
}

function errnoOf(code: unknown): number {
  if (code === undefined) return 0;
  if (!isErrorCode(code) || ERRNO[code] === undefined) throw new Error(`no number for ${code}`);
  return ERRNO[code] ?? 0;
}

/** The host of a world. */
export function simulatedStage(world: World): Stage {
  const settle = () => {
    while (world.run(512) || world.busy);
  };
  return {
    program: async () => new SimulatedProgram(world.host.open('/dev/vmci', ROOT, 'rw'), settle),
    socket: async (type) => {
      const { stack } = world.host;
      return new SimulatedSocket(stack, stack.socket(type, ROOT), settle);
    },
  };
}
