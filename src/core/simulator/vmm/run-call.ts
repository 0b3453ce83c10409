/** A VM_RUN that waits in the kernel. */
import { SystemError } from '../../abi/errno.js';
import { type IoctlReply, PendingIoctl } from '../node.js';
import type { Exit } from './exits.js';

/**
 * Why it waits: it sleeps until an interrupt (`wait`) or an NMI (`nmi`), it runs without an exit (`spin`), or it has seen that
 * the VM is suspended and waits for the other vCPUs to see it too (`suspended`).
 */
export type RunReason = 'wait' | 'nmi' | 'spin' | 'suspended';

export class VmRun {
  readonly pending: PendingIoctl;
  reason: RunReason;
  /** Since when it waits for this reason, monotonic milliseconds. */
  sinceMs: number;
  readonly #copyOut: (exit: Exit) => IoctlReply;

  /** @param copyOut gives an exit to the caller; what it throws is the call's error. */
  constructor(options: {
    reason: RunReason;
    sinceMs: number;
    copyOut: (exit: Exit) => IoctlReply;
    onInterrupt: () => void;
  }) {
    this.reason = options.reason;
    this.sinceMs = options.sinceMs;
    this.#copyOut = options.copyOut;
    this.pending = new PendingIoctl(options.onInterrupt);
  }

  /** Ends the call with an exit, or an error. */
  finish(end: Exit | SystemError): void {
    this.pending.finish(end instanceof SystemError ? end : this.#outcome(end));
  }

  #outcome(exit: Exit): IoctlReply | SystemError {
    try {
      return this.#copyOut(exit);
    } catch (error) {
      if (error instanceof SystemError) return error;
      throw error;
    }
  }
}
