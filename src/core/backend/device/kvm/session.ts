/** One client of a process that holds a VM: takes its calls, one after the other, and answers them. */
import type { Socket } from 'node:net';
import { SystemError } from '../../../abi/errno.js';
import { encodeFrame, errorToWire, type Frame, FrameReader } from '../../../daemon/wire.js';
import type { HeldVm } from './holder.js';
import { callFromJson, exitToFrame, type HolderCall } from './protocol.js';
import type { Turn } from './turn.js';

/** What a client can do to the process. */
export interface Process {
  /** Ends the VM; it is gone when this resolves. */
  destroy(): Promise<void>;
  /** Ends the process. */
  exit(): void;
}

export class Session {
  readonly #vm: HeldVm;
  readonly #socket: Socket;
  readonly #process: Process;
  readonly #frames = new FrameReader();
  #turn: Turn | undefined;
  /** Exits are wanted: `run` came, and no `stop` after it. */
  #wanted = false;
  /** A call is under way. */
  #busy = false;
  #closed = false;

  constructor(vm: HeldVm, socket: Socket, process: Process) {
    this.#vm = vm;
    this.#socket = socket;
    this.#process = process;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // What broke a connection is the client's to know.
    socket.on('error', () => undefined);
    // A client that says nothing more wants no more exits; `close` may come later.
    socket.on('end', () => this.#stop());
    socket.on('close', () => this.#close());
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** @throws SystemError for what is no call, or comes before the last one is answered. */
  #take(frame: Frame): void {
    const call = callFromJson(frame.json);
    if (call.call === 'stop') return this.#stopAfter(frame.binary);
    if (this.#busy) throw new SystemError('EPROTO', { message: 'one call at a time' });
    this.#busy = true;
    this.#answer(call, frame.binary).catch((error) => this.#refuse(error));
  }

  async #answer(call: HolderCall, binary: Uint8Array): Promise<void> {
    let answer: Frame;
    try {
      answer = await this.#perform(call, binary);
    } catch (error) {
      this.#stop();
      answer = said({ error: errorToWire(error) });
    }
    this.#busy = false;
    if (!this.#closed) this.#send(answer);
    // What was written is the system's to deliver.
    if (call.call === 'destroy') this.#socket.end(() => this.#process.exit());
  }

  async #perform(call: HolderCall, binary: Uint8Array): Promise<Frame> {
    switch (call.call) {
      case 'vm':
        return said({ value: this.#vm.record() });
      case 'inspect':
        return said({ value: this.#vm.details() });
      case 'destroy':
        await this.#process.destroy();
        return said({ value: null });
      case 'run':
        await this.#begin(call.vcpu, call.at === null ? undefined : { bytes: binary, at: call.at });
        return this.#next();
      case 'next':
        this.#turn?.vcpu.answer(binary);
        return this.#next();
      case 'stop':
        return said({ value: null });
    }
  }

  async #begin(vcpu: number, image: { bytes: Uint8Array; at: number } | undefined): Promise<void> {
    if (this.#turn !== undefined) {
      throw new SystemError('EPROTO', { message: 'a connection runs one vCPU' });
    }
    this.#wanted = true;
    const turn = await this.#vm.take(vcpu, image);
    if (this.#wanted) this.#turn = turn;
    else turn.stop();
  }

  async #next(): Promise<Frame> {
    // It was stopped, or never begun.
    if (this.#turn === undefined) throw new SystemError('EINTR');
    return exitToFrame(await this.#vm.next(this.#turn));
  }

  /** With what the guest reads by the last exit; while it runs there is none. */
  #stopAfter(read: Uint8Array): void {
    if (!this.#busy) this.#turn?.vcpu.answer(read);
    this.#stop();
  }

  #stop(): void {
    this.#wanted = false;
    this.#turn?.stop();
    this.#turn = undefined;
  }

  #close(): void {
    this.#closed = true;
    this.#stop();
  }

  #send({ json, binary }: Frame): void {
    for (const part of encodeFrame(json, binary)) this.#socket.write(part);
  }

  /** Ends a connection that makes no sense. */
  #refuse(error: unknown): void {
    this.#stop();
    if (!this.#closed) this.#send(said({ error: errorToWire(error) }));
    this.#socket.destroySoon();
  }
}

function said(json: Record<string, unknown>): Frame {
  return { json, binary: new Uint8Array(0) };
}
