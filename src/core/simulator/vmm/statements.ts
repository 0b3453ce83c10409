/**
 * The lines of a program for a simulated vCPU, as a table: how each is written, and what it does. program.ts has the
 * grammar as a whole.
 *
 * A line is an exit that VM_RUN gives back, in order; whether a kernel would have handled it by itself is not looked at. What
 * a vCPU does inside the kernel are the lines `wait`, `spin` and `suspend`.
 */

import { VM_PROT_EXECUTE, VM_PROT_READ, VM_PROT_WRITE } from '../../abi/vmm.js';
import {
  vm_exit_u_bpt,
  vm_exit_u_dbg,
  vm_exit_u_hlt,
  vm_exit_u_ioapic_eoi,
  vm_exit_u_ipi,
  vm_exit_u_msr,
  vm_exit_u_paging,
  vm_exit_u_spinup_ap,
  vm_exit_u_svm,
  vm_exit_u_vmx,
} from '../../abi/vmm-exit.js';
import {
  task_switch_reason,
  vm_exitcode,
  vm_reg_name,
  vm_suspend_how,
} from '../../abi/vmm-machine.js';
import { cpusetOf } from './cpuset.js';
import { guestPaging, lowBytes, taskSwitchExit } from './exits.js';
import { IO_STATEMENTS, MAX_GPA } from './io-statements.js';
import type { Registers } from './registers.js';
import { cpuList, hexBytes } from './statement-words.js';
import type { Statement } from './step.js';

const NO_BYTES = new Uint8Array(0);
const nothing = () => NO_BYTES;
const MAX_CODE = 0x7fffffff;

const PROTECTIONS = { read: VM_PROT_READ, write: VM_PROT_WRITE, execute: VM_PROT_EXECUTE };
const REASONS = {
  call: task_switch_reason.TSR_CALL,
  iret: task_switch_reason.TSR_IRET,
  jmp: task_switch_reason.TSR_JMP,
  gate: task_switch_reason.TSR_IDT_GATE,
};
/** Delivery modes of the local APIC. Source: Intel's Software Developer's Manual, volume 3, interrupt command register. */
const DELIVERY_MODES = {
  fixed: 0x000,
  lowest: 0x100,
  smi: 0x200,
  nmi: 0x400,
  init: 0x500,
  startup: 0x600,
};
/** Without VM_SUSPEND_DESTROY, which only the host says. */
const SUSPEND_REASONS = {
  reset: vm_suspend_how.VM_SUSPEND_RESET,
  poweroff: vm_suspend_how.VM_SUSPEND_POWEROFF,
  halt: vm_suspend_how.VM_SUSPEND_HALT,
  triplefault: vm_suspend_how.VM_SUSPEND_TRIPLEFAULT,
};

const { VM_REG_GUEST_RAX, VM_REG_GUEST_RCX, VM_REG_GUEST_RDX } = vm_reg_name;

/** An exit that carries nothing. */
function plain(code: number, length: number): Statement {
  return { usage: '', parse: () => ({ kind: 'exit', code, length, u: nothing }) };
}

const PAGING: Statement = {
  usage: 'GPA read|write|execute',
  parse: (words) => {
    const gpa = words.long('GPA', MAX_GPA);
    const fault_type = words.choice('the access', PROTECTIONS);
    const u = vm_exit_u_paging.encode({ gpa, fault_type });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_PAGING, length: 0, u: () => u };
  },
};

const RDMSR: Statement = {
  usage: 'CODE',
  parse: (words) => {
    const code = words.int('CODE');
    const u = (registers: Registers) => {
      registers.set(VM_REG_GUEST_RCX, BigInt(code));
      return vm_exit_u_msr.encode({ code });
    };
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_RDMSR, length: 2, u };
  },
};

const WRMSR: Statement = {
  usage: 'CODE VALUE',
  parse: (words) => {
    const code = words.int('CODE');
    const wval = words.long('VALUE');
    const u = (registers: Registers) => {
      registers.set(VM_REG_GUEST_RCX, BigInt(code));
      registers.set(VM_REG_GUEST_RAX, lowBytes(wval, 4));
      registers.set(VM_REG_GUEST_RDX, wval >> 32n);
      return vm_exit_u_msr.encode({ code, wval });
    };
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_WRMSR, length: 2, u };
  },
};

const HLT: Statement = {
  usage: '',
  parse: () => {
    const u = (registers: Registers) =>
      vm_exit_u_hlt.encode({ rflags: registers.get(vm_reg_name.VM_REG_GUEST_RFLAGS) });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_HLT, length: 1, u };
  },
};

const IPI: Statement = {
  usage: 'MODE VECTOR CPUS',
  parse: (words) => {
    const mode = words.choice('MODE', DELIVERY_MODES);
    const vector = words.int('VECTOR', 0xff);
    const cpus = cpusetOf(cpuList(words));
    const u = vm_exit_u_ipi.encode({ mode, vector });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_IPI, length: 2, u: () => u, cpus };
  },
};

const BPT: Statement = {
  usage: '',
  parse: () => {
    const u = vm_exit_u_bpt.encode({ inst_length: 1 });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_BPT, length: 0, u: () => u };
  },
};

const DB: Statement = {
  usage: '',
  parse: () => {
    const u = (registers: Registers) =>
      vm_exit_u_dbg.encode({ trace_trap: 1, paging: guestPaging(registers) });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_DB, length: 0, u };
  },
};

const EOI: Statement = {
  usage: 'VECTOR',
  parse: (words) => {
    const u = vm_exit_u_ioapic_eoi.encode({ vector: words.int('VECTOR', 0xff) });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_IOAPIC_EOI, length: 0, u: () => u };
  },
};

const SPINUP_AP: Statement = {
  usage: 'VCPU RIP',
  parse: (words) => {
    const u = vm_exit_u_spinup_ap.encode({ vcpu: words.int('VCPU', 1023), rip: words.long('RIP') });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_SPINUP_AP, length: 0, u: () => u };
  },
};

const TASK_SWITCH: Statement = {
  usage: 'SELECTOR call|iret|jmp|gate',
  parse: (words) => {
    const tsssel = words.int('SELECTOR', 0xffff);
    const reason = words.choice('the reason', REASONS);
    const u = (registers: Registers) => taskSwitchExit(tsssel, reason, registers);
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_TASK_SWITCH, length: 0, u };
  },
};

const VMX: Statement = {
  usage: 'REASON [QUALIFICATION]',
  parse: (words) => {
    const exit_reason = words.int('REASON');
    const exit_qualification = words.optional(() => words.long('QUALIFICATION'), 0n);
    const u = vm_exit_u_vmx.encode({ exit_reason, exit_qualification });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_VMX, length: 0, u: () => u };
  },
};

const SVM: Statement = {
  usage: 'CODE [INFO1 [INFO2]]',
  parse: (words) => {
    const exitcode = words.long('CODE');
    const exitinfo1 = words.optional(() => words.long('INFO1'), 0n);
    const exitinfo2 = words.optional(() => words.long('INFO2'), 0n);
    const u = vm_exit_u_svm.encode({ exitcode, exitinfo1, exitinfo2 });
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_SVM, length: 0, u: () => u };
  },
};

const EXIT: Statement = {
  usage: 'CODE [LENGTH [HEX]]',
  parse: (words) => {
    const code = words.int('CODE', MAX_CODE);
    const length = words.optional(() => words.int('LENGTH', 15), 0);
    const u = words.optional(() => hexBytes(words), NO_BYTES);
    return { kind: 'exit', code, length, u: () => u };
  },
};

const SUSPEND: Statement = {
  usage: 'reset|poweroff|halt|triplefault',
  parse: (words) => {
    return { kind: 'suspend', length: 0, how: words.choice('the reason', SUSPEND_REASONS) };
  },
};

const WAIT: Statement = {
  usage: '[nmi]',
  parse: (words) => {
    const interrupts = words.optional(() => words.choice('what to wait for', { nmi: false }), true);
    return { kind: 'wait', length: 1, interrupts };
  },
};

/** By the word that a line begins with. */
export const STATEMENTS: Readonly<Record<string, Statement>> = {
  ...IO_STATEMENTS,
  paging: PAGING,
  rdmsr: RDMSR,
  wrmsr: WRMSR,
  hlt: HLT,
  ipi: IPI,
  bpt: BPT,
  db: DB,
  eoi: EOI,
  spinup_ap: SPINUP_AP,
  task_switch: TASK_SWITCH,
  vmx: VMX,
  svm: SVM,
  mtrap: plain(vm_exitcode.VM_EXITCODE_MTRAP, 0),
  pause: plain(vm_exitcode.VM_EXITCODE_PAUSE, 2),
  monitor: plain(vm_exitcode.VM_EXITCODE_MONITOR, 3),
  mwait: plain(vm_exitcode.VM_EXITCODE_MWAIT, 3),
  vminsn: plain(vm_exitcode.VM_EXITCODE_VMINSN, 3),
  rendezvous: plain(vm_exitcode.VM_EXITCODE_RENDEZVOUS, 0),
  bogus: plain(vm_exitcode.VM_EXITCODE_BOGUS, 0),
  reqidle: plain(vm_exitcode.VM_EXITCODE_REQIDLE, 0),
  debug: plain(vm_exitcode.VM_EXITCODE_DEBUG, 0),
  exit: EXIT,
  suspend: SUSPEND,
  wait: WAIT,
  spin: { usage: '', parse: () => ({ kind: 'spin', length: 0 }) },
};
