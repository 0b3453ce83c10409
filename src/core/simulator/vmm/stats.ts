/**
 * What the kernel counts of a vCPU, in the order in which it tells. Descriptions are those of FreeBSD's
 * sys/amd64/vmm/vmm_stat.c; the order of what other modules add is no ABI there either.
 */
import { vm_exitcode } from '../../abi/vmm-machine.js';
import { LVT_COUNT } from './lapic.js';

const DESCRIPTIONS = {
  VCPU_MIGRATIONS: 'vcpu migration across host cpus',
  VMEXIT_COUNT: 'total number of vm exits',
  VMEXIT_EXTINT: 'vm exits due to external interrupt',
  VMEXIT_HLT: 'number of times hlt was intercepted',
  VMEXIT_CR_ACCESS: 'number of times %cr access was intercepted',
  VMEXIT_RDMSR: 'number of times rdmsr was intercepted',
  VMEXIT_WRMSR: 'number of times wrmsr was intercepted',
  VMEXIT_MTRAP: 'number of monitor trap exits',
  VMEXIT_PAUSE: 'number of times pause was intercepted',
  VMEXIT_INTR_WINDOW: 'vm exits due to interrupt window opening',
  VMEXIT_NMI_WINDOW: 'vm exits due to nmi window opening',
  VMEXIT_INOUT: 'number of times in/out was intercepted',
  VMEXIT_CPUID: 'number of times cpuid was intercepted',
  VMEXIT_NESTED_FAULT: 'vm exits due to nested page fault',
  VMEXIT_INST_EMUL: 'vm exits for instruction emulation',
  VMEXIT_UNKNOWN: 'number of vm exits for unknown reason',
  VMEXIT_ASTPENDING: 'number of times astpending at exit',
  VMEXIT_REQIDLE: 'number of times idle requested at exit',
  VMEXIT_USERSPACE: 'number of vm exits handled in userspace',
  VMEXIT_RENDEZVOUS: 'number of times rendezvous pending at exit',
  VMEXIT_EXCEPTION: 'number of vm exits due to exceptions',
  /** Nanoseconds here; ticks of the time-stamp counter there. */
  VCPU_TOTAL_RUNTIME: 'vcpu total runtime',
  /** Milliseconds. */
  VCPU_IDLE_TICKS: 'number of ticks vcpu was idle',
  VCPU_NMI_COUNT: 'number of NMIs delivered to vcpu',
  LVTS_TRIGGERED: 'lvts triggered',
} as const;

export type StatName = keyof typeof DESCRIPTIONS;

/** Counters that are more than one. */
const COUNTS: { readonly [name in StatName]?: number } = { LVTS_TRIGGERED: LVT_COUNT };

const FIRST = {} as Record<StatName, number>;
const TEXTS: string[] = [];
for (const [name, text] of Object.entries(DESCRIPTIONS) as [StatName, string][]) {
  FIRST[name] = TEXTS.length;
  const count = COUNTS[name];
  if (count === undefined) TEXTS.push(text);
  else for (let i = 0; i < count; i++) TEXTS.push(`${text}[${i}]`);
}

/** What each counter counts, by its number. */
export const STAT_DESCRIPTIONS: readonly string[] = TEXTS;

export class Stats {
  readonly #counters = new Float64Array(TEXTS.length);

  /** Counts; `index` is of a counter that is more than one. */
  add(name: StatName, amount = 1, index = 0): void {
    const at = FIRST[name] + index;
    this.#counters[at] = (this.#counters[at] ?? 0) + amount;
  }

  /** All counters from a number on, at most `count`. */
  read(index: number, count: number): bigint[] {
    return Array.from(this.#counters.subarray(index, index + count), (value) => {
      return BigInt(Math.floor(value));
    });
  }
}

/** The counter of an exit's kind. */
export const EXIT_STATS: ReadonlyMap<number, StatName> = new Map<number, StatName>([
  [vm_exitcode.VM_EXITCODE_INOUT, 'VMEXIT_INOUT'],
  [vm_exitcode.VM_EXITCODE_INOUT_STR, 'VMEXIT_INOUT'],
  [vm_exitcode.VM_EXITCODE_VMX, 'VMEXIT_UNKNOWN'],
  [vm_exitcode.VM_EXITCODE_SVM, 'VMEXIT_UNKNOWN'],
  [vm_exitcode.VM_EXITCODE_RDMSR, 'VMEXIT_RDMSR'],
  [vm_exitcode.VM_EXITCODE_WRMSR, 'VMEXIT_WRMSR'],
  [vm_exitcode.VM_EXITCODE_HLT, 'VMEXIT_HLT'],
  [vm_exitcode.VM_EXITCODE_MTRAP, 'VMEXIT_MTRAP'],
  [vm_exitcode.VM_EXITCODE_PAUSE, 'VMEXIT_PAUSE'],
  [vm_exitcode.VM_EXITCODE_PAGING, 'VMEXIT_NESTED_FAULT'],
  [vm_exitcode.VM_EXITCODE_INST_EMUL, 'VMEXIT_INST_EMUL'],
  [vm_exitcode.VM_EXITCODE_BOGUS, 'VMEXIT_ASTPENDING'],
  [vm_exitcode.VM_EXITCODE_REQIDLE, 'VMEXIT_REQIDLE'],
  [vm_exitcode.VM_EXITCODE_RENDEZVOUS, 'VMEXIT_RENDEZVOUS'],
  [vm_exitcode.VM_EXITCODE_BPT, 'VMEXIT_EXCEPTION'],
  [vm_exitcode.VM_EXITCODE_DB, 'VMEXIT_EXCEPTION'],
]);
