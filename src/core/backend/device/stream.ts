/** Joins a connected socket to a stream of Node. */
import { Duplex } from 'node:stream';
import { errnoOf, SystemError } from '../../abi/errno.js';
import {
  FIONBIO,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_TRUNC,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_SNDTIMEO_NEW,
  SOL_SOCKET,
} from '../../abi/linux-socket.js';
import { timeval64 } from '../../abi/vm-sockets.js';
import { blockingSend } from '../../native/blocking.js';
import { EPOLLERR, EPOLLHUP, EPOLLRDHUP } from '../../native/reactor.js';
import type { CallOptions } from '../port/node.js';
import type { SocketType, VsockStream } from '../port/vsock.js';
import type { Descriptor } from './descriptor.js';
import { systemError } from './errors.js';
import { LONGEST_WAIT_MS, Patience } from './patience.js';

const EAGAIN = errnoOf('EAGAIN', 'linux');
const EINTR = errnoOf('EINTR', 'linux');
const EPIPE = errnoOf('EPIPE', 'linux');
const ENOTCONN = errnoOf('ENOTCONN', 'linux');

/** Memory that received bytes are put into, bytes; less than the second number of it left, and a new one is made. */
const POOL = 1 << 20;
const LEAST_ROOM = 1 << 16;
/** Room for an address of any family, bytes. */
const LONGEST_ADDRESS = 110;
/** Pieces that are received one after the other before other events get their turn. */
const PIECES_A_TURN = 16;

export interface JoinOptions {
  type: SocketType;
  /** The longest message that can arrive, bytes. */
  longestMessage: number;
}

export class SocketStream implements VsockStream {
  readonly duplex: Duplex;
  readonly hungUp: Promise<void>;
  readonly ended: Promise<void>;
  readonly #descriptor: Descriptor;
  readonly #type: SocketType;
  readonly #longestMessage: number;
  /** Absent where a wait can't be bounded. */
  readonly #patience: Patience | undefined;
  #hangUp: () => void = () => undefined;
  #settle: (error: SystemError | undefined) => void = () => undefined;
  #pool = Buffer.alloc(0);
  /** The reader takes more. */
  #wanted = false;
  /** What the socket had no room for, and whom to tell when it had. */
  #unsent: { bytes: Uint8Array; done: () => void } | undefined;
  /** A datagram socket that answers whoever speaks first; only its program ends that. */
  readonly #answers: boolean;
  #awaitsPeer: boolean;
  /** A thread waits for room for a message. */
  #sending = false;
  #inputEnded = false;
  #outputEnded = false;
  #finished = false;
  #error: SystemError | undefined;

  constructor(descriptor: Descriptor, { type, longestMessage }: JoinOptions) {
    this.#descriptor = descriptor;
    this.#type = type;
    this.#longestMessage = longestMessage;
    this.hungUp = new Promise((resolve) => {
      this.#hangUp = resolve;
    });
    this.ended = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Whoever takes the stream looks at `ended`; until then a failure must not count as unhandled.
    this.ended.catch(() => undefined);
    this.duplex = this.#makeDuplex();
    this.#answers = type === 'dgram' && !hasPeer(descriptor);
    this.#awaitsPeer = this.#answers;
    if (type !== 'dgram') letWait(descriptor);
    if (type === 'stream' && boundWaits(descriptor)) this.#patience = new Patience();
    descriptor.onEvent = (events) => this.#happened(events);
    this.#probeHangUp();
  }

  /** Closes it when what was written is sent. The peer learns at once that nobody reads any more. */
  closeWhenSent(): void {
    if (this.#finished) return;
    const { fd, libc } = this.#descriptor;
    if (this.#type !== 'dgram') libc.shutdown(fd, SHUT_RD);
    if (!this.#outputEnded) this.#outputOver(0);
    this.duplex.end();
  }

  /** Once the duplex is read from, this has no more part in it. */
  async read(into: Uint8Array, { signal }: CallOptions = {}): Promise<number> {
    while (!this.#outputEnded && !this.#finished && !signal?.aborted) {
      const { fd, libc } = this.#descriptor;
      const length = libc.recv(fd, into, MSG_DONTWAIT);
      if (length > 0) return length;
      if (length === -EAGAIN) await this.#descriptor.nextEvent(signal);
      else this.#outputOver(-length);
    }
    return 0;
  }

  #makeDuplex(): Duplex {
    return new Duplex({
      allowHalfOpen: true,
      readableObjectMode: this.#type !== 'stream',
      writableHighWaterMark: POOL,
      readableHighWaterMark: this.#type === 'stream' ? POOL : 16,
      read: () => {
        this.#wanted = true;
        this.#receive();
      },
      write: (chunk: Uint8Array, _encoding, done) => {
        // What is written after a failure is lost as well; nobody must wait for it.
        if (this.#inputEnded || this.#finished) {
          done();
          return;
        }
        this.#unsent = { bytes: chunk, done };
        this.#send();
      },
      final: (done) => {
        this.#shutDown();
        done();
      },
      destroy: (error, done) => {
        this.#finish();
        done(error);
      },
    });
  }

  #happened(events: number): void {
    this.#send();
    this.#receive();
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0) this.#probeHangUp();
  }

  #send(): void {
    if (this.#type === 'seqpacket') {
      this.#sendMessage().catch((error) => this.duplex.destroy(error));
      return;
    }
    while (this.#unsent !== undefined && !this.#finished && !this.#awaitsPeer) {
      const { bytes, done } = this.#unsent;
      const sent = this.#sendBytes(bytes);
      if (sent === -EAGAIN) return;
      if (sent === -EINTR) {
        // The handler of the signal runs in the event loop.
        setImmediate(() => this.#send());
        return;
      }
      if (this.#type === 'stream' && sent >= 0 && sent < bytes.length) {
        // There is no room for more, and an event tells when there is.
        this.#unsent = { bytes: bytes.subarray(sent), done };
        return;
      }
      this.#unsent = undefined;
      if (sent < 0) this.#sendFailed(-sent);
      done();
    }
  }

  #sendBytes(bytes: Uint8Array): number {
    const { fd, libc } = this.#descriptor;
    if (!this.#patience?.allows(bytes.length)) {
      return libc.send(fd, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    const sent = libc.send(fd, bytes, MSG_NOSIGNAL);
    this.#patience.waited(sent < bytes.length);
    return sent;
  }

  /**
   * A send that does not wait puts as much of a message into the queue as there is room for, and gives EAGAIN
   * without saying how much that was; what is sent next then belongs to the same message. So a thread waits.
   */
  async #sendMessage(): Promise<void> {
    if (this.#unsent === undefined || this.#sending || this.#finished) return;
    const { bytes, done } = this.#unsent;
    this.#sending = true;
    const sent = await blockingSend(this.#descriptor.fd, new Uint8Array(bytes), MSG_NOSIGNAL);
    this.#sending = false;
    this.#unsent = undefined;
    if (sent < 0 && !this.#finished) this.#sendFailed(-sent);
    if (this.#finished) this.#descriptor.close();
    done();
  }

  /**
   * What was written is lost, which `ended` tells; what the peer has said before can still be read. A peer that would
   * take more learns that there is none.
   */
  #sendFailed(errno: number): void {
    const gone = errno === EPIPE || errno === ENOTCONN;
    const message = gone ? 'the peer closed before it had taken all bytes' : undefined;
    this.#fail(
      gone
        ? new SystemError('EPIPE', { syscall: 'send', message })
        : systemError(errno, { syscall: 'send' }),
    );
    if (!gone) this.#descriptor.libc.shutdown(this.#descriptor.fd, SHUT_WR);
    this.#inputEnded = true;
    this.#hangUp();
    this.#finishWhenOver();
  }

  #shutDown(): void {
    if (!this.#inputEnded && !this.#finished && this.#type !== 'dgram') {
      // A connection that is over already needs none.
      this.#descriptor.libc.shutdown(this.#descriptor.fd, SHUT_WR);
    }
    this.#inputEnded = true;
    // Datagrams have no end that a peer could tell.
    if (this.#type === 'dgram' && !this.#answers && !this.#outputEnded) this.#outputOver(0);
    this.#finishWhenOver();
  }

  #receive(): void {
    for (let pieces = 1; this.#wanted && !this.#outputEnded && !this.#finished; pieces++) {
      const length = this.#type === 'stream' ? this.#receiveBytes() : this.#receiveMessage();
      if (length === -EAGAIN) return;
      if (length < 0 || (length === 0 && this.#type !== 'dgram')) {
        this.#outputOver(-length);
        return;
      }
      if (pieces === PIECES_A_TURN) {
        setImmediate(() => this.#receive());
        return;
      }
    }
  }

  #receiveBytes(): number {
    if (this.#pool.length < LEAST_ROOM) this.#pool = Buffer.allocUnsafeSlow(POOL);
    const { fd, libc } = this.#descriptor;
    const length = libc.recv(fd, this.#pool, MSG_DONTWAIT);
    if (length > 0) {
      const piece = this.#pool.subarray(0, length);
      this.#pool = this.#pool.subarray(length);
      this.#wanted = this.duplex.push(piece);
    }
    return length;
  }

  #receiveMessage(): number {
    if (this.#pool.length === 0) this.#pool = Buffer.allocUnsafeSlow(this.#longestMessage);
    const { fd, libc } = this.#descriptor;
    const flags = MSG_TRUNC | MSG_DONTWAIT;
    const from = this.#awaitsPeer ? new Uint8Array(LONGEST_ADDRESS) : undefined;
    const length = from
      ? libc.recvfrom(fd, this.#pool, flags, from)
      : libc.recv(fd, this.#pool, flags);
    if (length > this.#pool.length) return -errnoOf('EMSGSIZE', 'linux');
    if (length >= 0 && from) this.#answerTo(from);
    // Only a datagram can be empty.
    const isMessage = length > 0 || (length === 0 && this.#type === 'dgram');
    if (isMessage) this.#wanted = this.duplex.push(Buffer.from(this.#pool.subarray(0, length)));
    return length;
  }

  /** Whoever spoke first gets what is written. */
  #answerTo(address: Uint8Array): void {
    const { fd, libc } = this.#descriptor;
    if (libc.connect(fd, address) < 0) return;
    this.#awaitsPeer = false;
    this.#send();
  }

  /** The peer has said all, or the connection is broken. */
  #outputOver(errno: number): void {
    if (errno !== 0 && errno !== ENOTCONN) this.#fail(systemError(errno, { syscall: 'recv' }));
    this.#outputEnded = true;
    this.duplex.push(null);
    this.#probeHangUp();
    this.#finishWhenOver();
  }

  /** Sending nothing asks whether the peer takes anything. */
  #probeHangUp(): void {
    if (this.#finished || this.#inputEnded || this.#type === 'dgram') return;
    const { fd, libc } = this.#descriptor;
    const result = libc.send(fd, new Uint8Array(0), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result < 0 && result !== -EAGAIN) this.#hangUp();
  }

  #fail(error: SystemError): void {
    this.#error ??= error;
  }

  #finishWhenOver(): void {
    if (this.#inputEnded && this.#unsent === undefined && this.#outputEnded) this.#finish();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    const { fd, libc } = this.#descriptor;
    this.#descriptor.onEvent = undefined;
    // It ends the call of the thread, which still needs the descriptor.
    if (this.#sending) libc.shutdown(fd, SHUT_RDWR);
    else this.#descriptor.close();
    this.#hangUp();
    this.#settle(this.#error);
    if (!this.#sending) this.#unsent?.done();
  }
}

function hasPeer({ libc, fd }: Descriptor): boolean {
  return libc.getpeername(fd, new Uint8Array(LONGEST_ADDRESS)) >= 0;
}

/** Calls on it wait from now on where they don't say MSG_DONTWAIT. */
function letWait({ libc, fd }: Descriptor): void {
  libc.ioctl(fd, FIONBIO, new Uint8Array(4));
}

/** Whether sends on it will wait for a bounded time. */
function boundWaits({ libc, fd }: Descriptor): boolean {
  const limit = timeval64.encode({ tv_usec: BigInt(LONGEST_WAIT_MS * 1000) });
  return libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO_NEW, limit) === 0;
}
