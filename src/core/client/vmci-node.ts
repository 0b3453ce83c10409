/**
 * An end of VMCI as a program has it on /dev/vmci: a context of its own, whose datagrams, events and rings all come by one
 * node. That node has no call that waits; poll(2) tells when something is there.
 */
import { SystemError } from '../abi/errno.js';
import {
  VMCI_EVENT_HANDLER,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES,
  VMCI_RESERVED_RESOURCE_ID_MAX,
  type VmciHandleValue,
  vmci_handle,
} from '../abi/vmci.js';
import {
  datagramSize,
  encodeDatagram,
  VMCI_DG_HEADERSIZE,
  VMCI_MAX_DATAGRAM_QUEUE_SIZE,
  VMCI_MAX_DG_SIZE,
  vmci_datagram,
} from '../abi/vmci-datagram.js';
import { VMCI_RESULT, VmciResultError } from '../abi/vmci-errors.js';
import {
  IOCTL_VMCI_CTX_ADD_NOTIFICATION,
  IOCTL_VMCI_DATAGRAM_RECEIVE,
  IOCTL_VMCI_DATAGRAM_SEND,
  IOCTL_VMCI_NOTIFICATIONS_RECEIVE,
  IOCTL_VMCI_NOTIFY_RESOURCE,
  VMCI_NOTIFY_RESOURCE_ACTION_CREATE,
  VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY,
  VMCI_NOTIFY_RESOURCE_DOOR_BELL,
  vmci_ctx_info,
  vmci_ctx_notify_recv_info,
  vmci_datagram_snd_rcv_info,
  vmci_dbell_notify_resource_info,
} from '../abi/vmci-ioctls.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { VmciDatagram } from '../backend/port/vmci.js';
import type { Machine } from '../backend/port.js';
import { openContext } from './vmci.js';
import {
  taken,
  toWords,
  type VmciDoorbell,
  type VmciEndpoint,
  type VmciListener,
} from './vmci-endpoint.js';
import { checkVmci, vmciError } from './vmci-error.js';
import { readEvent, type VmciEvent } from './vmci-event.js';

/** A resource that is chosen; nobody else can have one of a context that is ours. */
const CHOSEN_RESOURCE = VMCI_RESERVED_RESOURCE_ID_MAX + 1;
/** Events that wait for who reads them. */
const MAX_EVENTS = 4096;

/**
 * Makes a context.
 * @param wanted its id, if that is free; the next free one from 16 on when left out.
 * @throws SystemError ENODEV, EACCES, as `openContext`.
 */
export async function openNodeEndpoint(machine: Machine, wanted?: number): Promise<VmciEndpoint> {
  const { node, contextId } = await openContext(machine, wanted);
  return new NodeEndpoint(node, contextId);
}

/** Datagrams that wait for one listener. */
interface Waiting {
  readonly datagrams: VmciDatagram[];
  bytes: number;
}

class NodeEndpoint implements VmciEndpoint {
  readonly contextId: number;
  readonly #node: DeviceNode;
  readonly #listeners = new Map<number, Waiting>();
  readonly #doorbells = new Map<number, { rung: boolean }>();
  readonly #events: VmciEvent[] = [];
  readonly #room = new Uint8Array(VMCI_MAX_DG_SIZE);
  readonly #rings = new Uint8Array(VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES * vmci_handle.size);

  constructor(node: DeviceNode, contextId: number) {
    this.#node = node;
    this.contextId = contextId;
  }

  async listen(resource: number): Promise<VmciListener> {
    const handle = this.#own(resource);
    if (this.#listeners.has(handle.resource)) {
      throw vmciError(VMCI_RESULT.VMCI_ERROR_ALREADY_EXISTS, taken(this.contextId, resource));
    }
    const waiting: Waiting = { datagrams: [], bytes: 0 };
    this.#listeners.set(handle.resource, waiting);
    const next = () => {
      const datagram = waiting.datagrams.shift();
      if (datagram !== undefined) waiting.bytes -= datagramSize(datagram);
      return datagram;
    };
    return { handle, receive: (options) => this.#until(next, options) };
  }

  async send(dst: VmciHandleValue, payload: Uint8Array, from: number): Promise<number> {
    const to = encodeDatagram({ dst, src: this.#own(from), payload });
    if (to.length > VMCI_MAX_DG_SIZE) {
      throw vmciError(VMCI_RESULT.VMCI_ERROR_PAYLOAD_TOO_LARGE);
    }
    const info = vmci_datagram_snd_rcv_info;
    const data = await this.#call(
      IOCTL_VMCI_DATAGRAM_SEND,
      info.encode({ len: to.length, result: VMCI_RESULT.VMCI_ERROR_GENERIC }),
      [{ at: info.offset('addr'), to }],
    );
    return this.#sent(info.decode(data).result, dst);
  }

  async doorbell(resource: number): Promise<VmciDoorbell> {
    const handle = this.#own(resource);
    const result = await this.#notifyResource(handle, VMCI_NOTIFY_RESOURCE_ACTION_CREATE);
    checkVmci(result, taken(this.contextId, resource));
    const doorbell = { rung: false };
    this.#doorbells.set(handle.resource, doorbell);
    const next = () => {
      const { rung } = doorbell;
      doorbell.rung = false;
      return rung || undefined;
    };
    return {
      handle,
      wait: async (options) => {
        await this.#until(next, options);
      },
    };
  }

  async ring(handle: VmciHandleValue): Promise<void> {
    const action = VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY;
    this.#sent(await this.#notifyResource(handle, action), handle);
  }

  async events({ signal }: { signal: AbortSignal }): Promise<AsyncIterable<VmciEvent>> {
    return this.#readEvents(signal);
  }

  async watch(contextId: number): Promise<void> {
    const request = vmci_ctx_info.encode({ remote_cid: contextId });
    const data = await this.#call(IOCTL_VMCI_CTX_ADD_NOTIFICATION, request);
    const { result } = vmci_ctx_info.decode(data);
    if (result === VMCI_RESULT.VMCI_ERROR_DST_UNREACHABLE) throw onlyHost(result);
    checkVmci(result, { VMCI_ERROR_ALREADY_EXISTS: [`context ${contextId} is watched already`] });
  }

  async *#readEvents(signal: AbortSignal): AsyncGenerator<VmciEvent> {
    while (!signal.aborted) {
      try {
        yield await this.#until(() => this.#events.shift(), { signal });
      } catch (error) {
        if (!(error instanceof SystemError) || error.code !== 'EINTR') throw error;
      }
    }
  }

  /** Takes what comes, until something is found in it. One wait at a time. */
  async #until<T>(find: () => T | undefined, options?: CallOptions): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      const came = (await this.#takeDatagrams()) + (await this.#takeRings());
      if (came === 0) await this.#wait(options);
    }
  }

  async #wait(options: CallOptions | undefined): Promise<void> {
    if (this.#node.poll === undefined) throw new SystemError('EOPNOTSUPP', { syscall: 'poll' });
    await this.#node.poll(options);
  }

  /** How many there were. */
  async #takeDatagrams(): Promise<number> {
    for (let count = 0; ; count++) {
      const datagram = await this.#takeDatagram();
      if (datagram === undefined) return count;
      this.#deliver(datagram);
    }
  }

  async #takeDatagram(): Promise<VmciDatagram | undefined> {
    const info = vmci_datagram_snd_rcv_info;
    const data = await this.#call(
      IOCTL_VMCI_DATAGRAM_RECEIVE,
      info.encode({ len: this.#room.length, result: VMCI_RESULT.VMCI_ERROR_GENERIC }),
      [{ at: info.offset('addr'), to: this.#room }],
    );
    const { result } = info.decode(data);
    if (result === VMCI_RESULT.VMCI_ERROR_NO_MORE_DATAGRAMS) return undefined;
    checkVmci(result);
    const { dst, src, payload_size } = vmci_datagram.decode(this.#room);
    const end = VMCI_DG_HEADERSIZE + Number(payload_size);
    return { dst, src, payload: this.#room.slice(VMCI_DG_HEADERSIZE, end) };
  }

  /** What nobody listens for is dropped, as a kernel does, and what is too much. */
  #deliver(datagram: VmciDatagram): void {
    const { dst, src, payload } = datagram;
    if (src.context === VMCI_HYPERVISOR_CONTEXT_ID && dst.resource === VMCI_EVENT_HANDLER) {
      const event = readEvent(payload);
      if (event !== undefined && this.#events.length < MAX_EVENTS) this.#events.push(event);
      return;
    }
    const listener = this.#listeners.get(dst.resource);
    const bytes = datagramSize(datagram);
    if (listener === undefined || listener.bytes + bytes >= VMCI_MAX_DATAGRAM_QUEUE_SIZE) return;
    listener.datagrams.push(datagram);
    listener.bytes += bytes;
  }

  /** How many there were. */
  async #takeRings(): Promise<number> {
    if (this.#doorbells.size === 0) return 0;
    const info = vmci_ctx_notify_recv_info;
    const data = await this.#call(
      IOCTL_VMCI_NOTIFICATIONS_RECEIVE,
      info.encode({ db_handle_buf_size: BigInt(this.#rings.length) }),
      [{ at: info.offset('db_handle_buf_uva'), to: this.#rings }],
    );
    const { result, db_handle_buf_size } = info.decode(data);
    checkVmci(result);
    const end = Math.min(Number(db_handle_buf_size), this.#rings.length);
    for (let at = 0; at < end; at += vmci_handle.size) {
      const { resource } = vmci_handle.decode(this.#rings.subarray(at));
      const doorbell = this.#doorbells.get(resource);
      if (doorbell !== undefined) doorbell.rung = true;
    }
    return end / vmci_handle.size;
  }

  async #notifyResource(handle: VmciHandleValue, action: number): Promise<number> {
    const info = vmci_dbell_notify_resource_info;
    const resource = VMCI_NOTIFY_RESOURCE_DOOR_BELL;
    const request = info.encode({ handle, resource, action });
    return info.decode(await this.#call(IOCTL_VMCI_NOTIFY_RESOURCE, request)).result;
  }

  async #call(
    request: number,
    argument: Uint8Array,
    pointers: readonly { at: number; to: Uint8Array }[] = [],
  ): Promise<Uint8Array> {
    return (await this.#node.ioctl(request, argument, { pointers })).data;
  }

  /** The result of what was sent somewhere. */
  #sent(result: number, to: VmciHandleValue): number {
    if (result === VMCI_RESULT.VMCI_ERROR_DST_UNREACHABLE) throw onlyHost(result);
    return checkVmci(result, toWords(to));
  }

  #own(resource: number): VmciHandleValue {
    const chosen = resource === VMCI_INVALID_ID ? CHOSEN_RESOURCE : resource;
    return { context: this.contextId, resource: chosen };
  }
}

/** What the node can't do at all. */
function onlyHost(result: number): SystemError {
  return new SystemError('EOPNOTSUPP', {
    message: "a program's context on /dev/vmci reaches the host's endpoints and itself alone",
    hint: "address 'host:RID', or act as a kernel of the simulated host: without --node and -b device",
    cause: new VmciResultError(result),
  });
}
