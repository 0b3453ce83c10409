/**
 * The kernel's side of CUSE, for tests: makes requests as programs' system calls would, checks that each has one
 * well-formed reply, and copies memory as fuse_do_ioctl() in fs/fuse/ioctl.c does.
 */
import assert from 'node:assert/strict';
import { codeOf } from '../../../../src/core/abi/errno.js';
import {
  FUSE_IOCTL_MAX_IOV,
  FUSE_IOCTL_RETRY,
  FUSE_NOTIFY_POLL,
  FUSE_OPCODE,
  fuse_in_header,
  fuse_interrupt_in,
  fuse_ioctl_in,
  fuse_ioctl_iovec,
  fuse_ioctl_out,
  fuse_notify_poll_wakeup_out,
  fuse_open_in,
  fuse_open_out,
  fuse_out_header,
  fuse_poll_in,
  fuse_poll_out,
  fuse_release_in,
} from '../../../../src/core/abi/fuse.js';

/** Bytes of one direction. */
const MAX_TRANSFER = 32 * 4096;
/** A call that is begun again more often would never end. */
const MAX_ROUNDS = 8;
/** Where a program's memory begins, and how much there is of it. */
export const BASE = 0x10000n;
const MEMORY = 1024 * 1024;

/** An errno by its name, or what came back. */
export type Outcome = string | { result: number };

export class FakeKernel {
  /** Takes what the session writes. */
  readonly send = (reply: Uint8Array): void => this.#replied(reply);
  readonly memory = new Uint8Array(MEMORY);
  /** From here on the program's memory may not be written. */
  readOnlyFrom = MEMORY;
  /** Open files of which it was told that poll may have another answer. */
  readonly wakeups: bigint[] = [];
  /** Rounds that the last ioctl took. */
  rounds = 0;
  receive: (message: Uint8Array) => void = () => undefined;
  readonly #waiting = new Map<bigint, (reply: { error: number; body: Uint8Array }) => void>();
  #unique = 0n;

  /** Requests without a reply so far. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Puts bytes into the program's memory; gives the address. */
  place(offset: number, bytes: Uint8Array): bigint {
    this.memory.set(bytes, offset);
    return BASE + BigInt(offset);
  }

  /** The handle, or the error's name. */
  async open(flags = 2, uid = 0, gid = uid): Promise<bigint | string> {
    const reply = await this.request(
      FUSE_OPCODE.FUSE_OPEN,
      fuse_open_in.encode({ flags }),
      uid,
      gid,
    );
    return typeof reply === 'string' ? reply : fuse_open_out.decode(reply).fh;
  }

  async release(fh: bigint): Promise<string | undefined> {
    const body = fuse_release_in.encode({ fh });
    const reply = await this.request(FUSE_OPCODE.FUSE_RELEASE, body);
    return typeof reply === 'string' ? reply : undefined;
  }

  /** What poll(2) says, or the error's name. */
  async poll(fh: bigint, kh: bigint, flags: number, events = 0xffff): Promise<number | string> {
    const body = fuse_poll_in.encode({ fh, kh, flags, events });
    const reply = await this.request(FUSE_OPCODE.FUSE_POLL, body);
    return typeof reply === 'string' ? reply : fuse_poll_out.decode(reply).revents;
  }

  /** One request; what follows the reply's header, or the error's name. */
  async request(opcode: number, body: Uint8Array, uid = 0, gid = 0): Promise<Uint8Array | string> {
    return await this.#begin(opcode, body, uid, gid).reply;
  }

  /** A request that gets no reply. */
  tell(opcode: number, body: Uint8Array): void {
    this.#unique += 2n;
    this.receive(message(opcode, this.#unique, body, 0, 0));
  }

  interrupt(unique: bigint): void {
    this.tell(FUSE_OPCODE.FUSE_INTERRUPT, fuse_interrupt_in.encode({ unique }));
  }

  async ioctl(fh: bigint, cmd: number, arg: bigint): Promise<Outcome> {
    return await this.beginIoctl(fh, cmd, arg).outcome;
  }

  /** An ioctl whose last round can be interrupted: the number of it changes with each. */
  beginIoctl(
    fh: bigint,
    cmd: number,
    arg: bigint,
  ): { outcome: Promise<Outcome>; interrupt(): void } {
    let unique = 0n;
    const outcome = this.#rounds(fh, cmd, arg, (begun) => {
      unique = begun;
    });
    return { outcome, interrupt: () => this.interrupt(unique) };
  }

  async #rounds(
    fh: bigint,
    cmd: number,
    arg: bigint,
    begun: (unique: bigint) => void,
  ): Promise<Outcome> {
    let into: Range[] = [];
    let out: Range[] = [];
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      this.rounds = round;
      const copied = this.#copyIn(into);
      if (copied === undefined) return 'EFAULT';
      const sizes = { in_size: copied.length, out_size: total(out) };
      const fields = fuse_ioctl_in.encode({ fh, flags: 2, cmd, arg, ...sizes });
      const { unique, reply } = this.#begin(
        FUSE_OPCODE.FUSE_IOCTL,
        Buffer.concat([fields, copied]),
      );
      begun(unique);
      const body = await reply;
      if (typeof body === 'string') return body;
      const { result, flags, in_iovs, out_iovs } = fuse_ioctl_out.decode(body);
      const rest = body.subarray(fuse_ioctl_out.size);
      if ((flags & FUSE_IOCTL_RETRY) === 0) {
        assert.ok(rest.length <= sizes.out_size, 'no more than there is room for');
        return this.#copyOut(out, rest) ? { result } : 'EFAULT';
      }
      const ranges = rangesOf(rest, in_iovs + out_iovs);
      [into, out] = [ranges.slice(0, in_iovs), ranges.slice(in_iovs)];
      assert.ok(total(into) <= MAX_TRANSFER && total(out) <= MAX_TRANSFER);
    }
    assert.fail('the call is begun again without an end');
  }

  #begin(opcode: number, body: Uint8Array, uid = 0, gid = 0) {
    this.#unique += 2n;
    const unique = this.#unique;
    const reply = new Promise<Uint8Array | string>((resolve) => {
      this.#waiting.set(unique, ({ error, body }) => {
        resolve(error === 0 ? body : (codeOf(-error, 'linux') ?? `${error}`));
      });
    });
    this.receive(message(opcode, unique, body, uid, gid));
    return { unique, reply };
  }

  #replied(reply: Uint8Array): void {
    const { len, error, unique } = fuse_out_header.decode(reply);
    assert.equal(len, reply.length);
    if (unique === 0n) return this.#told(error, reply.subarray(fuse_out_header.size));
    assert.ok(error > -512 && error <= 0, 'an error that the kernel takes');
    const body = reply.subarray(fuse_out_header.size);
    assert.ok(error === 0 || body.length === 0, 'nothing follows an error');
    const waiting = this.#waiting.get(unique);
    assert.ok(waiting, 'each request has one reply');
    this.#waiting.delete(unique);
    waiting({ error, body });
  }

  /** What the kernel did not ask for. */
  #told(code: number, body: Uint8Array): void {
    assert.equal(code, FUSE_NOTIFY_POLL);
    assert.equal(body.length, fuse_notify_poll_wakeup_out.size);
    this.wakeups.push(fuse_notify_poll_wakeup_out.decode(body).kh);
  }

  #copyIn(ranges: readonly Range[]): Uint8Array | undefined {
    const parts = ranges.map((range) => this.#view(range));
    return parts.includes(undefined) ? undefined : Buffer.concat(parts as Uint8Array[]);
  }

  #copyOut(ranges: readonly Range[], bytes: Uint8Array): boolean {
    let at = 0;
    for (const range of ranges) {
      const piece = bytes.subarray(at, at + range.length);
      const view = this.#view(range);
      const end = range.base - BASE + BigInt(range.length);
      if (view === undefined || end > BigInt(this.readOnlyFrom)) return false;
      view.set(piece);
      at += range.length;
    }
    return true;
  }

  #view({ base, length }: Range): Uint8Array | undefined {
    const offset = base - BASE;
    if (offset < 0n || offset + BigInt(length) > BigInt(MEMORY)) return undefined;
    return this.memory.subarray(Number(offset), Number(offset) + length);
  }
}

interface Range {
  readonly base: bigint;
  readonly length: number;
}

function rangesOf(bytes: Uint8Array, count: number): Range[] {
  assert.ok(count <= FUSE_IOCTL_MAX_IOV);
  assert.equal(bytes.length, count * fuse_ioctl_iovec.size);
  return Array.from({ length: count }, (_, index) => {
    const { base, len } = fuse_ioctl_iovec.decode(bytes.subarray(index * fuse_ioctl_iovec.size));
    return { base, length: Number(len) };
  });
}

function total(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}

/** A request's bytes. */
export function message(
  opcode: number,
  unique: bigint,
  body: Uint8Array,
  uid = 0,
  gid = 0,
): Uint8Array {
  const header = { len: fuse_in_header.size + body.length, opcode, unique, uid, gid, pid: 1 };
  return Buffer.concat([fuse_in_header.encode(header), body]);
}
