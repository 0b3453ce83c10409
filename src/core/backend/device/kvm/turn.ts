/** A client's turn at a vCPU: nobody else runs it meanwhile. */
import { SystemError } from '../../../abi/errno.js';
import type { KvmExit } from '../../port/kvm.js';

/** What a turn needs of a vCPU. */
export interface Runnable {
  /** Resets it, and lets it begin in real mode. @throws SystemError EINVAL where real mode can't begin. */
  begin(at: number): void;
  /** Runs it until it exits. @throws SystemError EINTR when the signal aborts; what KVM says. */
  run(signal: AbortSignal): Promise<KvmExit>;
  /** What the guest reads by its last exit, if it reads: too much is cut, and what is missing are zeros. */
  answer(bytes: Uint8Array): void;
}

export class Turn {
  readonly vcpu: Runnable;
  /** Resolves when the vCPU is free. */
  readonly ended: Promise<void>;
  readonly #abort = new AbortController();
  readonly #end: () => void;
  #runs = false;

  /** `onEnd` is called once, when the vCPU is free. */
  constructor(vcpu: Runnable, onEnd: () => void) {
    this.vcpu = vcpu;
    let resolve: () => void = () => undefined;
    this.ended = new Promise((settle) => {
      resolve = settle;
    });
    this.#end = () => {
      onEnd();
      resolve();
    };
  }

  get stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  /** The next exit. @throws SystemError EINTR when it is stopped; what KVM says. */
  async run(): Promise<KvmExit> {
    if (this.stopped) throw new SystemError('EINTR');
    this.#runs = true;
    try {
      return await this.vcpu.run(this.#abort.signal);
    } finally {
      this.#runs = false;
      if (this.stopped) this.#end();
    }
  }

  /** Ends it; a vCPU that runs is kicked, and free when that has had its effect. */
  stop(): void {
    if (this.stopped) return;
    this.#abort.abort();
    if (!this.#runs) this.#end();
  }
}
