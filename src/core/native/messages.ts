/**
 * Messages with descriptors over Unix sockets: recvmsg(2) and sendmsg(2) with SCM_RIGHTS. No call waits. Linux, where
 * struct msghdr has 64-bit words.
 */
import { type Koffi, loadKoffi } from './koffi.js';

const [SOL_SOCKET, SCM_RIGHTS] = [1, 1];
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** struct msghdr: offsets of its words, bytes. */
const [MSG_IOV, MSG_IOVLEN, MSG_CONTROL, MSG_CONTROLLEN, MSG_FLAGS, MSGHDR] = [
  16, 24, 32, 40, 48, 56,
];
const IOVEC = 16;
const CMSGHDR = 16;
const ALIGN = 8;

/** Descriptors that one call takes at most; the system closes what is over. */
export const MAX_DESCRIPTORS = 32;

export interface Received {
  /** Bytes; 0 is the end. A negated errno. */
  readonly length: number;
  /** Descriptors of one's own from now on, with close-on-exec. */
  readonly fds: readonly number[];
  /** There were more descriptors than the call takes. */
  readonly truncated: boolean;
}

const NOTHING: readonly number[] = [];

/** One memory for the headers of all calls, since none of them waits. */
export class Messages {
  readonly #koffi: Koffi;
  readonly #recvmsg: (fd: number, header: Uint8Array, flags: number) => unknown;
  readonly #sendmsg: (fd: number, header: Uint8Array, flags: number) => unknown;
  readonly #memory = Buffer.alloc(MSGHDR + IOVEC);
  readonly #control = Buffer.alloc(CMSGHDR + MAX_DESCRIPTORS * 4);
  readonly #header = this.#memory.subarray(0, MSGHDR);
  readonly #iovec = this.#memory.subarray(MSGHDR);
  readonly #controlAddress: bigint;

  private constructor(koffi: Koffi) {
    const library = koffi.load(null);
    this.#koffi = koffi;
    this.#recvmsg = library.func('intptr_t recvmsg(int fd, void *message, int flags)');
    this.#sendmsg = library.func('intptr_t sendmsg(int fd, const void *message, int flags)');
    this.#header.writeBigUInt64LE(BigInt(koffi.address(this.#iovec)), MSG_IOV);
    this.#header.writeBigUInt64LE(1n, MSG_IOVLEN);
    this.#controlAddress = BigInt(koffi.address(this.#control));
  }

  /** @throws NativeMissingError */
  static async load(): Promise<Messages> {
    return new Messages(await loadKoffi());
  }

  /** Takes what is there, up to the end of `into`; what came with it is the caller's to close. */
  receive(fd: number, into: Uint8Array): Received {
    this.#prepare(into, this.#control.length);
    const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    const length = Number(this.#recvmsg(fd, this.#header, flags));
    if (length < 0) return { length: -this.#koffi.errno(), fds: NOTHING, truncated: false };
    const truncated = (this.#header.readInt32LE(MSG_FLAGS) & MSG_CTRUNC) !== 0;
    return { length, fds: this.#descriptors(), truncated };
  }

  /** Bytes sent, or a negated errno. The descriptors stay the caller's own. */
  send(fd: number, bytes: Uint8Array, fds: readonly number[] = NOTHING): number {
    if (fds.length > MAX_DESCRIPTORS) throw new RangeError(`${fds.length} descriptors at once`);
    const space = fds.length === 0 ? 0 : CMSGHDR + Math.ceil((fds.length * 4) / ALIGN) * ALIGN;
    this.#prepare(bytes, space);
    this.#control.writeBigUInt64LE(BigInt(CMSGHDR + fds.length * 4), 0);
    this.#control.writeInt32LE(SOL_SOCKET, 8);
    this.#control.writeInt32LE(SCM_RIGHTS, 12);
    for (const [index, each] of fds.entries()) {
      this.#control.writeInt32LE(each, CMSGHDR + index * 4);
    }
    const sent = Number(this.#sendmsg(fd, this.#header, MSG_DONTWAIT | MSG_NOSIGNAL));
    return sent < 0 ? -this.#koffi.errno() : sent;
  }

  #prepare(bytes: Uint8Array, controlLength: number): void {
    this.#iovec.writeBigUInt64LE(BigInt(this.#koffi.address(bytes)), 0);
    this.#iovec.writeBigUInt64LE(BigInt(bytes.length), 8);
    this.#header.writeBigUInt64LE(controlLength > 0 ? this.#controlAddress : 0n, MSG_CONTROL);
    this.#header.writeBigUInt64LE(BigInt(controlLength), MSG_CONTROLLEN);
    this.#header.writeInt32LE(0, MSG_FLAGS);
  }

  #descriptors(): readonly number[] {
    const end = Number(this.#header.readBigUInt64LE(MSG_CONTROLLEN));
    if (end < CMSGHDR) return NOTHING;
    const found: number[] = [];
    for (let at = 0; at + CMSGHDR <= end; ) {
      const length = Number(this.#control.readBigUInt64LE(at));
      if (length < CMSGHDR) break;
      const rights =
        this.#control.readInt32LE(at + 8) === SOL_SOCKET &&
        this.#control.readInt32LE(at + 12) === SCM_RIGHTS;
      for (let each = at + CMSGHDR; rights && each + 4 <= at + length; each += 4) {
        found.push(this.#control.readInt32LE(each));
      }
      at += Math.ceil(length / ALIGN) * ALIGN;
    }
    return found;
  }
}
