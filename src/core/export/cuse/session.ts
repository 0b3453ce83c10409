/**
 * One node of /dev/cuse: answers the kernel's requests over a simulated node. A session does no I/O; whoever has the
 * descriptor hands it what was read and takes what is to be written.
 */
import { type ErrorCode, errnoOf, SystemError } from '../../abi/errno.js';
import {
  FUSE_OPCODE,
  FUSE_POLL_SCHEDULE_NOTIFY,
  fuse_interrupt_in,
  fuse_ioctl_in,
  fuse_open_in,
  fuse_open_out,
  fuse_poll_in,
  fuse_poll_out,
  fuse_release_in,
} from '../../abi/fuse.js';
import { POLLERR, POLLHUP } from '../../abi/poll.js';
import { NodeTable } from '../../daemon/node-calls.js';
import { type NodeKeeper, performIoctl } from '../../daemon/perform-ioctl.js';
import type { Access, Caller, OpenNode } from '../../simulator/node.js';
import { CallMemory } from './call-memory.js';
import {
  encodeIoctlResult,
  encodePollWakeup,
  encodeReply,
  encodeRetry,
  type FuseRequest,
  parseRequest,
  splitBody,
} from './message.js';
import { checkTransfer, type RangesOf, totalLength } from './ranges.js';

/** Ioctls that may wait at a time in one node; each is a thread of some program. */
const MAX_WAITING = 4096;

/** What a session answers with. */
export interface CuseTarget {
  readonly keeper: NodeKeeper;
  /** For the log. */
  readonly path: string;
  /** @throws SystemError */
  open(caller: Caller, access: Access): OpenNode;
  readonly rangesOf: RangesOf;
  /** What read(2) and write(2) say, which no simulated node has. */
  readonly readError: ErrorCode;
}

type Handler = (session: CuseSession, request: FuseRequest) => void | Promise<void>;

export class CuseSession {
  readonly target: CuseTarget;
  readonly nodes: NodeTable;
  readonly #send: (reply: Uint8Array) => void;
  /** Requests that have no reply yet. */
  readonly #waiting = new Map<bigint, AbortController>();

  constructor(target: CuseTarget, send: (reply: Uint8Array) => void) {
    this.target = target;
    this.nodes = new NodeTable(target.keeper);
    this.#send = send;
  }

  /** Takes one request. Whatever is in it, nothing is thrown. */
  receive(message: Uint8Array): void {
    const request = parseRequest(message);
    if (request === undefined) {
      this.#log(`${message.length} bytes that are no request`);
      return;
    }
    const { opcode, unique } = request.header;
    const handler = HANDLERS.get(opcode);
    if (handler !== undefined) {
      this.#perform(handler, request).catch((error: unknown) => this.#refuse(unique, error));
    } else if (!WITHOUT_REPLY.includes(opcode)) {
      this.fail(unique, 'ENOSYS');
    }
  }

  /** All open files are closed, as when their programs end. */
  close(): void {
    for (const call of this.#waiting.values()) call.abort();
    this.nodes.close();
    this.target.keeper.digest();
  }

  reply(message: Uint8Array): void {
    this.#send(message);
  }

  fail(unique: bigint, code: ErrorCode): void {
    this.#send(encodeReply(unique, errnoOf(code, 'linux')));
  }

  /** The caller of a request has got a signal. One that has been answered meanwhile is no longer known. */
  interrupt(unique: bigint): void {
    this.#waiting.get(unique)?.abort();
  }

  /** Runs an action that a signal can end early. @throws SystemError ENOMEM when too many do so. */
  async interruptible<T>(unique: bigint, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#waiting.size >= MAX_WAITING) throw new SystemError('ENOMEM');
    const controller = new AbortController();
    this.#waiting.set(unique, controller);
    try {
      return await action(controller.signal);
    } finally {
      this.#waiting.delete(unique);
    }
  }

  async #perform(handler: Handler, request: FuseRequest): Promise<void> {
    await handler(this, request);
  }

  #refuse(unique: bigint, error: unknown): void {
    if (!(error instanceof SystemError)) {
      this.#log(`a call failed: ${error instanceof Error ? error.stack : error}`);
    }
    this.fail(unique, error instanceof SystemError ? error.code : 'EIO');
  }

  #log(text: string): void {
    this.target.keeper.log.write(`${this.target.path}: ${text}`);
  }
}

/** Requests that the kernel waits for no answer to. */
const WITHOUT_REPLY: readonly number[] = [
  FUSE_OPCODE.FUSE_FORGET,
  FUSE_OPCODE.FUSE_BATCH_FORGET,
  FUSE_OPCODE.FUSE_NOTIFY_REPLY,
];

/**
 * What the nodes have. The rest is ENOSYS, by which the kernel learns not to ask again; so is poll of a node that has
 * none of its own: poll(2) then says that it is ready.
 */
const HANDLERS = new Map<number, Handler>([
  [FUSE_OPCODE.FUSE_OPEN, open],
  [FUSE_OPCODE.FUSE_RELEASE, release],
  [FUSE_OPCODE.FUSE_IOCTL, ioctl],
  [FUSE_OPCODE.FUSE_INTERRUPT, interrupt],
  [FUSE_OPCODE.FUSE_POLL, poll],
  [FUSE_OPCODE.FUSE_READ, refuseTransfer],
  [FUSE_OPCODE.FUSE_WRITE, refuseTransfer],
]);

const ACCESS: readonly Access[] = ['r', 'w', 'rw'];
const O_ACCMODE = 3;

function open(session: CuseSession, { header, body }: FuseRequest): void {
  const { flags } = bodyOf(fuse_open_in, body).fields;
  const access = ACCESS[flags & O_ACCMODE];
  if (access === undefined) throw new SystemError('EINVAL');
  const node = session.target.open(callerOf(header.uid, header.gid), access);
  const fh = BigInt(session.nodes.add(node));
  session.reply(encodeReply(header.unique, 0, fuse_open_out.encode({ fh })));
}

/** The kernel tells who calls, but not the groups and capabilities that the caller has besides. */
function callerOf(uid: number, gid: number): Caller {
  return { uid, gid, groups: [gid], capabilities: uid === 0 ? 'all' : new Set(), jail: '' };
}

async function release(session: CuseSession, { header, body }: FuseRequest): Promise<void> {
  const { keeper } = session.target;
  session.nodes.remove(handleOf(bodyOf(fuse_release_in, body).fields.fh));
  keeper.digest();
  await keeper.durable();
  session.reply(encodeReply(header.unique, 0));
}

async function ioctl(session: CuseSession, { header, body }: FuseRequest): Promise<void> {
  const { keeper, rangesOf } = session.target;
  const { fields, rest } = bodyOf(fuse_ioctl_in, body);
  const { fh, cmd, arg, in_size, out_size } = fields;
  if (rest.length !== in_size) throw new SystemError('EINVAL');
  const entry = session.nodes.get(handleOf(fh));
  const ranges = rangesOf(cmd, arg, rest);
  checkTransfer(ranges);
  const complete = totalLength(ranges.into) === in_size && totalLength(ranges.out) === out_size;
  if (!complete) {
    session.reply(encodeRetry(header.unique, ranges.into, ranges.out));
    return;
  }
  const call = new CallMemory(ranges, rest);
  const { argument, memory } = call;
  const { result, data } = await session.interruptible(header.unique, (signal) =>
    performIoctl(keeper, entry, { request: cmd, argument, memory, signal }),
  );
  session.reply(encodeIoctlResult(header.unique, result, call.out(data)));
}

function interrupt(session: CuseSession, { body }: FuseRequest): void {
  const unique = splitBody(fuse_interrupt_in, body)?.fields.unique;
  if (unique !== undefined) session.interrupt(unique);
}

/** The kernel asks anew whenever it was told to. */
function poll(session: CuseSession, { header, body }: FuseRequest): void {
  const { fh, kh, flags, events } = bodyOf(fuse_poll_in, body).fields;
  const { node } = session.nodes.get(handleOf(fh));
  if (node.pollMask === undefined || node.onPollChange === undefined) {
    return session.fail(header.unique, 'ENOSYS');
  }
  if ((flags & FUSE_POLL_SCHEDULE_NOTIFY) !== 0) {
    node.onPollChange(() => session.reply(encodePollWakeup(kh)));
  }
  const revents = node.pollMask() & (events | POLLERR | POLLHUP);
  session.reply(encodeReply(header.unique, 0, fuse_poll_out.encode({ revents })));
}

function refuseTransfer({ target }: CuseSession): never {
  throw new SystemError(target.readError);
}

/** @throws SystemError EINVAL for a body that is too short. */
function bodyOf<T>(
  layout: { readonly size: number; decode(data: Uint8Array): T },
  body: Uint8Array,
) {
  const parts = splitBody(layout, body);
  if (parts === undefined) throw new SystemError('EINVAL');
  return parts;
}

/** @throws SystemError EBADF for a number that is no handle of ours. */
function handleOf(fh: bigint): number {
  if (fh > BigInt(Number.MAX_SAFE_INTEGER)) throw new SystemError('EBADF');
  return Number(fh);
}
