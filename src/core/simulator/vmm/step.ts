/** What a line of a program does. */
import type { Registers } from './registers.js';
import type { Words } from './words.js';

/** An exit of the guest. */
export interface ExitStep {
  readonly kind: 'exit';
  /** One of vm_exitcode. */
  readonly code: number;
  /** Bytes of the instruction. */
  readonly length: number;
  /** The union of struct vm_exit; it may change registers, as the instruction does. */
  readonly u: (registers: Registers) => Uint8Array;
  /** The targets of VM_EXITCODE_IPI. */
  readonly cpus?: Uint8Array;
}

/** What one line does. */
export type Step =
  | ExitStep
  /** Sleeps in the kernel until an interrupt; with `interrupts` false only an NMI counts. */
  | { readonly kind: 'wait'; readonly length: number; readonly interrupts: boolean }
  /** Runs for ever, without an exit. */
  | { readonly kind: 'spin'; readonly length: number }
  /** Suspends the VM. */
  | { readonly kind: 'suspend'; readonly length: number; readonly how: number };

export interface Statement {
  /** What follows the word. */
  readonly usage: string;
  readonly parse: (words: Words) => Step;
}
