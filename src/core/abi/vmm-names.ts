/** The names of bhyve's enumerations by number, without what all of an enumeration have before them. */
import {
  task_switch_reason,
  vm_cpu_mode,
  vm_exitcode,
  vm_paging_mode,
  vm_reg_name,
  vm_suspend_how,
} from './vmm-machine.js';

function names(enumeration: Readonly<Record<string, number>>, prefix: string): readonly string[] {
  return Object.entries(enumeration)
    .sort(([, a], [, b]) => a - b)
    .map(([name]) => name.slice(prefix.length));
}

/** `INOUT` of VM_EXITCODE_INOUT. */
export const EXIT_NAMES = names(vm_exitcode, 'VM_EXITCODE_');
/** `POWEROFF` of VM_SUSPEND_POWEROFF. */
export const SUSPEND_NAMES = names(vm_suspend_how, 'VM_SUSPEND_');
export const CPU_MODE_NAMES = names(vm_cpu_mode, 'CPU_MODE_');
export const PAGING_MODE_NAMES = names(vm_paging_mode, 'PAGING_MODE_');
export const TASK_SWITCH_NAMES = names(task_switch_reason, 'TSR_');
/** `RAX` of VM_REG_GUEST_RAX. */
export const REGISTER_NAMES = names(vm_reg_name, 'VM_REG_GUEST_').slice(0, vm_reg_name.VM_REG_LAST);
/** Capabilities by VM_CAP_*, as libvmmapi names them and bhyvectl(8) takes them. */
export const CAPABILITY_NAMES = [
  'hlt_exit',
  'mtrap_exit',
  'pause_exit',
  'unrestricted_guest',
  'enable_invpcid',
  'bpt_exit',
  'rdpid',
  'rdtscp',
  'ipi_exit',
  'mask_hwintr',
  'rflags_tf',
] as const;

/** Why a VM is suspended, as commands show it: `poweroff`; null for NONE, and for what is no reason. */
export function suspendReason(how: number): string | null {
  if (how <= vm_suspend_how.VM_SUSPEND_NONE || how >= vm_suspend_how.VM_SUSPEND_LAST) return null;
  return SUSPEND_NAMES[how]?.toLowerCase() ?? null;
}
