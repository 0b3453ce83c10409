/** Messages of /dev/cuse as bytes: requests taken apart and checked, replies put together. */
import {
  CUSE_INIT_INFO_MAX,
  CUSE_UNRESTRICTED_IOCTL,
  cuse_init_in,
  cuse_init_out,
  FUSE_IOCTL_RETRY,
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_NOTIFY_POLL,
  FUSE_OPCODE,
  fuse_in_header,
  fuse_ioctl_iovec,
  fuse_ioctl_out,
  fuse_notify_poll_wakeup_out,
  fuse_out_header,
} from '../../abi/fuse.js';
import type { Decoded } from '../../abi/layout.js';

/** What the kernel carries of an ioctl in one direction, bytes: 32 pages. Source: FUSE_DEFAULT_MAX_PAGES_PER_REQ. */
export const MAX_TRANSFER = 32 * 4096;
/** A read or write that is larger is cut in pieces by the kernel, bytes; the smallest number that it takes. */
const MAX_READ_WRITE = 4096;
/** The oldest minor version in which an ioctl's ranges have one form for all programs. */
const MIN_MINOR_VERSION = 16;

export interface FuseRequest {
  readonly header: Decoded<typeof fuse_in_header>;
  /** What follows the header. */
  readonly body: Uint8Array;
}

/** A range of a program's memory, bytes. */
export interface UserRange {
  readonly base: bigint;
  readonly length: number;
}

/** Takes a request apart. Undefined for what is none. */
export function parseRequest(message: Uint8Array): FuseRequest | undefined {
  if (message.length < fuse_in_header.size) return undefined;
  const header = fuse_in_header.decode(message);
  if (header.len !== message.length) return undefined;
  return { header, body: message.subarray(fuse_in_header.size) };
}

/** What begins a body, and what follows it. Undefined when the body is too short. */
export function splitBody<T>(
  layout: { readonly size: number; decode(data: Uint8Array): T },
  body: Uint8Array,
): { fields: T; rest: Uint8Array } | undefined {
  if (body.length < layout.size) return undefined;
  return { fields: layout.decode(body), rest: body.subarray(layout.size) };
}

/** A reply to a request; `error` is an errno of Linux, not negated. */
export function encodeReply(unique: bigint, error: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((total, { length }) => total + length, fuse_out_header.size);
  const header = fuse_out_header.encode({ len: length, error: error === 0 ? 0 : -error, unique });
  return Buffer.concat([header, ...parts]);
}

/** The outcome of an ioctl. */
export function encodeIoctlResult(unique: bigint, result: number, out: Uint8Array): Uint8Array {
  return encodeReply(unique, 0, fuse_ioctl_out.encode({ result }), out);
}

/** Asks for an ioctl again, with what stands in some ranges, and with room in others for the answer. */
export function encodeRetry(
  unique: bigint,
  into: readonly UserRange[],
  out: readonly UserRange[],
): Uint8Array {
  const [in_iovs, out_iovs] = [into.length, out.length];
  const reply = fuse_ioctl_out.encode({ flags: FUSE_IOCTL_RETRY, in_iovs, out_iovs });
  const ranges = [...into, ...out].map(({ base, length }) =>
    fuse_ioctl_iovec.encode({ base, len: BigInt(length) }),
  );
  return encodeReply(unique, 0, reply, ...ranges);
}

/** Tells the kernel that whoever polls an open file is to look again. */
export function encodePollWakeup(kh: bigint): Uint8Array {
  const body = fuse_notify_poll_wakeup_out.encode({ kh });
  const len = fuse_out_header.size + body.length;
  return Buffer.concat([fuse_out_header.encode({ len, error: FUSE_NOTIFY_POLL }), body]);
}

/**
 * The answer to the first request of all, which makes the kernel create a node below /dev. Undefined when the request
 * is another one, or the kernel can't be spoken with.
 */
export function answerInit(message: Uint8Array, name: string): Uint8Array | undefined {
  const request = parseRequest(message);
  if (request?.header.opcode !== FUSE_OPCODE.CUSE_INIT) return undefined;
  const init = splitBody(cuse_init_in, request.body)?.fields;
  const info = new TextEncoder().encode(`DEVNAME=${name}\0`);
  if (init === undefined || info.length > CUSE_INIT_INFO_MAX) return undefined;
  if (init.major !== FUSE_KERNEL_VERSION || init.minor < MIN_MINOR_VERSION) return undefined;
  if ((init.flags & CUSE_UNRESTRICTED_IOCTL) === 0) return undefined;
  const reply = cuse_init_out.encode({
    major: FUSE_KERNEL_VERSION,
    minor: Math.min(init.minor, FUSE_KERNEL_MINOR_VERSION),
    flags: CUSE_UNRESTRICTED_IOCTL,
    max_read: MAX_READ_WRITE,
    max_write: MAX_READ_WRITE,
  });
  return encodeReply(request.header.unique, 0, reply, info);
}
