/** One ioctl while the driver works on it: the kernel's copy of the argument, and how it goes back to the caller. */
import { type ErrorCode, SystemError } from '../../../abi/errno.js';
import type { FieldType } from '../../../abi/layout.js';
import { vbg_ioctl_hdr } from '../../../abi/vboxguest.js';
import { type IoctlOutcome, type IoctlReply, PendingIoctl, type UserMemory } from '../../node.js';
import type { Session } from './session.js';

const RC_OFFSET = vbg_ioctl_hdr.offset('rc');
const SIZE_OUT_OFFSET = vbg_ioctl_hdr.offset('size_out');

interface Layout<T> {
  readonly fields: readonly {
    readonly name: string;
    readonly offset: number;
    readonly type: FieldType<unknown>;
  }[];
  decode(data: Uint8Array): T;
}

export interface IoctlArgument {
  /** The caller's buffer. */
  readonly argument: Uint8Array;
  /** What the kernel has copied of it, and zeros up to the size of the answer. */
  readonly data: Uint8Array;
  readonly memory: UserMemory;
}

export class IoctlCall {
  readonly session: Session;
  readonly memory: UserMemory;
  readonly data: Uint8Array;
  readonly view: DataView;
  readonly #argument: Uint8Array;
  #pending: PendingIoctl | undefined;

  constructor(session: Session, { argument, data, memory }: IoctlArgument) {
    this.session = session;
    this.memory = memory;
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.#argument = argument;
  }

  get header() {
    return vbg_ioctl_hdr.decode(this.data);
  }

  set rc(status: number) {
    this.view.setInt32(RC_OFFSET, status, true);
  }

  set sizeOut(size: number) {
    this.view.setUint32(SIZE_OUT_OFFSET, size, true);
  }

  decode<T>(layout: Layout<T>): T {
    return layout.decode(this.data);
  }

  /** Writes an answer's fields behind the header. */
  answer<T>(layout: Layout<T>, answer: Omit<Partial<T>, 'hdr'>): void {
    const values = new Map<string, unknown>(Object.entries(answer));
    for (const { name, offset, type } of layout.fields) {
      if (values.has(name)) type.write(this.view, offset, values.get(name));
    }
  }

  /** Copies the answer back. @throws SystemError EFAULT when the caller's buffer is shorter than it. */
  reply(): IoctlReply {
    const size = Math.min(this.header.size_out, this.data.length);
    if (size > this.#argument.length) fail('EFAULT');
    const data = this.#argument.slice();
    data.set(this.data.subarray(0, size));
    return { result: 0, data };
  }

  /** From now on the call waits, until `end`. */
  wait(onInterrupt: () => void): PendingIoctl {
    const pending = new PendingIoctl(onInterrupt);
    this.#pending = pending;
    this.session.pending.add(this);
    return pending;
  }

  interrupt(): void {
    this.#pending?.interrupt();
  }

  /** Ends a call that waits, with its answer or an error. */
  end(error?: ErrorCode): void {
    if (!this.session.pending.delete(this)) return;
    this.#pending?.finish(error === undefined ? this.#outcome() : systemError(error));
    this.session.settle();
  }

  #outcome(): IoctlOutcome {
    try {
      return this.reply();
    } catch (error) {
      if (error instanceof SystemError) return error;
      throw error;
    }
  }
}

function systemError(code: ErrorCode, message?: string): SystemError {
  return new SystemError(code, { syscall: 'ioctl', message });
}

/** @throws SystemError always. */
export function fail(code: ErrorCode, message?: string): never {
  throw systemError(code, message);
}
