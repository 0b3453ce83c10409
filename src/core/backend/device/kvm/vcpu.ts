/** A vCPU of KVM, in the process that holds its VM. */
import { errnoOf, SystemError } from '../../../abi/errno.js';
import {
  KVM_EXIT,
  KVM_EXIT_IO_IN,
  KVM_EXIT_IO_OUT,
  KVM_RUN_EXIT,
  KVM_RUN_IMMEDIATE_EXIT,
  kvm_run,
  kvm_run_io,
  kvm_run_mmio,
} from '../../../abi/kvm-run.js';
import {
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_RUN,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  kvm_regs,
  kvm_sregs,
} from '../../../abi/kvm-vm.js';
import { blockingIoctl } from '../../../native/blocking.js';
import type { Libc } from '../../../native/libc.js';
import { type KvmExit, REAL_MODE_SIZE } from '../../port/kvm.js';
import { check } from '../errors.js';
import { KVM_CALL } from './system.js';
import type { Runnable } from './turn.js';

const EINTR = errnoOf('EINTR', 'linux');
/** What a processor has in rflags when nothing is set: bit 1 is always one. */
const RFLAGS = 2n;
const SEGMENT = 0x10000;
/** A string instruction that is left in the middle comes to its end in so many steps, or never. */
const MAX_SETTLE = 0x10000;

export class Vcpu implements Runnable {
  readonly #libc: Libc;
  readonly #fd: number;
  /** struct kvm_run and what stands behind it. */
  readonly #shared: Uint8Array;
  /** The segment registers and more, as after power-on. */
  readonly #initial: Uint8Array;
  /** The last exit may have left something to do, which the next KVM_RUN begins with. */
  #unsettled = false;

  /** `shared` is mapped from the descriptor; both are the caller's. @throws SystemError what KVM says. */
  constructor(libc: Libc, fd: number, shared: ArrayBuffer) {
    this.#libc = libc;
    this.#fd = fd;
    this.#shared = new Uint8Array(shared);
    this.#initial = new Uint8Array(kvm_sregs.size);
    this.#ioctl(KVM_GET_SREGS, this.#initial);
  }

  begin(at: number): void {
    if (at < 0 || at >= REAL_MODE_SIZE) {
      throw new SystemError('EINVAL', { message: 'real mode begins below 1 MiB' });
    }
    this.#settle();
    const sregs = kvm_sregs.decode(this.#initial);
    const base = at - (at % SEGMENT);
    sregs.cs = { ...sregs.cs, base: BigInt(base), selector: base / 16 };
    this.#ioctl(KVM_SET_SREGS, kvm_sregs.encode(sregs));
    this.#ioctl(KVM_SET_REGS, kvm_regs.encode({ rip: BigInt(at - base), rflags: RFLAGS }));
  }

  async run(signal: AbortSignal): Promise<KvmExit> {
    const kick = () => this.#setImmediateExit(true);
    if (signal.aborted) kick();
    signal.addEventListener('abort', kick);
    try {
      await this.#untilExit(signal);
    } finally {
      signal.removeEventListener('abort', kick);
      this.#setImmediateExit(false);
    }
    return this.#exit();
  }

  answer(bytes: Uint8Array): void {
    const target = this.#awaited();
    if (target === undefined) return;
    target.set(bytes.subarray(0, target.length));
  }

  async #untilExit(signal: AbortSignal): Promise<void> {
    for (;;) {
      const result = await blockingIoctl(this.#fd, KVM_RUN, 0, { signal });
      this.#unsettled = result !== -EINTR;
      if (this.#unsettled) return void check(result, KVM_CALL);
      if (signal.aborted) throw new SystemError('EINTR', KVM_CALL);
    }
  }

  /** Finishes what is left of the last exit, which else would change the registers at the next run. */
  #settle(): void {
    if (!this.#unsettled) return;
    this.#unsettled = false;
    this.#setImmediateExit(true);
    try {
      for (let step = 0; step < MAX_SETTLE; step++) {
        if (this.#libc.ioctl(this.#fd, KVM_RUN, 0) < 0) return;
      }
    } finally {
      this.#setImmediateExit(false);
    }
    throw new SystemError('EIO', {
      message: 'an instruction of the guest does not come to its end',
    });
  }

  #exit(): KvmExit {
    // What nobody answers is read as zeros.
    this.#awaited()?.fill(0);
    const run = this.#shared.slice(0, kvm_run.size);
    const regs = new Uint8Array(kvm_regs.size);
    this.#ioctl(KVM_GET_REGS, regs);
    const reason = kvm_run.decode(run).exit_reason;
    const data = reason === KVM_EXIT.KVM_EXIT_IO ? this.#written() : new Uint8Array(0);
    return { reason, run, data, rip: kvm_regs.decode(regs).rip };
  }

  /** What the guest has written by an IO exit. */
  #written(): Uint8Array {
    const io = kvm_run_io.decode(this.#shared.subarray(KVM_RUN_EXIT));
    return io.direction === KVM_EXIT_IO_OUT ? this.#ioData().slice() : new Uint8Array(0);
  }

  /** Where the guest looks for what it reads. */
  #awaited(): Uint8Array | undefined {
    const union = this.#shared.subarray(KVM_RUN_EXIT);
    const { exit_reason } = kvm_run.decode(this.#shared);
    if (exit_reason === KVM_EXIT.KVM_EXIT_IO) {
      return kvm_run_io.decode(union).direction === KVM_EXIT_IO_IN ? this.#ioData() : undefined;
    }
    if (exit_reason !== KVM_EXIT.KVM_EXIT_MMIO) return undefined;
    const { is_write, data, len } = kvm_run_mmio.decode(union);
    const at = kvm_run_mmio.offset('data');
    return is_write === 0 ? union.subarray(at, at + Math.min(len, data.length)) : undefined;
  }

  /** The memory of an IO exit's data. @throws SystemError EPROTO when it is not where it could be. */
  #ioData(): Uint8Array {
    const io = kvm_run_io.decode(this.#shared.subarray(KVM_RUN_EXIT));
    const [start, length] = [Number(io.data_offset), io.size * io.count];
    if (start + length > this.#shared.length) {
      throw new SystemError('EPROTO', {
        message: 'the data of an exit lies outside of its memory',
      });
    }
    return this.#shared.subarray(start, start + length);
  }

  #setImmediateExit(on: boolean): void {
    this.#shared[KVM_RUN_IMMEDIATE_EXIT] = on ? 1 : 0;
  }

  #ioctl(request: number, argument: Uint8Array): void {
    check(this.#libc.ioctl(this.#fd, request, argument), KVM_CALL);
  }
}
