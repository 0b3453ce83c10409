/** A vCPU of a VM: what the kernel keeps of it, and where it is in its program. */
import { vm_cap_type, vm_reg_name, x2apic_state } from '../../abi/vmm-machine.js';
import { Lapic } from './lapic.js';
import { type Program, parseProgram } from './program.js';
import { Registers } from './registers.js';
import type { VmRun } from './run-call.js';
import { Stats } from './stats.js';

/** An exception that waits to be injected. */
export interface PendingException {
  readonly vector: number;
  /** Undefined where the exception has none. */
  readonly errorCode: number | undefined;
}

/** What a vCPU executes to which nobody gave a program: it waits, as an idle guest does. */
const IDLE = parseProgram('loop\nwait\nend');

/** Where a vCPU is in its program. */
export interface Position {
  readonly at: number;
  /** How often each block around it is still to be executed, the innermost last. */
  readonly times: readonly number[];
}

const START: Position = { at: 0, times: [] };

/** On from the beginning, on Intel's processors that have them. */
const INITIAL_CAPABILITIES = [vm_cap_type.VM_CAP_RDPID, vm_cap_type.VM_CAP_RDTSCP];

export class Vcpu {
  readonly id: number;
  readonly registers = new Registers();
  readonly lapic: Lapic;
  readonly stats = new Stats();
  /** Numbers of vm_cap_type. */
  readonly capabilities = new Set(INITIAL_CAPABILITIES);
  /** One of x2apic_state. */
  x2apic = x2apic_state.X2APIC_DISABLED;
  nmiPending = false;
  exception: PendingException | undefined;
  /** VM_INTINFO_*: an event that was being delivered at the last exit; 0 is none. */
  exitIntinfo = 0n;
  /** Where it goes on at the next VM_RUN. */
  nextRip = 0n;
  position = START;
  /** The VM_RUN that waits in the kernel. */
  run: VmRun | undefined;
  #program: Program = IDLE;
  /** Where the last exit was, for VM_RESTART_INSTRUCTION. */
  #lastExit: Position | undefined;

  constructor(id: number, program: Program | undefined) {
    this.id = id;
    this.lapic = new Lapic(id);
    if (program !== undefined) this.program = program;
  }

  get program(): Program {
    return this.#program;
  }

  /** Undefined takes it away. It begins with its first line, in a guest that has enabled its local APIC. */
  set program(program: Program | undefined) {
    this.#program = program ?? IDLE;
    this.position = START;
    this.#lastExit = undefined;
    if (program !== undefined) this.lapic.enable();
  }

  /** On to another instruction. */
  goTo(at: number, times: readonly number[]): void {
    const { offsets } = this.#program;
    this.nextRip = wrap(this.nextRip + (offsets[at] ?? 0n) - (offsets[this.position.at] ?? 0n));
    this.position = { at, times };
  }

  /** The instruction makes an exit; the next VM_RUN goes on behind it. */
  exitAndGoOn(): void {
    this.#lastExit = this.position;
    this.goTo(this.position.at + 1, this.position.times);
  }

  /** VM_RESTART_INSTRUCTION: the instruction of the last exit is executed again. */
  restartInstruction(): void {
    if (this.#lastExit !== undefined) this.position = this.#lastExit;
    this.nextRip = this.registers.get(vm_reg_name.VM_REG_GUEST_RIP);
  }

  /** Sets a register; one that is set to RIP goes on there. */
  setRegister(register: number, value: bigint): void {
    this.registers.set(register, value);
    if (register === vm_reg_name.VM_REG_GUEST_RIP) this.nextRip = wrap(value);
  }
}

function wrap(address: bigint): bigint {
  return BigInt.asUintN(64, address);
}
