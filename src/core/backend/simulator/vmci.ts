/** VMCI as the kernel of a simulated machine has it, over the daemon's connection. */
import { SystemError } from '../../abi/errno.js';
import { handleText } from '../../abi/vmci.js';
import {
  VMCI_EVENT_CTX_ID_UPDATE,
  VMCI_EVENT_CTX_REMOVED,
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
  VMCI_EVENT_QP_RESUMED,
} from '../../abi/vmci-event.js';
import type { CallOptions } from '../port/node.js';
import type {
  VmciDatagram,
  VmciHandle,
  VmciKernel,
  VmciQueuePair,
  VmciQueuePairRecord,
} from '../port/vmci.js';
import type { Answer, Connection } from './connection.js';
import { allocQueuePair, listQueuePairs, type QueuePairWish } from './vmci-queue.js';

/** All that can be subscribed to on Linux. */
const EVENTS = [
  VMCI_EVENT_CTX_ID_UPDATE,
  VMCI_EVENT_CTX_REMOVED,
  VMCI_EVENT_QP_RESUMED,
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
];

/** @param machine whose kernel, as the daemon's calls name it. @throws SystemError ENOENT, ENODEV, EPERM, EOPNOTSUPP. */
export async function simulatedVmci(
  connection: Connection,
  machine: { vm?: string },
): Promise<VmciKernel> {
  const { values } = await connection.call('vmciContext', machine);
  return new SimulatedVmci(connection, machine, Number(values.contextId));
}

class SimulatedVmci implements VmciKernel {
  readonly contextId: number;
  readonly #connection: Connection;
  readonly #machine: { vm?: string };
  /** Numbers of what was made, by kind and handle. */
  readonly #endpoints = new Map<string, number>();

  constructor(connection: Connection, machine: { vm?: string }, contextId: number) {
    this.#connection = connection;
    this.#machine = machine;
    this.contextId = contextId;
  }

  async createDatagramHandle(resource: number) {
    return this.#made('datagram', await this.#call('vmciCreateDatagramHandle', { resource }));
  }

  async receiveDatagram(handle: VmciHandle, options?: CallOptions): Promise<VmciDatagram> {
    const endpoint = this.#endpoint('datagram', handle);
    const { values, binary } = await this.#call('vmciReceiveDatagram', { endpoint }, options);
    return { dst: values.dst as VmciHandle, src: values.src as VmciHandle, payload: binary };
  }

  async sendDatagram({ dst, src, payload }: VmciDatagram): Promise<number> {
    const options = { binary: payload };
    return Number((await this.#call('vmciSendDatagram', { dst, src }, options)).values.result);
  }

  async createDoorbell(handle?: VmciHandle) {
    return this.#made('doorbell', await this.#call('vmciCreateDoorbell', { handle }));
  }

  async waitDoorbell(handle: VmciHandle, options?: CallOptions): Promise<void> {
    const endpoint = this.#endpoint('doorbell', handle);
    await this.#call('vmciWaitDoorbell', { endpoint }, options);
  }

  async ringDoorbell(handle: VmciHandle): Promise<number> {
    return Number((await this.#call('vmciRingDoorbell', { handle })).values.result);
  }

  async events({ signal }: { signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>> {
    const { values } = await this.#call('vmciSubscribe', { events: EVENTS });
    if (values.endpoint === undefined) {
      throw new SystemError('EPROTO', { message: 'the simulated host makes no sense' });
    }
    return this.#readEvents(Number(values.endpoint), signal);
  }

  allocQueuePair(wish: QueuePairWish): Promise<{ result: number; pair?: VmciQueuePair }> {
    return allocQueuePair(this.#connection, this.#machine, wish);
  }

  queuePairs(): Promise<VmciQueuePairRecord[]> {
    return listQueuePairs(this.#connection, this.#machine);
  }

  async *#readEvents(endpoint: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      while (!signal.aborted) {
        yield (await this.#call('vmciReadEvent', { endpoint }, { signal })).binary;
      }
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'EINTR') throw error;
    } finally {
      await this.#call('vmciRelease', { endpoint });
    }
  }

  #call(
    op: string,
    parameters: object,
    options?: { binary?: Uint8Array; signal?: AbortSignal | undefined },
  ): Promise<Answer> {
    return this.#connection.call(op, { ...this.#machine, ...parameters }, options);
  }

  #made(kind: string, { values }: Answer): { result: number; handle?: VmciHandle } {
    const result = Number(values.result);
    if (values.handle === undefined) return { result };
    const handle = values.handle as VmciHandle;
    this.#endpoints.set(`${kind} ${handleText(handle)}`, Number(values.endpoint));
    return { result, handle };
  }

  /** @throws SystemError EBADF for a handle that was not made here. */
  #endpoint(kind: string, handle: VmciHandle): number {
    const endpoint = this.#endpoints.get(`${kind} ${handleText(handle)}`);
    if (endpoint === undefined) throw new SystemError('EBADF');
    return endpoint;
  }
}
