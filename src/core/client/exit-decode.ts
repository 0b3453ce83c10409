/** Decodes struct vm_exit of bhyve on amd64, in the forms that FreeBSD has given it. */
import type { FieldType, Struct } from '../abi/layout.js';
import {
  type BitField,
  readBits,
  vie_bits,
  vm_exit,
  vm_exit_u_bpt,
  vm_exit_u_dbg,
  vm_exit_u_hlt,
  vm_exit_u_inst_emul,
  vm_exit_u_ioapic_eoi,
  vm_exit_u_ipi,
  vm_exit_u_msr,
  vm_exit_u_paging,
  vm_exit_u_spinup_ap,
  vm_exit_u_suspended,
  vm_exit_u_svm,
  vm_exit_u_vmx,
  vm_inout,
  vm_inout_bits,
  vm_inout_str,
  vm_task_switch,
} from '../abi/vmm-exit.js';
import { vm_exitcode } from '../abi/vmm-machine.js';
import {
  CPU_MODE_NAMES,
  EXIT_NAMES,
  PAGING_MODE_NAMES,
  SUSPEND_NAMES,
  TASK_SWITCH_NAMES,
} from '../abi/vmm-names.js';
import type { ExitRecord, ExitValue } from './exits.js';

type Fields = Readonly<Record<string, ExitValue>>;

/** A number that has no name stays one. */
const named = (list: readonly string[], value: number): ExitValue => list[value] ?? value;

/** Of VM_EXITCODE_*, without that; the number in decimal for one that the header does not have. */
export function exitName(exitcode: number): string {
  return EXIT_NAMES[exitcode] ?? String(exitcode);
}

/** The CPUs of a set: bit N of the bytes, counted from the lowest of the first one, is CPU N. */
export function cpusOf(set: Uint8Array): number[] {
  const cpus: number[] = [];
  set.forEach((byte, i) => {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) cpus.push(i * 8 + bit);
  });
  return cpus;
}

/** Reads the fields of one kind of exit from the union. */
type Arm = (u: Uint8Array) => Fields;

const nothing: Arm = () => ({});

/** The fields of a struct as they are; enumerations by their names. */
function plain<F extends Record<string, FieldType<unknown>>>(
  layout: Struct<F>,
  enumerations: Readonly<Record<string, readonly string[]>> = {},
): Arm {
  return (u) => shown(layout.decode(u), enumerations);
}

function shown(
  values: Readonly<Record<string, unknown>>,
  enumerations: Readonly<Record<string, readonly string[]>>,
): Fields {
  const entries = Object.entries(values).map(([name, value]): [string, ExitValue] => {
    const list = enumerations[name];
    if (list !== undefined && typeof value === 'number') return [name, named(list, value)];
    return [name, fieldValue(name, value)];
  });
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith('_')));
}

function fieldValue(name: string, value: unknown): ExitValue {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value !== 'object' || value === null) throw new TypeError(`no field: ${name}`);
  return shown({ ...value }, name === 'paging' ? PAGING : {});
}

const PAGING = { cpu_mode: CPU_MODE_NAMES, paging_mode: PAGING_MODE_NAMES };

/** Bit-fields by name; those of one bit are true or false. */
function bitsOf(data: Uint8Array, fields: Readonly<Record<string, BitField>>): Fields {
  const entries = Object.entries(fields).map(([name, field]): [string, ExitValue] => {
    const value = readBits(data, field);
    return [name, field.width === 1 ? value === 1 : value];
  });
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith('_')));
}

const inout: Arm = (u) => {
  const { port, eax } = vm_inout.decode(u);
  return { ...bitsOf(u, vm_inout_bits), port, eax };
};

const inoutStr: Arm = (u) => {
  const { inout: _access, ...rest } = vm_inout_str.decode(u);
  return { ...inout(u), ...shown(rest, {}) };
};

const instEmul: Arm = (u) => {
  const { vie: instruction, ...rest } = vm_exit_u_inst_emul.decode(u);
  const { prefixes: _prefixes, vex: _vex, ...fields } = instruction;
  const bits = bitsOf(u.subarray(vm_exit_u_inst_emul.offset('vie')), vie_bits);
  return { ...shown(rest, {}), vie: { ...shown(fields, {}), ...bits } };
};

/** Its fields have the names of the exit's own. */
const spinupAp: Arm = (u) => ({ spinup_ap: plain(vm_exit_u_spinup_ap)(u) });

/** The fields of each kind that has some, by its number. */
const ARMS: Readonly<Record<number, Arm>> = {
  [vm_exitcode.VM_EXITCODE_INOUT]: inout,
  [vm_exitcode.VM_EXITCODE_VMX]: plain(vm_exit_u_vmx),
  [vm_exitcode.VM_EXITCODE_RDMSR]: plain(vm_exit_u_msr),
  [vm_exitcode.VM_EXITCODE_WRMSR]: plain(vm_exit_u_msr),
  [vm_exitcode.VM_EXITCODE_HLT]: plain(vm_exit_u_hlt),
  [vm_exitcode.VM_EXITCODE_PAGING]: plain(vm_exit_u_paging),
  [vm_exitcode.VM_EXITCODE_INST_EMUL]: instEmul,
  [vm_exitcode.VM_EXITCODE_SPINUP_AP]: spinupAp,
  [vm_exitcode.VM_EXITCODE_IOAPIC_EOI]: plain(vm_exit_u_ioapic_eoi),
  [vm_exitcode.VM_EXITCODE_SUSPENDED]: plain(vm_exit_u_suspended, { how: SUSPEND_NAMES }),
  [vm_exitcode.VM_EXITCODE_INOUT_STR]: inoutStr,
  [vm_exitcode.VM_EXITCODE_TASK_SWITCH]: plain(vm_task_switch, { reason: TASK_SWITCH_NAMES }),
  [vm_exitcode.VM_EXITCODE_SVM]: plain(vm_exit_u_svm),
  [vm_exitcode.VM_EXITCODE_BPT]: plain(vm_exit_u_bpt),
  [vm_exitcode.VM_EXITCODE_IPI]: plain(vm_exit_u_ipi),
  [vm_exitcode.VM_EXITCODE_DB]: plain(vm_exit_u_dbg),
};

/**
 * Decodes an exit.
 * @param data struct vm_exit of any release: they differ in how long the union is, and in its set of CPUs.
 * @param cpus of an exit by IPI, wherever the release has them.
 * @throws RangeError when `data` is shorter than struct vm_exit.
 */
export function decodeExit(vcpu: number, data: Uint8Array, cpus: readonly number[]): ExitRecord {
  const { exitcode, inst_length, rip } = vm_exit.decode(data);
  const fields = (ARMS[exitcode] ?? nothing)(data.subarray(vm_exit.offset('u')));
  const targets = exitcode === vm_exitcode.VM_EXITCODE_IPI ? { cpus } : {};
  return { exit: exitName(exitcode), vcpu, rip, instLength: inst_length, ...fields, ...targets };
}
