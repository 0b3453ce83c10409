/**
 * The program at one end of a connection: it sends, reads, checks what it reads, and closes. It calls its socket
 * only after the socket was woken, as a program that waits would.
 */
import { isErrorCode, SystemError } from '../../src/core/abi/errno.js';
import type { SeededRng } from '../../src/core/simulator/rng.js';
import type { Socket } from '../../src/core/simulator/vsock/socket.js';
import { matches, pattern } from './pattern.js';

export interface Plan {
  /** Names the direction in which it sends, and the one from which it reads. */
  readonly sends: number;
  readonly reads: number;
  readonly bytes: number;
  readonly maxMessage: number;
  /** Milliseconds between two calls, at most. */
  readonly pauseMs: number;
  /**
   * `polite` sends all, reads to the end, then closes; `hasty` closes without reading; `quitter` closes at any
   * time; `deaf` stops reading, and sends on.
   */
  readonly manner: 'polite' | 'hasty' | 'quitter' | 'deaf';
}

/** Calls that a program makes before others get their turn. */
const CALLS = 8;

export class End {
  accepted = 0;
  /** Lengths of the messages that were accepted to their end. */
  readonly messages: number[] = [];
  received = 0;
  messagesReceived = 0;
  errors: string[] = [];
  /** It has read to the end, and nothing says that the end came too early. */
  sawEnd = false;
  closed = false;
  /** The socket was woken since the last call that would have blocked. */
  #awake = true;
  #sendOver = false;
  #readOver = false;
  #shutDown = false;
  #message: { bytes: Uint8Array; size: number } | undefined;
  #nextCallMs = 0;

  constructor(
    readonly socket: Socket,
    readonly plan: Plan,
    readonly rng: SeededRng,
  ) {}

  wake(): void {
    this.#awake = true;
  }

  /** Makes a few calls. True when it did something. */
  step(nowMs: number, hurry: boolean): boolean {
    if (this.closed || !this.#awake) return false;
    if (!hurry && nowMs < this.#nextCallMs) return false;
    this.#nextCallMs = nowMs + (this.plan.pauseMs === 0 ? 0 : this.rng.below(this.plan.pauseMs));
    let busy = true;
    for (let calls = 0; busy && calls < CALLS && !this.closed; calls++) {
      const sent = this.#sendSome();
      const read = this.#readSome();
      busy = sent || read;
      this.#closeIfOver();
    }
    this.#awake = busy;
    return true;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.close();
  }

  #closeIfOver(): void {
    const { manner } = this.plan;
    const over =
      (this.#sendOver && this.#readOver) ||
      (manner === 'hasty' && this.#sendOver) ||
      (manner === 'quitter' && this.rng.chance(0.1));
    if (over) this.close();
  }

  #sendSome(): boolean {
    if (this.#sendOver || this.closed) return false;
    if (this.accepted >= this.plan.bytes && this.#message === undefined) return this.#endSending();
    return this.#try(
      () => this.#send(),
      () => {
        this.#sendOver = true;
      },
    );
  }

  #send(): boolean {
    const { plan, socket, rng } = this;
    if (this.#message === undefined) {
      const size = Math.min(plan.bytes - this.accepted, 1 + rng.below(plan.maxMessage));
      this.#message = { bytes: pattern(plan.sends, this.accepted, size), size };
    }
    const { bytes, size } = this.#message;
    const sent = socket.type === 'stream' ? socket.send(bytes) : socket.sendMessage(bytes);
    if (sent < 0 || sent > bytes.length)
      throw new Error(`${sent} of ${bytes.length} bytes accepted`);
    this.accepted += sent;
    this.#message = sent === bytes.length ? undefined : { bytes: bytes.subarray(sent), size };
    if (this.#message === undefined) this.messages.push(size);
    return sent > 0;
  }

  #endSending(): boolean {
    this.#sendOver = true;
    if (this.plan.manner === 'hasty' || this.closed) return true;
    this.#try(
      () => {
        this.socket.shutdown('write');
        this.#shutDown = true;
        return true;
      },
      () => undefined,
    );
    return true;
  }

  #readSome(): boolean {
    if (this.#readOver || this.closed) return false;
    if (this.plan.manner === 'deaf' && this.rng.chance(0.1)) return this.#stopReading();
    return this.#try(
      () => this.#read(),
      () => {
        this.#readOver = true;
      },
    );
  }

  #read(): boolean {
    const { socket, plan } = this;
    const whole = socket.type === 'stream' ? undefined : socket.recvMessage();
    const data =
      socket.type === 'stream' ? socket.recv(1 + this.rng.below(plan.maxMessage)) : whole;
    if (data === undefined) return false;
    if (data === null) {
      this.#readOver = true;
      this.sawEnd = !socket.cutOff;
      return true;
    }
    const bytes = data instanceof Uint8Array ? data : data.bytes;
    if (!matches(plan.reads, this.received, bytes)) {
      throw new Error(`direction ${plan.reads} carries wrong bytes at ${this.received}`);
    }
    this.received += bytes.length;
    this.messagesReceived++;
    return true;
  }

  #stopReading(): boolean {
    return this.#try(
      () => {
        this.socket.shutdown('read');
        this.#readOver = true;
        return true;
      },
      () => {
        this.#readOver = true;
      },
    );
  }

  #try(call: () => boolean, failed: () => void): boolean {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof SystemError) || !isErrorCode(error.code)) throw error;
      // Linux: a connection that was over and is then shut down has no end to read.
      const odd = error.code === 'ENOTCONN' && this.#shutDown && !this.socket.cutOff;
      if (odd) this.sawEnd = true;
      else this.errors.push(error.code);
      failed();
      return true;
    }
  }
}
