/** The programs of all vCPUs of a host, which have a bound together. */
import { SystemError } from '../../abi/errno.js';
import { parseProgram } from './program.js';
import type { Vm } from './vm.js';

/** Instructions of all programs together: each takes some hundred bytes. */
export const MAX_INSTRUCTIONS = 256 * 1024;

export class Programs {
  #instructions = 0;

  /**
   * Gives a vCPU what it executes from now on; null takes it away.
   * @throws SystemError as `parseProgram`; ENOMEM over MAX_INSTRUCTIONS.
   */
  set(vm: Vm, vcpuid: number, text: string | null): void {
    const program = text === null ? undefined : parseProgram(text);
    const before = vm.programs.get(vcpuid)?.instructions.length ?? 0;
    const total = this.#instructions - before + (program?.instructions.length ?? 0);
    if (total > MAX_INSTRUCTIONS) {
      throw new SystemError('ENOMEM', {
        message: `the programs of a host have at most ${MAX_INSTRUCTIONS} lines together`,
      });
    }
    this.#instructions = total;
    if (program === undefined) vm.programs.delete(vcpuid);
    else vm.programs.set(vcpuid, program);
  }

  /** The VM is gone. */
  forget(vm: Vm): void {
    for (const { instructions } of vm.programs.values()) this.#instructions -= instructions.length;
    vm.programs.clear();
  }
}
