/** Requests about VMCI as a machine's kernel has it: endpoints for datagrams, doorbells, events. Each ends with its client. */
import { SystemError } from '../abi/errno.js';
import { VMCI_INVALID_ID, VMCI_NO_PRIVILEGE_FLAGS, type VmciHandleValue } from '../abi/vmci.js';
import {
  datagramSize,
  VMCI_FLAG_DG_NONE,
  VMCI_MAX_DATAGRAM_AND_EVENT_QUEUE_SIZE,
  VMCI_MAX_DATAGRAM_QUEUE_SIZE,
} from '../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../abi/vmci-errors.js';
import type { Datagram } from '../simulator/vmci/parts.js';
import { onGuestEnd } from './guest-end.js';
import { Inbox } from './inbox.js';
import { integer, machineName, type Parameters } from './parameters.js';
import type { Answer, CallTable, Session } from './session.js';
import { handleOf, kernelOf } from './vmci-kernel.js';

/** Endpoints, doorbells and subscriptions that one client may have. */
const MAX_ENDPOINTS = 1024;
/** A doorbell is rung or not. */
const ONE_RING = 2;

/** What a client has made in a kernel, and what has come for it. */
interface Endpoint<T = unknown> {
  readonly inbox: Inbox<T>;
  /** Gives it back to the kernel. */
  release(): void;
}

const endpoints = new WeakMap<Session, Map<number, Endpoint>>();

export const VMCI_CALLS: CallTable = {
  vmciContext({ session, parameters }) {
    return { contextId: kernelOf(session, parameters).cid };
  },

  vmciCreateDatagramHandle({ session, parameters }) {
    const kernel = kernelOf(session, parameters);
    const inbox = new Inbox<Datagram>(VMCI_MAX_DATAGRAM_QUEUE_SIZE);
    const receive = (datagram: Datagram): number => {
      const taken = inbox.put(datagram, datagramSize(datagram));
      return taken ? VMCI_RESULT.VMCI_SUCCESS : VMCI_RESULT.VMCI_ERROR_NO_RESOURCES;
    };
    const resource = integer(parameters, 'resource');
    const flags = [VMCI_FLAG_DG_NONE, VMCI_NO_PRIVILEGE_FLAGS] as const;
    const made = kernel.createDatagramHandle(resource, ...flags, receive);
    return madeAnswer(session, parameters, made, inbox, (handle) => {
      kernel.destroyDatagramHandle(handle);
    });
  },

  /** Waits for a datagram. */
  async vmciReceiveDatagram({ session, parameters, signal }) {
    const { inbox } = endpointOf(session, parameters);
    const { dst, src, payload } = (await inbox.next(signal)) as Datagram;
    return { dst, src, binary: payload };
  },

  vmciSendDatagram({ session, parameters, binary }) {
    const kernel = kernelOf(session, parameters);
    const [dst, src] = [handleOf(parameters, 'dst'), handleOf(parameters, 'src')];
    const result = kernel.sendDatagram({ dst, src, payload: new Uint8Array(binary) });
    session.shared.keeper.digest();
    return { result };
  },

  vmciCreateDoorbell({ session, parameters }) {
    const kernel = kernelOf(session, parameters);
    const inbox = new Inbox<true>(ONE_RING);
    const wanted = parameters.handle === undefined ? undefined : handleOf(parameters, 'handle');
    const flags = [0, VMCI_NO_PRIVILEGE_FLAGS] as const;
    const made = kernel.createDoorbell(wanted, ...flags, () => {
      inbox.put(true, 1);
    });
    return madeAnswer(session, parameters, made, inbox, (handle) => {
      kernel.destroyDoorbell(handle);
    });
  },

  /** Waits until it is rung. */
  async vmciWaitDoorbell({ session, parameters, signal }) {
    await endpointOf(session, parameters).inbox.next(signal);
    return {};
  },

  vmciRingDoorbell({ session, parameters }) {
    const kernel = kernelOf(session, parameters);
    const result = kernel.ringDoorbell(handleOf(parameters, 'handle'), VMCI_NO_PRIVILEGE_FLAGS);
    session.shared.keeper.digest();
    return { result };
  },

  vmciSubscribe({ session, parameters }) {
    const kernel = kernelOf(session, parameters);
    const inbox = new Inbox<Uint8Array>(VMCI_MAX_DATAGRAM_AND_EVENT_QUEUE_SIZE);
    const ids: number[] = [];
    const release = () => {
      for (const id of ids) kernel.unsubscribe(id);
    };
    for (const event of eventsOf(parameters)) {
      const id = kernel.subscribe(event, (payload) => {
        inbox.put(payload.slice(), payload.length);
      });
      if (id < 0) {
        release();
        return { result: id };
      }
      ids.push(id);
    }
    return { result: 0, endpoint: add(session, parameters, { inbox, release }) };
  },

  /** Waits for an event. */
  async vmciReadEvent({ session, parameters, signal }) {
    return { binary: (await endpointOf(session, parameters).inbox.next(signal)) as Uint8Array };
  },

  vmciRelease({ session, parameters }) {
    const table = endpointsOf(session);
    const number = integer(parameters, 'endpoint');
    table.get(number)?.release();
    table.delete(number);
    return {};
  },
};

/** The most events that there are to subscribe to. */
const MAX_EVENTS = 64;

function eventsOf({ events }: Parameters): number[] {
  const fits =
    Array.isArray(events) &&
    events.length <= MAX_EVENTS &&
    events.every((event) => Number.isInteger(event) && event >= 0 && event <= VMCI_INVALID_ID);
  if (fits) return events as number[];
  throw new SystemError('EINVAL', { message: "the parameter 'events' makes no sense" });
}

/** What was made, or why it was not. */
function madeAnswer(
  session: Session,
  parameters: Parameters,
  made: VmciHandleValue | number,
  inbox: Inbox<unknown>,
  destroy: (handle: VmciHandleValue) => void,
): Answer {
  if (typeof made === 'number') return { result: made };
  const release = () => destroy(made);
  return { result: 0, handle: made, endpoint: add(session, parameters, { inbox, release }) };
}

/** @throws SystemError EMFILE. */
function add(session: Session, parameters: Parameters, endpoint: Endpoint): number {
  const table = endpointsOf(session);
  if (table.size >= MAX_ENDPOINTS) {
    endpoint.release();
    throw new SystemError('EMFILE');
  }
  let number = 1;
  while (table.has(number)) number++;
  const stopWatching = watchMachine(session, parameters, endpoint.inbox);
  table.set(number, {
    inbox: endpoint.inbox,
    release: () => {
      stopWatching();
      endpoint.inbox.close(new SystemError('EBADF'));
      endpoint.release();
    },
  });
  return number;
}

/** Nothing more comes for an endpoint in a guest when that is gone. */
function watchMachine(session: Session, parameters: Parameters, inbox: Inbox<unknown>): () => void {
  const name = machineName(parameters);
  if (name === 'host') return () => undefined;
  return onGuestEnd(session, name.vm, (error) => inbox.close(error));
}

function endpointOf(session: Session, parameters: Parameters): Endpoint {
  const found = endpointsOf(session).get(integer(parameters, 'endpoint'));
  if (found === undefined) throw new SystemError('EBADF');
  return found;
}

function endpointsOf(session: Session): Map<number, Endpoint> {
  const known = endpoints.get(session);
  if (known !== undefined) return known;
  const table = new Map<number, Endpoint>();
  endpoints.set(session, table);
  session.onClose(() => {
    for (const endpoint of table.values()) endpoint.release();
    table.clear();
  });
  return table;
}
