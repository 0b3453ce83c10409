/**
 * Requests about queue pairs of VMCI. A client gets an end in a machine's kernel, and the file in which the pair's pages
 * stand. Bytes never come by here: the daemon is asked to wake the other end. An end goes with its client.
 */
import { SystemError } from '../abi/errno.js';
import {
  sameHandle,
  VMCI_HOST_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_NO_PRIVILEGE_FLAGS,
} from '../abi/vmci.js';
import { VMCI_RESULT } from '../abi/vmci-errors.js';
import { PartOfMemory } from '../abi/vmci-memory.js';
import { openQueuePair, type Queue, type QueueSizes, queuePairBytes } from '../abi/vmci-queue.js';
import {
  VMCI_MAX_GUEST_QP_MEMORY,
  VMCI_QPFLAG_ATTACH_ONLY,
  VMCI_QPFLAG_LOCAL,
} from '../abi/vmci-queue-pair.js';
import type { VmciQueuePairRecord, VmciQueueState } from '../backend/port/vmci.js';
import type {
  Handle,
  KernelApi,
  QueuePairRecord,
  QueuePairRequest,
} from '../simulator/vmci/parts.js';
import { onGuestEnd } from './guest-end.js';
import { integer, machineName, optionalTruth, type Parameters } from './parameters.js';
import { madeForPair, pairFileBytes, QueueEnd } from './queue-end.js';
import type { Answer, CallTable, Session } from './session.js';
import { type SharedFile, sharedFiles } from './shared-files.js';
import { handleOf, kernelOf } from './vmci-kernel.js';

/** Ends that one client may have. */
const MAX_ENDS = 256;

/** The ends of one client, by number. */
const tables = new WeakMap<Session, Map<number, QueueEnd>>();
/** Pairs that anybody may attach to, and nobody has: of those of one kernel both ends may come to be there. */
const open = new WeakMap<KernelApi, Map<string, QueueEnd>>();

type Files = Awaited<ReturnType<typeof sharedFiles>>;

export const VMCI_QUEUE_CALLS: CallTable = {
  async vmciQueueAlloc({ session, parameters, signal }) {
    const files = await sharedFiles();
    // It may have gone meanwhile, and would leave its end behind.
    if (signal.aborted) throw new SystemError('EINTR');
    const table = tableOf(session);
    if (table.size >= MAX_ENDS) throw new SystemError('EMFILE');
    const kernel = kernelOf(session, parameters);
    const request = requestOf(parameters);
    const { vmci: host } = session.shared.keeper.world.host;
    if (isTaken(request, [kernel, host])) return { result: VMCI_RESULT.VMCI_ERROR_ALREADY_EXISTS };
    const end = attachLocally(kernel, request, files) ?? alloc(kernel, request, files);
    session.shared.keeper.digest();
    return typeof end === 'number' ? { result: end } : added(session, parameters, end);
  },

  /** Waits until there is something to be told of the other end. */
  async vmciQueueNews({ session, parameters, signal }) {
    return { ...(await endOf(session, parameters).news(signal)) };
  },

  vmciQueueWake({ session, parameters }) {
    endOf(session, parameters).wakePeer(optionalTruth(parameters, 'ended') ?? false);
    return {};
  },

  vmciQueueDetach({ session, parameters }) {
    const end = endOf(session, parameters);
    tableOf(session).delete(integer(parameters, 'end'));
    const result = end.detach();
    session.shared.keeper.digest();
    return { result };
  },

  vmciQueuePairs({ session, parameters }) {
    const kernel = kernelOf(session, parameters);
    const { vmci: host } = session.shared.keeper.world.host;
    const offered = kernel === host ? [] : (host?.queuePairs() ?? []).filter(isFor(kernel.cid));
    return { pairs: [...kernel.queuePairs(), ...offered].map(recordOf) };
  },
};

function requestOf(parameters: Parameters): QueuePairRequest {
  const size = (name: string) => integer(parameters, name, Number.MAX_SAFE_INTEGER);
  return {
    handle: parameters.handle === undefined ? undefined : handleOf(parameters, 'handle'),
    peer: integer(parameters, 'peer'),
    flags: integer(parameters, 'flags'),
    privileges: VMCI_NO_PRIVILEGE_FLAGS,
    produceSize: size('produceSize'),
    consumeSize: size('consumeSize'),
  };
}

/**
 * Whether a new pair is wanted under a handle that a pair has, also one that the asking kernel is no end of. The broker
 * would attach to it.
 */
function isTaken(
  { handle, flags }: QueuePairRequest,
  kernels: readonly (KernelApi | undefined)[],
): boolean {
  if (handle === undefined || (flags & VMCI_QPFLAG_ATTACH_ONLY) !== 0) return false;
  return kernels.some((kernel) =>
    kernel?.queuePairs().some((pair) => sameHandle(pair.handle, handle)),
  );
}

function alloc(kernel: KernelApi, request: QueuePairRequest, files: Files): QueueEnd | number {
  const file = fileFor(request, files);
  try {
    const pair = kernel.allocQueuePair({ ...request, store: file && pagesIn(file, request) });
    if (typeof pair === 'number') return pair;
    const end = new QueueEnd(kernel, pair);
    const attaches = (request.flags & VMCI_QPFLAG_ATTACH_ONLY) !== 0;
    if (attaches) end.peerIs('attached');
    else if (request.peer === VMCI_INVALID_ID) offer(end);
    return end;
  } finally {
    // Whose pages it has holds it too.
    file?.release();
  }
}

/** A file for a pair of sizes that are possible; the model refuses the others. */
function fileFor(sizes: QueueSizes, files: Files): SharedFile | undefined {
  const bytes = sizes.produceSize + sizes.consumeSize;
  if (bytes > VMCI_MAX_GUEST_QP_MEMORY) return undefined;
  const file = files(pairFileBytes(sizes));
  madeForPair(file);
  return file;
}

function pagesIn(file: SharedFile, sizes: QueueSizes) {
  return new PartOfMemory(file.memory, 0, queuePairBytes(sizes));
}

/** Says that a pair waits for anybody. */
function offer(end: QueueEnd): void {
  const offered = open.get(end.kernel) ?? new Map<string, QueueEnd>();
  open.set(end.kernel, offered);
  const key = keyOf(end.pair.handle);
  offered.set(key, end);
  end.onDetach(() => {
    if (offered.get(key) === end) offered.delete(key);
  });
}

/**
 * Makes a local pair of one whose other end is now to be in the same kernel. The kernel itself has to be told at the
 * beginning that a pair is local, but who makes a pair for anybody can't know. Undefined where it is another case.
 */
function attachLocally(
  kernel: KernelApi,
  request: QueuePairRequest,
  files: Files,
): QueueEnd | number | undefined {
  const { handle, flags, produceSize, consumeSize } = request;
  if (handle === undefined || (flags & VMCI_QPFLAG_ATTACH_ONLY) === 0) return undefined;
  const creator = open.get(kernel)?.get(keyOf(handle));
  if (creator === undefined || creator.peer !== 'none') return undefined;
  const { pair } = creator;
  if (pair.produceSize !== consumeSize || pair.consumeSize !== produceSize) {
    return VMCI_RESULT.VMCI_ERROR_QUEUEPAIR_MISMATCH;
  }
  const { pages } = pair;
  pair.detach();
  const sizes = { produceSize: pair.produceSize, consumeSize: pair.consumeSize };
  const file = pages === undefined ? fileFor(sizes, files) : undefined;
  try {
    // What a guest has written by now stays there.
    const store = pages ?? (file && pagesIn(file, sizes));
    const local = { ...request, flags: VMCI_QPFLAG_LOCAL };
    const again = kernel.allocQueuePair({ ...local, ...sizes, store });
    if (typeof again === 'number') {
      creator.peerIs('detached');
      return again;
    }
    creator.replace(again);
    return alloc(kernel, { ...local, flags: VMCI_QPFLAG_LOCAL | VMCI_QPFLAG_ATTACH_ONLY }, files);
  } finally {
    file?.release();
  }
}

function keyOf({ context, resource }: Handle): string {
  return `${context}:${resource}`;
}

function added(session: Session, parameters: Parameters, end: QueueEnd): Answer {
  const table = tableOf(session);
  let number = 1;
  while (table.has(number)) number++;
  table.set(number, end);
  watchKernel(session, parameters, end);
  const { handle, produceSize, consumeSize } = end.pair;
  return { result: 0, end: number, handle, produceSize, consumeSize, ...end.state() };
}

/** An end in a guest goes with that, and with its context. */
function watchKernel(session: Session, parameters: Parameters, end: QueueEnd): void {
  const name = machineName(parameters);
  if (name === 'host') return;
  end.onDetach(onGuestEnd(session, name.vm, (error) => end.fail(error)));
  end.onDetach(session.shared.keeper.onChange(() => end.checkContext()));
}

function endOf(session: Session, parameters: Parameters): QueueEnd {
  const end = tableOf(session).get(integer(parameters, 'end'));
  if (end === undefined) throw new SystemError('EBADF');
  return end;
}

function tableOf(session: Session): Map<number, QueueEnd> {
  const known = tables.get(session);
  if (known !== undefined) return known;
  const table = new Map<number, QueueEnd>();
  tables.set(session, table);
  session.onClose(() => {
    for (const end of table.values()) end.detach();
    table.clear();
  });
  return table;
}

/** Pairs of the host to which a guest may attach. A real guest has to be told of them. */
function isFor(cid: number): (pair: QueuePairRecord) => boolean {
  return ({ creator, attacher, peer }) =>
    creator === VMCI_HOST_CONTEXT_ID &&
    attacher === undefined &&
    (peer === cid || peer === VMCI_INVALID_ID);
}

/** A pair with its indexes, as far as they can be read. */
function recordOf({ pages, ...pair }: QueuePairRecord): VmciQueuePairRecord {
  const ends = pages && openQueuePair(pages, pair);
  return {
    ...pair,
    handle: { ...pair.handle },
    creator: pair.creator ?? null,
    attacher: pair.attacher ?? null,
    peer: pair.peer === VMCI_INVALID_ID ? null : pair.peer,
    produce: stateOf(ends?.produce),
    consume: stateOf(ends?.consume),
  };
}

function stateOf(queue: Queue | undefined): VmciQueueState | null {
  const indexes = queue?.indexes();
  if (queue === undefined || indexes === undefined || typeof indexes === 'number') return null;
  const { tail, head } = indexes;
  const ready = (tail - head + queue.size) % queue.size;
  return { tail, head, ready, free: queue.size - 1 - ready };
}
