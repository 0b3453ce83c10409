/** A VM whose vCPUs run programs, for tests of the simulated vmm. */
import { SystemError } from '../../src/core/abi/errno.js';
import {
  VM_RUN_GROWN,
  VMM_IOCTLS,
  vm_activate_cpu,
  vm_cpuset,
  vm_run,
  vm_run_13,
  vm_run_grown,
  vm_suspend,
} from '../../src/core/abi/vmm.js';
import { vm_exit } from '../../src/core/abi/vmm-exit.js';
import { SentMemory, type SentRange } from '../../src/core/daemon/user-memory.js';
import type { VirtualClock } from '../../src/core/simulator/clock.js';
import {
  type Caller,
  type IoctlOutcome,
  type IoctlReply,
  PendingIoctl,
  ROOT,
} from '../../src/core/simulator/node.js';
import type { VmmConfig } from '../../src/core/simulator/vmm/config.js';
import { promptly } from './promptly.js';
import { vmmHost } from './vmm.js';

/** Addresses of the memory that the helpers send along. */
export const EXIT_AT = 0x1000n;
export const CPUSET_AT = 0x8000n;

/** A call of VM_RUN, and the memory of who made it. */
export interface RunCall {
  readonly outcome: IoctlReply | PendingIoctl;
  readonly exit: Uint8Array;
  readonly cpuset: Uint8Array;
}

/** Memory at addresses; what is written there is seen in the arrays. */
export function memoryAt(...ranges: SentRange[]): SentMemory {
  return new SentMemory(ranges);
}

/** Opens the node of a new VM `a`. */
export function vcpuLab(change: Partial<VmmConfig> = {}, caller: Caller = ROOT) {
  const vmm = vmmHost(change);
  const vm = vmm.create('a', 'persistent', caller);
  const open = () => vmm.openVm('a', caller, 'rw');
  const node = open();
  const call = (request: number, argument: Uint8Array | number, ...ranges: SentRange[]) =>
    node.ioctl(request, argument, memoryAt(...ranges));
  const lab = {
    vmm,
    vm,
    open,
    node,
    clock: vmm.clock as VirtualClock,
    call,
    /** An ioctl that does not wait; what it copies out. */
    ask: (request: number, argument: Uint8Array | number, ...ranges: SentRange[]): Uint8Array =>
      promptly(call(request, argument, ...ranges)).data ?? new Uint8Array(0),
    activate: (...cpus: number[]) => {
      for (const vcpuid of cpus) {
        promptly(call(VMM_IOCTLS.VM_ACTIVATE_CPU.number, vm_activate_cpu.encode({ vcpuid })));
      }
    },
    program: (text: string | null, vcpu = 0) => vmm.setProgram(vm, vcpu, text),
    suspend: (how: number) =>
      promptly(call(VMM_IOCTLS.VM_SUSPEND.number, vm_suspend.encode({ how }))),
    reinit: () => call(VMM_IOCTLS.VM_REINIT.number, 0),
    /** VM_SUSPEND_CPU or VM_RESUME_CPU. */
    pause: (vcpuid: number) =>
      promptly(call(VMM_IOCTLS.VM_SUSPEND_CPU.number, vm_activate_cpu.encode({ vcpuid }))),
    resume: (vcpuid: number) =>
      promptly(call(VMM_IOCTLS.VM_RESUME_CPU.number, vm_activate_cpu.encode({ vcpuid }))),
    cpus: (which: number, cpusetsize = 128) => {
      const bytes = new Uint8Array(cpusetsize);
      const argument = vm_cpuset.encode({ which, cpusetsize, cpus: CPUSET_AT });
      promptly(call(VMM_IOCTLS.VM_GET_CPUS.number, argument, { address: CPUSET_AT, bytes }));
      return cpusIn(bytes);
    },
    /** VM_RUN with pointers. */
    start: (cpuid = 0, room = 128): RunCall => {
      const exit = new Uint8Array(vm_exit.size);
      const cpuset = new Uint8Array(room).fill(0xee);
      const argument = vm_run.encode({
        cpuid,
        cpuset: CPUSET_AT,
        cpusetsize: BigInt(room),
        vm_exit: EXIT_AT,
      });
      const ranges = [
        { address: EXIT_AT, bytes: exit },
        { address: CPUSET_AT, bytes: cpuset },
      ];
      return { outcome: call(VMM_IOCTLS.VM_RUN.number, argument, ...ranges), exit, cpuset };
    },
    /** The same, decoded, of a call that does not wait. */
    run: (cpuid = 0) => {
      const { outcome, exit } = lab.start(cpuid);
      promptly(outcome);
      return vm_exit.decode(exit);
    },
    /** The argument as VM_RUN_13 leaves it. */
    run13: (cpuid = 0) => lab.ask(VMM_IOCTLS.VM_RUN_13.number, vm_run_13.encode({ cpuid })),
    runGrown: (cpuid = 0) => lab.ask(VM_RUN_GROWN.number, vm_run_grown.encode({ cpuid })),
  };
  return lab;
}

/** The exit of a VM_RUN that waited, and has ended. */
export function exitOf({ outcome, exit }: RunCall) {
  const end = outcomeOf(outcome);
  if (end instanceof SystemError) throw end;
  return vm_exit.decode(exit);
}

/** How a call has ended. @throws Error when it still waits. */
export function outcomeOf(call: IoctlReply | PendingIoctl): IoctlOutcome {
  if (!(call instanceof PendingIoctl)) return call;
  let end: IoctlOutcome | undefined;
  call.onFinish((outcome) => {
    end = outcome;
  });
  if (end === undefined) throw new Error('the call still waits');
  return end;
}

export function waits(call: IoctlReply | PendingIoctl): boolean {
  return call instanceof PendingIoctl && !call.finished;
}

/** Numbers of the CPUs in a set. */
export function cpusIn(bytes: Uint8Array): number[] {
  const cpus: number[] = [];
  for (let cpu = 0; cpu < bytes.length * 8; cpu++) {
    if (((bytes[cpu >>> 3] ?? 0) & (1 << (cpu & 7))) !== 0) cpus.push(cpu);
  }
  return cpus;
}
