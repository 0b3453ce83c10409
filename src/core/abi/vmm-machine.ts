/**
 * What a virtual CPU of bhyve is made of, by number. Mirrors the enumerations of
 * sys/amd64/include/vmm.h of FreeBSD 15. The structs of exits are in vmm-exit.ts, the ioctls in
 * vmm.ts.
 */
type Enumeration<Names extends readonly string[]> = { readonly [Name in Names[number]]: number };

/** A C enumeration without values of its own: the names count from zero. */
function enumeration<const Names extends readonly string[]>(...names: Names): Enumeration<Names> {
  return Object.fromEntries(names.map((name, i) => [name, i])) as Enumeration<Names>;
}

/**
 * Why a VM is suspended. VM_SUSPEND_DESTROY came with FreeBSD 15, until then its number was LAST.
 */
export const vm_suspend_how = enumeration(
  'VM_SUSPEND_NONE',
  'VM_SUSPEND_RESET',
  'VM_SUSPEND_POWEROFF',
  'VM_SUSPEND_HALT',
  'VM_SUSPEND_TRIPLEFAULT',
  'VM_SUSPEND_DESTROY',
  'VM_SUSPEND_LAST',
);

/** Registers by number. */
export const vm_reg_name = enumeration(
  'VM_REG_GUEST_RAX',
  'VM_REG_GUEST_RBX',
  'VM_REG_GUEST_RCX',
  'VM_REG_GUEST_RDX',
  'VM_REG_GUEST_RSI',
  'VM_REG_GUEST_RDI',
  'VM_REG_GUEST_RBP',
  'VM_REG_GUEST_R8',
  'VM_REG_GUEST_R9',
  'VM_REG_GUEST_R10',
  'VM_REG_GUEST_R11',
  'VM_REG_GUEST_R12',
  'VM_REG_GUEST_R13',
  'VM_REG_GUEST_R14',
  'VM_REG_GUEST_R15',
  'VM_REG_GUEST_CR0',
  'VM_REG_GUEST_CR3',
  'VM_REG_GUEST_CR4',
  'VM_REG_GUEST_DR7',
  'VM_REG_GUEST_RSP',
  'VM_REG_GUEST_RIP',
  'VM_REG_GUEST_RFLAGS',
  'VM_REG_GUEST_ES',
  'VM_REG_GUEST_CS',
  'VM_REG_GUEST_SS',
  'VM_REG_GUEST_DS',
  'VM_REG_GUEST_FS',
  'VM_REG_GUEST_GS',
  'VM_REG_GUEST_LDTR',
  'VM_REG_GUEST_TR',
  'VM_REG_GUEST_IDTR',
  'VM_REG_GUEST_GDTR',
  'VM_REG_GUEST_EFER',
  'VM_REG_GUEST_CR2',
  'VM_REG_GUEST_PDPTE0',
  'VM_REG_GUEST_PDPTE1',
  'VM_REG_GUEST_PDPTE2',
  'VM_REG_GUEST_PDPTE3',
  'VM_REG_GUEST_INTR_SHADOW',
  'VM_REG_GUEST_DR0',
  'VM_REG_GUEST_DR1',
  'VM_REG_GUEST_DR2',
  'VM_REG_GUEST_DR3',
  'VM_REG_GUEST_DR6',
  'VM_REG_GUEST_ENTRY_INST_LENGTH',
  'VM_REG_GUEST_FS_BASE',
  'VM_REG_GUEST_GS_BASE',
  'VM_REG_GUEST_KGS_BASE',
  'VM_REG_GUEST_TPR',
  'VM_REG_LAST',
);

/** Whether a vCPU may use x2APIC mode. */
export const x2apic_state = enumeration('X2APIC_DISABLED', 'X2APIC_ENABLED', 'X2APIC_STATE_LAST');

/** Capabilities of a vCPU that a program may switch. */
export const vm_cap_type = enumeration(
  'VM_CAP_HALT_EXIT',
  'VM_CAP_MTRAP_EXIT',
  'VM_CAP_PAUSE_EXIT',
  'VM_CAP_UNRESTRICTED_GUEST',
  'VM_CAP_ENABLE_INVPCID',
  'VM_CAP_BPT_EXIT',
  'VM_CAP_RDPID',
  'VM_CAP_RDTSCP',
  'VM_CAP_IPI_EXIT',
  'VM_CAP_MASK_HWINTR',
  'VM_CAP_RFLAGS_TF',
  'VM_CAP_MAX',
);

/** How an interrupt line of the ISA bus is triggered. */
export const vm_intr_trigger = enumeration('EDGE_TRIGGER', 'LEVEL_TRIGGER');

/** Mode of the processor at an exit. */
export const vm_cpu_mode = enumeration(
  'CPU_MODE_REAL',
  'CPU_MODE_PROTECTED',
  'CPU_MODE_COMPATIBILITY',
  'CPU_MODE_64BIT',
);

/** Mode of paging at an exit. */
export const vm_paging_mode = enumeration(
  'PAGING_MODE_FLAT',
  'PAGING_MODE_32',
  'PAGING_MODE_PAE',
  'PAGING_MODE_64',
  'PAGING_MODE_64_LA57',
);

/** What switched the task. */
export const task_switch_reason = enumeration('TSR_CALL', 'TSR_IRET', 'TSR_JMP', 'TSR_IDT_GATE');

/** Why VM_RUN came back. */
export const vm_exitcode = enumeration(
  'VM_EXITCODE_INOUT',
  'VM_EXITCODE_VMX',
  'VM_EXITCODE_BOGUS',
  'VM_EXITCODE_RDMSR',
  'VM_EXITCODE_WRMSR',
  'VM_EXITCODE_HLT',
  'VM_EXITCODE_MTRAP',
  'VM_EXITCODE_PAUSE',
  'VM_EXITCODE_PAGING',
  'VM_EXITCODE_INST_EMUL',
  'VM_EXITCODE_SPINUP_AP',
  'VM_EXITCODE_DEPRECATED1',
  'VM_EXITCODE_RENDEZVOUS',
  'VM_EXITCODE_IOAPIC_EOI',
  'VM_EXITCODE_SUSPENDED',
  'VM_EXITCODE_INOUT_STR',
  'VM_EXITCODE_TASK_SWITCH',
  'VM_EXITCODE_MONITOR',
  'VM_EXITCODE_MWAIT',
  'VM_EXITCODE_SVM',
  'VM_EXITCODE_REQIDLE',
  'VM_EXITCODE_DEBUG',
  'VM_EXITCODE_VMINSN',
  'VM_EXITCODE_BPT',
  'VM_EXITCODE_IPI',
  'VM_EXITCODE_DB',
  'VM_EXITCODE_MAX',
);

/** Bits of an event that waits for injection, in vm_intinfo. */
export const VM_INTINFO_DEL_ERRCODE = 0x800;
export const VM_INTINFO_RSVD = 0x7ffff000;
export const VM_INTINFO_VALID = 0x80000000;
export const VM_INTINFO_TYPE = 0x700;
export const VM_INTINFO_HWINTR = 0 << 8;
export const VM_INTINFO_NMI = 2 << 8;
export const VM_INTINFO_HWEXCEPTION = 3 << 8;
export const VM_INTINFO_SWINTR = 4 << 8;
