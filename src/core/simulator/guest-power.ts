/**
 * Whether the simulated guest of a VM runs. It is cut off when its VM is suspended or reset, or when a real kernel takes
 * its place, and boots when nothing of that holds any more. Paused vCPUs change nothing.
 */
import { SystemError } from '../abi/errno.js';
import { vm_suspend_how } from '../abi/vmm-machine.js';
import { suspendReason } from '../abi/vmm-names.js';
import type { Vm } from './vmm/vm.js';

const { VM_SUSPEND_NONE, VM_SUSPEND_RESET } = vm_suspend_how;

/** What becomes of the guest. */
export interface GuestPowerOptions {
  readonly vm: Vm;
  /** Whether a real kernel is in the guest's place. */
  isReplaced(): boolean;
  /** All that runs in it is gone, without a word. */
  cutOff(): void;
  /** The VM's run is over, and with it what lives as long. */
  runEnded(): void;
  /** Nobody is there in its place. */
  leave(): void;
  boot(): void;
}

type State = 'on' | 'off' | 'replaced';

export class GuestPower {
  readonly #options: GuestPowerOptions;
  #state: State = 'on';
  #resets = 0;
  #lives = 1;

  constructor(options: GuestPowerOptions) {
    this.#options = options;
  }

  /** Which life of the guest it is, from 1 on; 0 while it does not run. */
  get life(): number {
    return this.#state === 'on' ? this.#lives : 0;
  }

  /** Why nothing can be done in the guest: ENODEV while it is switched off. */
  get refusal(): SystemError | undefined {
    if (this.#state !== 'off') return undefined;
    const { name, suspendReason: how } = this.#options.vm;
    if (how === VM_SUSPEND_RESET) {
      return new SystemError('ENODEV', { message: `the guest '${name}' is being reset` });
    }
    return new SystemError('ENODEV', {
      message: `the guest '${name}' is off (${suspendReason(how) ?? 'suspended'})`,
      hint: `'vmmctl reset ${name}' lets it boot`,
    });
  }

  /** @throws SystemError see `refusal` */
  refuse(): void {
    const { refusal } = this;
    if (refusal !== undefined) throw refusal;
  }

  /** Brings the guest in line with its VM. Call when the VM has changed, or a real kernel has come or gone. */
  review(): void {
    const { vm, ...does } = this.#options;
    const before = this.#state;
    const wasReset = vm.resets !== this.#resets;
    this.#resets = vm.resets;
    this.#state = this.#wanted();
    if (this.#state === before && !(wasReset && before === 'on')) return;
    if (before === 'on') does.cutOff();
    if (this.#state === 'off') {
      if (vm.suspendReason !== VM_SUSPEND_RESET) does.runEnded();
      does.leave();
    } else if (this.#state === 'on') {
      this.#lives++;
      does.boot();
    }
  }

  #wanted(): State {
    if (this.#options.isReplaced()) return 'replaced';
    return this.#options.vm.suspendReason === VM_SUSPEND_NONE ? 'on' : 'off';
  }
}
