/**
 * Why a virtual CPU of bhyve stopped. Mirrors struct vm_exit and its parts in
 * sys/amd64/include/vmm.h and vmm_instruction_emul.h of FreeBSD 14 and newer; what 13 had otherwise
 * ends in _13. The codes are in vmm-machine.ts, the ioctls that carry exits in vmm.ts.
 *
 * Bit-fields have no place in a layout: the bytes that hold them are one field, and a table beside
 * the struct says where each is.
 */
import { array, bytes, i32, i64, struct, u8, u16, u32, u64 } from './layout.js';

/** The longest instruction, bytes. */
export const VIE_INST_SIZE = 15;

/** Where a bit-field is: its first bit, counted from the start of the struct, and its width. */
export interface BitField {
  readonly bit: number;
  readonly width: number;
}

/**
 * Reads a bit-field of at most 8 bits from the bytes of its struct. @throws RangeError when they
 * are too few.
 */
export function readBits(data: Uint8Array, field: BitField): number {
  const first = field.bit >>> 3;
  const low = data[first];
  if (low === undefined) throw new RangeError(`bit ${field.bit} is beyond ${data.length} bytes`);
  const word = low | ((data[first + 1] ?? 0) << 8);
  return (word >>> (field.bit & 7)) & ((1 << field.width) - 1);
}

export const seg_desc = struct('seg_desc', { base: u64, limit: u32, access: u32 });

export const vm_guest_paging = struct('vm_guest_paging', {
  cr3: u64,
  cpl: i32,
  cpu_mode: u32,
  paging_mode: u32,
});

export const vie_op = struct('vie_op', { op_byte: u8, op_type: u8, op_flags: u16 });

/** A decoded instruction. `prefixes` and `vex` hold the bit-fields that vie_bits lists. */
export const vie = struct('vie', {
  inst: bytes(VIE_INST_SIZE),
  num_valid: u8,
  num_processed: u8,
  prefixes: bytes(5),
  disp_bytes: u8,
  imm_bytes: u8,
  scale: u8,
  vex: u8,
  _sparebytes: bytes(2),
  base_register: i32,
  index_register: i32,
  segment_register: i32,
  displacement: i64,
  immediate: i64,
  decoded: u8,
  _sparebyte: u8,
  op: vie_op,
});

export const vie_bits = {
  addrsize: { bit: 136, width: 4 },
  opsize: { bit: 140, width: 4 },
  rex_w: { bit: 144, width: 1 },
  rex_r: { bit: 145, width: 1 },
  rex_x: { bit: 146, width: 1 },
  rex_b: { bit: 147, width: 1 },
  rex_present: { bit: 148, width: 1 },
  repz_present: { bit: 149, width: 1 },
  repnz_present: { bit: 150, width: 1 },
  opsize_override: { bit: 151, width: 1 },
  addrsize_override: { bit: 152, width: 1 },
  segment_override: { bit: 153, width: 1 },
  mod: { bit: 154, width: 2 },
  reg: { bit: 156, width: 4 },
  rm: { bit: 160, width: 4 },
  ss: { bit: 164, width: 2 },
  vex_present: { bit: 166, width: 1 },
  vex_l: { bit: 167, width: 1 },
  index: { bit: 168, width: 4 },
  base: { bit: 172, width: 4 },
  vex_reg: { bit: 200, width: 4 },
  vex_pp: { bit: 204, width: 2 },
  _sparebits: { bit: 206, width: 2 },
} as const satisfies Record<string, BitField>;

/** VM_EXITCODE_INOUT. `access` holds the bit-fields that vm_inout_bits lists. */
export const vm_inout = struct('vm_inout', { access: u16, port: u16, eax: u32 });

export const vm_inout_bits = {
  bytes: { bit: 0, width: 3 },
  in: { bit: 3, width: 1 },
  string: { bit: 4, width: 1 },
  rep: { bit: 5, width: 1 },
} as const satisfies Record<string, BitField>;

/** VM_EXITCODE_INOUT_STR. */
export const vm_inout_str = struct('vm_inout_str', {
  inout: vm_inout,
  paging: vm_guest_paging,
  rflags: u64,
  cr0: u64,
  index: u64,
  count: u64,
  addrsize: i32,
  seg_name: u32,
  seg_desc: seg_desc,
});

/** VM_EXITCODE_TASK_SWITCH. */
export const vm_task_switch = struct('vm_task_switch', {
  tsssel: u16,
  ext: i32,
  errcode: u32,
  errcode_valid: i32,
  reason: u32,
  paging: vm_guest_paging,
});

/** VM_EXITCODE_PAGING. */
export const vm_exit_u_paging = struct('vm_exit_u_paging', { gpa: u64, fault_type: i32 });

/** VM_EXITCODE_INST_EMUL. */
export const vm_exit_u_inst_emul = struct('vm_exit_u_inst_emul', {
  gpa: u64,
  gla: u64,
  cs_base: u64,
  cs_d: i32,
  paging: vm_guest_paging,
  vie: vie,
});

/** VM_EXITCODE_VMX. */
export const vm_exit_u_vmx = struct('vm_exit_u_vmx', {
  status: i32,
  exit_reason: u32,
  exit_qualification: u64,
  inst_type: i32,
  inst_error: i32,
});

/** VM_EXITCODE_SVM. */
export const vm_exit_u_svm = struct('vm_exit_u_svm', {
  exitcode: u64,
  exitinfo1: u64,
  exitinfo2: u64,
});

/** VM_EXITCODE_BPT. */
export const vm_exit_u_bpt = struct('vm_exit_u_bpt', { inst_length: i32 });

/** VM_EXITCODE_DB. */
export const vm_exit_u_dbg = struct('vm_exit_u_dbg', {
  trace_trap: i32,
  pushf_intercept: i32,
  tf_shadow_val: i32,
  paging: vm_guest_paging,
});

/** VM_EXITCODE_RDMSR and VM_EXITCODE_WRMSR. */
export const vm_exit_u_msr = struct('vm_exit_u_msr', { code: u32, wval: u64 });

/** VM_EXITCODE_SPINUP_AP. */
export const vm_exit_u_spinup_ap = struct('vm_exit_u_spinup_ap', { vcpu: i32, rip: u64 });

/** VM_EXITCODE_HLT. */
export const vm_exit_u_hlt = struct('vm_exit_u_hlt', { rflags: u64, intr_status: u64 });

/** VM_EXITCODE_IOAPIC_EOI. */
export const vm_exit_u_ioapic_eoi = struct('vm_exit_u_ioapic_eoi', { vector: i32 });

/** VM_EXITCODE_SUSPENDED. */
export const vm_exit_u_suspended = struct('vm_exit_u_suspended', { how: u32 });

/** VM_EXITCODE_IPI. The set of target CPUs goes through vm_run. */
export const vm_exit_u_ipi = struct('vm_exit_u_ipi', { mode: u32, vector: u8 });

/** VM_EXITCODE_IPI in FreeBSD 13.2, with the set of target CPUs in it. */
export const vm_exit_ipi_13 = struct('vm_exit_ipi_13', {
  mode: u32,
  vector: u8,
  dmask: array(u64, 4),
});

/** Bytes of the union in vm_exit. */
export const VM_EXIT_UNION_SIZE = vm_exit_u_inst_emul.size;

/** An exit. `u` is one of the structs above, by `exitcode`. */
export const vm_exit = struct('vm_exit', {
  exitcode: i32,
  inst_length: i32,
  rip: u64,
  u: bytes(VM_EXIT_UNION_SIZE),
});

/** An exit as the compatibility code for FreeBSD 13 sees it. */
export const vm_exit_13 = struct('vm_exit_13', {
  exitcode: u32,
  inst_length: i32,
  rip: u64,
  u: array(u64, 15),
});

/**
 * VM_EXITCODE_IPI as it would have become with a set of 1024 CPUs in it. No release has it: it is the break that FreeBSD's
 * report 271330 describes, computed.
 */
export const vm_exit_ipi_grown = struct('vm_exit_ipi_grown', {
  mode: u32,
  vector: u8,
  dmask: array(u64, 16),
});

/** An exit in that form: the longest arm makes the union, and all that has it in it, longer. */
export const vm_exit_grown = struct('vm_exit_grown', {
  exitcode: i32,
  inst_length: i32,
  rip: u64,
  u: bytes(vm_exit_ipi_grown.size),
});
