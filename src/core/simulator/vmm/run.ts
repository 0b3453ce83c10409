/**
 * What a vCPU does: VM_RUN, from its call to the exit that it gives back. Follows vm_run(), vm_handle_hlt() and
 * vm_handle_suspend() in FreeBSD's sys/amd64/vmm/vmm.c, and the loop of vmx_run() in sys/amd64/vmm/intel/vmx.c. Nothing takes
 * time here, and nothing depends on it but two counters.
 */
import { SystemError } from '../../abi/errno.js';
import { vm_exit_u_suspended } from '../../abi/vmm-exit.js';
import { vm_exitcode, vm_reg_name, vm_suspend_how } from '../../abi/vmm-machine.js';
import type { Clock } from '../clock.js';
import type { IoctlReply, PendingIoctl } from '../node.js';
import { sameCpus } from './cpuset.js';
import { type Exit, plainExit } from './exits.js';
import { type RunReason, VmRun } from './run-call.js';
import { EXIT_STATS } from './stats.js';
import type { ExitStep } from './step.js';
import type { Vcpu } from './vcpu.js';
import { reviewState, type Vm } from './vm.js';

/** What running needs of the registry of VMs. */
export interface RunHost {
  readonly config: { readonly haltDetection: boolean };
  readonly clock: Clock;
  /** Tells that something of the VM that others see has changed. */
  changed(vm: Vm): void;
}

/** Instructions without an exit after which a vCPU is taken for one that spins. */
const SPIN_INSTRUCTIONS = 10_000;

/**
 * Runs a vCPU to its next exit, which `copyOut` gives to the caller; where that takes something to happen, the call waits. A
 * signal ends it with the exit BOGUS, and with EINTR while it waits for other vCPUs of a suspended VM.
 * @throws SystemError EINVAL when the vCPU is not active, or has seen that the VM is suspended.
 */
export function runVcpu(
  host: RunHost,
  vm: Vm,
  vcpu: Vcpu,
  copyOut: (exit: Exit) => IoctlReply,
): IoctlReply | PendingIoctl {
  if (!vm.activeCpus.has(vcpu.id)) throw invalid(`vCPU ${vcpu.id} is not active`);
  if (vm.suspendedCpus.has(vcpu.id)) throw invalid('the VM is suspended');
  vcpu.exception = undefined;
  vcpu.exitIntinfo = 0n;
  const outcome = proceed(host, vm, vcpu, false);
  if (typeof outcome !== 'string') return copyOut(counted(vcpu, outcome));
  const sinceMs = host.clock.monotonicMs();
  const onInterrupt = () => interrupt(host, vm, vcpu);
  vcpu.run = new VmRun({ reason: outcome, sinceMs, copyOut, onInterrupt });
  return vcpu.run.pending;
}

/**
 * Something happened to a vCPU: one that sleeps looks whether it goes on. Call after each change that may wake it.
 */
export function wake(host: RunHost, vm: Vm, vcpu: Vcpu): void {
  const { run } = vcpu;
  if (run === undefined || run.reason === 'suspended') return;
  account(host, vcpu, run);
  vm.haltedCpus.delete(vcpu.id);
  const outcome = proceed(host, vm, vcpu, true);
  if (typeof outcome === 'string') run.reason = outcome;
  else finish(vcpu, run, outcome);
}

/** Somebody wants the vCPU: its VM_RUN ends with REQIDLE. One that waits for other vCPUs does not. */
export function requestIdle(host: RunHost, vm: Vm, vcpu: Vcpu): void {
  leaveKernel(host, vm, vcpu, vm_exitcode.VM_EXITCODE_REQIDLE);
}

/**
 * Suspends a VM for a reason. Each vCPU that runs gets to know, and waits for the others.
 * @throws SystemError EALREADY when it is suspended.
 */
export function suspendVm(host: RunHost, vm: Vm, how: number): void {
  if (vm.suspendReason !== vm_suspend_how.VM_SUSPEND_NONE) {
    throw new SystemError('EALREADY', { message: 'the VM is suspended already' });
  }
  vm.suspendReason = how;
  for (const vcpu of vm.vcpus.values()) wake(host, vm, vcpu);
  reviewState(vm);
  host.changed(vm);
}

/** The VM is going: each VM_RUN ends, also one that waits for vCPUs which nobody runs. */
export function endRuns(host: RunHost, vm: Vm, error?: SystemError): void {
  for (const vcpu of vm.vcpus.values()) {
    const { run } = vcpu;
    if (run === undefined) continue;
    account(host, vcpu, run);
    finish(vcpu, run, error ?? suspendedExit(vm, vcpu));
  }
}

function interrupt(host: RunHost, vm: Vm, vcpu: Vcpu): void {
  const { run } = vcpu;
  if (run?.reason === 'suspended') {
    finish(vcpu, run, new SystemError('EINTR', { syscall: 'ioctl' }));
  } else {
    leaveKernel(host, vm, vcpu, vm_exitcode.VM_EXITCODE_BOGUS);
  }
  vm.locks.retry();
}

function leaveKernel(host: RunHost, vm: Vm, vcpu: Vcpu, code: number): void {
  const { run } = vcpu;
  if (run === undefined || run.reason === 'suspended') return;
  account(host, vcpu, run);
  vm.haltedCpus.delete(vcpu.id);
  finish(vcpu, run, exitHere(vcpu, code));
}

function finish(vcpu: Vcpu, run: VmRun, end: Exit | SystemError): void {
  vcpu.run = undefined;
  run.finish(end instanceof SystemError ? end : counted(vcpu, end));
}

/** Counts how long a call has waited so far. */
function account({ clock }: RunHost, { stats }: Vcpu, run: VmRun): void {
  const now = clock.monotonicMs();
  const ms = now - run.sinceMs;
  run.sinceMs = now;
  if (run.reason === 'spin') stats.add('VCPU_TOTAL_RUNTIME', ms * 1_000_000);
  else if (run.reason !== 'suspended') stats.add('VCPU_IDLE_TICKS', ms);
}

/** What the hardware had no part in: these are found before the guest is entered. */
const BEFORE_ENTRY: ReadonlySet<number> = new Set([
  vm_exitcode.VM_EXITCODE_SUSPENDED,
  vm_exitcode.VM_EXITCODE_REQIDLE,
  vm_exitcode.VM_EXITCODE_BOGUS,
  vm_exitcode.VM_EXITCODE_DEBUG,
  vm_exitcode.VM_EXITCODE_RENDEZVOUS,
]);

function counted({ stats }: Vcpu, exit: Exit): Exit {
  if (!BEFORE_ENTRY.has(exit.code)) stats.add('VMEXIT_COUNT');
  const kind = EXIT_STATS.get(exit.code);
  if (kind !== undefined) stats.add(kind);
  stats.add('VMEXIT_USERSPACE');
  return exit;
}

/** Executes instructions up to an exit, or until the vCPU has to wait. `woken` when it comes out of such a wait. */
function proceed(host: RunHost, vm: Vm, vcpu: Vcpu, woken: boolean): Exit | RunReason {
  for (let done = 0; done < SPIN_INSTRUCTIONS; done++) {
    const left = beforeEntry(host, vm, vcpu);
    if (left !== undefined) return left;
    const outcome = execute(host, vm, vcpu, woken && done === 0);
    if (outcome !== undefined) return outcome;
  }
  return 'spin';
}

/** What keeps a vCPU from entering its guest. */
function beforeEntry(host: RunHost, vm: Vm, vcpu: Vcpu): Exit | RunReason | undefined {
  if (vm.suspendReason !== vm_suspend_how.VM_SUSPEND_NONE) return seeSuspended(host, vm, vcpu);
  if (vm.debugCpus.has(vcpu.id)) return exitHere(vcpu, vm_exitcode.VM_EXITCODE_DEBUG);
  return undefined;
}

/** The vCPU sees that its VM is suspended. The last one to see it lets all go back to their callers. */
function seeSuspended(host: RunHost, vm: Vm, vcpu: Vcpu): Exit | RunReason {
  vm.suspendedCpus.add(vcpu.id);
  if (!sameCpus(vm.suspendedCpus, vm.activeCpus)) return 'suspended';
  for (const other of vm.vcpus.values()) {
    const { run } = other;
    if (other === vcpu || run?.reason !== 'suspended') continue;
    account(host, other, run);
    finish(other, run, suspendedExit(vm, other));
  }
  return suspendedExit(vm, vcpu);
}

function suspendedExit(vm: Vm, vcpu: Vcpu): Exit {
  const exit = exitHere(vcpu, vm_exitcode.VM_EXITCODE_SUSPENDED);
  return { ...exit, u: vm_exit_u_suspended.encode({ how: vm.suspendReason }) };
}

/** An exit where the vCPU is, which it does not go past. */
function exitHere(vcpu: Vcpu, code: number): Exit {
  vcpu.registers.set(vm_reg_name.VM_REG_GUEST_RIP, vcpu.nextRip);
  return plainExit(code, vcpu.nextRip);
}

function execute(host: RunHost, vm: Vm, vcpu: Vcpu, woken: boolean): Exit | RunReason | undefined {
  const { at, times } = vcpu.position;
  const instruction = vcpu.program.instructions[at];
  if (instruction === undefined) return sleep(host, vm, vcpu, { interrupts: false, woken });
  switch (instruction.kind) {
    case 'exit':
      return takeExit(vcpu, instruction);
    case 'wait':
      return sleep(host, vm, vcpu, { interrupts: instruction.interrupts, woken });
    case 'spin':
      return 'spin';
    case 'suspend':
      vcpu.goTo(at + 1, times);
      suspendVm(host, vm, instruction.how);
      return undefined;
    case 'repeat':
      if (instruction.times === 0) vcpu.goTo(instruction.after, times);
      else vcpu.goTo(at + 1, [...times, instruction.times]);
      return undefined;
    case 'end': {
      const left = (times.at(-1) ?? 1) - 1;
      if (left > 0) vcpu.goTo(instruction.to, [...times.slice(0, -1), left]);
      else vcpu.goTo(at + 1, times.slice(0, -1));
      return undefined;
    }
  }
}

function takeExit(vcpu: Vcpu, { code, length, u, cpus }: ExitStep): Exit {
  const rip = vcpu.nextRip;
  const { registers } = vcpu;
  registers.set(vm_reg_name.VM_REG_GUEST_RIP, rip);
  const exit = { code, length, rip, u: u(registers), cpus: cpus ?? NO_CPUS };
  vcpu.exitAndGoOn();
  return exit;
}

const NO_CPUS = new Uint8Array(0);

/** An HLT that the kernel handles. What waits to be taken wakes the vCPU at once, as after `sti; hlt`. */
function sleep(
  host: RunHost,
  vm: Vm,
  vcpu: Vcpu,
  { interrupts, woken }: { interrupts: boolean; woken: boolean },
): RunReason | undefined {
  const { at, times } = vcpu.position;
  const { stats } = vcpu;
  if (!woken) {
    stats.add('VMEXIT_COUNT');
    stats.add('VMEXIT_HLT');
  }
  if (takeEvent(vcpu, interrupts)) {
    if (at < vcpu.program.instructions.length) vcpu.goTo(at + 1, times);
    return undefined;
  }
  if (interrupts) return 'wait';
  vm.haltedCpus.add(vcpu.id);
  if (!host.config.haltDetection || !sameCpus(vm.haltedCpus, vm.activeCpus)) return 'nmi';
  vm.haltedCpus.delete(vcpu.id);
  suspendVm(host, vm, vm_suspend_how.VM_SUSPEND_HALT);
  return undefined;
}

/** Takes an NMI or an interrupt that waits. @returns whether there was one. */
function takeEvent(vcpu: Vcpu, interrupts: boolean): boolean {
  if (vcpu.nmiPending) {
    vcpu.nmiPending = false;
    vcpu.stats.add('VCPU_NMI_COUNT');
    return true;
  }
  if (!interrupts || !vcpu.lapic.pending) return false;
  vcpu.lapic.take();
  return true;
}

function invalid(message: string): SystemError {
  return new SystemError('EINVAL', { syscall: 'ioctl', message });
}
