/** A client's connection to the process that holds a VM of KVM. */
import { connect, type Socket } from 'node:net';
import { isErrorCode, SystemError } from '../../../abi/errno.js';
import { encodeFrame, type Frame, FrameReader } from '../../../daemon/wire.js';
import { callToJson, goodAnswer, type HolderCall } from './protocol.js';

/** How long a process may take for what it can answer at once, milliseconds. */
const PATIENCE_MS = 5000;

interface Waiting {
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

export class HolderConnection {
  /** Resolves when the connection is over; after `destroy` that is when the process is. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  #waiting: Waiting | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail(new SystemError('ECONNRESET', { message: 'the process of the VM has ended' }));
        resolve();
      });
    });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // `close` follows.
    socket.on('error', () => undefined);
  }

  /** @throws SystemError ENOENT, ECONNREFUSED (nobody is there any more), EACCES. */
  static connect(path: string): Promise<HolderConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const failed = ({ code, message }: NodeJS.ErrnoException) => {
        reject(isErrorCode(code) ? new SystemError(code, { path }) : new Error(message));
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        socket.off('error', failed);
        resolve(new HolderConnection(socket));
      });
    });
  }

  /** One call at a time. @throws SystemError what is answered; ECONNRESET when the process ends. */
  async call(call: HolderCall, binary: Uint8Array = new Uint8Array(0)): Promise<Frame> {
    if (this.#waiting !== undefined) throw new Error('one call at a time');
    const answer = new Promise<Frame>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    if (this.#socket.destroyed) this.#fail(new SystemError('ECONNRESET'));
    else this.send(call, binary);
    return goodAnswer(await answer);
  }

  /** The same for what is answered at once. @throws SystemError ETIMEDOUT when it is not. */
  async ask(call: HolderCall, patienceMs = PATIENCE_MS): Promise<unknown> {
    const timer = setTimeout(() => {
      this.#fail(
        new SystemError('ETIMEDOUT', { message: 'the process of the VM does not answer' }),
      );
    }, patienceMs);
    try {
      return (await this.call(call)).json.value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says what is not answered. */
  send(call: HolderCall, binary?: Uint8Array): void {
    for (const part of encodeFrame(callToJson(call), binary)) this.#socket.write(part);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk))
        this.#settle((waiting) => waiting.resolve(frame));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      this.#socket.destroy();
    }
  }

  #fail(error: Error): void {
    this.#settle((waiting) => waiting.reject(error));
  }

  #settle(action: (waiting: Waiting) => void): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) action(waiting);
  }
}
