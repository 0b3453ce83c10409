/** A program on /dev/vmci of any machine that the port gives: what the transcripts need of it. */
import { i32, toBytes } from '../../src/core/abi/layout.js';
import { VMCI_VERSION_NOVMVM } from '../../src/core/abi/vmci.js';
import {
  decodeDatagram,
  encodeDatagram,
  VMCI_DG_HEADERSIZE,
  VMCI_MAX_DG_SIZE,
  vmci_datagram,
} from '../../src/core/abi/vmci-datagram.js';
import * as abi from '../../src/core/abi/vmci-ioctls.js';
import type { DeviceNode, MappedMemory } from '../../src/core/backend/port/node.js';
import type { Machine } from '../../src/core/backend/port.js';
import type { VmciMachine } from './vmci-transcript.js';
import { type Outcome, PROGRAM_CID, type Program } from './vmci-vsock-transcript.js';

const PATH = '/dev/vmci';
const PAGE = 4096;
const NO_MORE_DATAGRAMS = -6;
/** Turns of the event loop after which it has told all that is known of a descriptor. */
const TURNS = 20;

/** For the transcript of the node's calls. */
export function portMachine(machine: Machine): VmciMachine {
  return {
    open: () => machine.open(PATH),
    memory: (bytes) => pages(machine, bytes),
    readable,
  };
}

function pages(machine: Machine, bytes: number): Promise<MappedMemory> {
  if (machine.memory === undefined) throw new Error('the machine gives no memory');
  return machine.memory(bytes);
}

/** Whether poll(2) says now that it can be read. */
async function readable(node: DeviceNode): Promise<boolean> {
  const controller = new AbortController();
  const polled = poll(node, controller.signal);
  for (let turn = 0; turn < TURNS; turn++) await new Promise(setImmediate);
  controller.abort();
  return polled;
}

/** Whether it could be read before the signal came. */
function poll(node: DeviceNode, signal: AbortSignal): Promise<boolean> {
  if (node.poll === undefined) throw new Error('the node has no poll');
  return node.poll({ signal }).then(
    () => true,
    (error) => {
      if (error.code === 'EINTR') return false;
      throw error;
    },
  );
}

/**
 * For the dialogue with the kernel's sockets.
 * @param quietMs after so long without a datagram there is none.
 */
export async function portProgram(machine: Machine, quietMs: number): Promise<Program> {
  const node = await machine.open(PATH);
  await node.ioctl(abi.IOCTL_VMCI_VERSION2, toBytes(i32, VMCI_VERSION_NOVMVM));
  const init = abi.vmci_init_blk.encode({ cid: PROGRAM_CID });
  const { data } = await node.ioctl(abi.IOCTL_VMCI_INIT_CONTEXT, init);
  const { cid } = abi.vmci_init_blk.decode(data);
  if (cid !== PROGRAM_CID) throw new Error(`the context is ${cid}`);
  return new PortProgram(machine, node, quietMs);
}

class PortProgram implements Program {
  readonly #machine: Machine;
  readonly #node: DeviceNode;
  readonly #quietMs: number;
  readonly #room = new Uint8Array(VMCI_MAX_DG_SIZE);

  constructor(machine: Machine, node: DeviceNode, quietMs: number) {
    this.#machine = machine;
    this.#node = node;
    this.#quietMs = quietMs;
  }

  async send(datagram: Parameters<Program['send']>[0]): Promise<number> {
    const to = encodeDatagram(datagram);
    return this.#transfer(abi.IOCTL_VMCI_DATAGRAM_SEND, to);
  }

  async receive() {
    if ((await this.#take()) === NO_MORE_DATAGRAMS) {
      await poll(this.#node, AbortSignal.timeout(this.#quietMs));
      if ((await this.#take()) === NO_MORE_DATAGRAMS) return undefined;
    }
    const { payload_size } = vmci_datagram.decode(this.#room);
    return decodeDatagram(this.#room.slice(0, VMCI_DG_HEADERSIZE + Number(payload_size)));
  }

  memory(bytes: number): Promise<MappedMemory> {
    return pages(this.#machine, bytes);
  }

  async alloc(request: Parameters<Program['alloc']>[0]): Promise<Outcome> {
    const { handle, peer, flags, produceSize, consumeSize, memory } = request;
    const argument = abi.vmci_qp_alloc_info.encode({
      ...{ handle, peer, flags, ...place(memory as MappedMemory) },
      produce_size: BigInt(produceSize),
      consume_size: BigInt(consumeSize),
    });
    return this.#pair(abi.IOCTL_VMCI_QUEUEPAIR_ALLOC, abi.vmci_qp_alloc_info, argument);
  }

  async setPages(...[handle, memory]: Parameters<Program['setPages']>): Promise<Outcome> {
    const where = memory === undefined ? undefined : place(memory as MappedMemory);
    const argument = abi.vmci_qp_set_va_info.encode({
      handle,
      va: where?.ppn_va ?? 0n,
      num_ppns: where?.num_ppns ?? 0n,
      version: VMCI_VERSION_NOVMVM,
    });
    return this.#pair(abi.IOCTL_VMCI_QUEUEPAIR_SETVA, abi.vmci_qp_set_va_info, argument);
  }

  async detach(handle: Parameters<Program['detach']>[0]): Promise<Outcome> {
    const argument = abi.vmci_qp_dtch_info.encode({ handle });
    return this.#pair(abi.IOCTL_VMCI_QUEUEPAIR_DETACH, abi.vmci_qp_dtch_info, argument);
  }

  close(): Promise<void> {
    return this.#node.close();
  }

  #take(): Promise<number> {
    return this.#transfer(abi.IOCTL_VMCI_DATAGRAM_RECEIVE, this.#room);
  }

  async #transfer(request: number, to: Uint8Array): Promise<number> {
    const info = abi.vmci_datagram_snd_rcv_info;
    const pointers = [{ at: info.offset('addr'), to }];
    const argument = info.encode({ len: to.length });
    const { data } = await this.#node.ioctl(request, argument, { pointers });
    return info.decode(data).result;
  }

  async #pair(
    request: number,
    layout: { decode(data: Uint8Array): { result: number } },
    argument: Uint8Array,
  ): Promise<Outcome> {
    const { result, data } = await this.#node.ioctl(request, argument);
    return { returned: result, result: layout.decode(data).result };
  }
}

function place({ address, length }: MappedMemory) {
  return {
    ppn_va: address,
    num_ppns: BigInt(length / PAGE),
    version: VMCI_VERSION_NOVMVM,
  };
}
