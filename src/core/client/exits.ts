/**
 * Exits of vCPUs as data, whichever hypervisor they come from: those of bhyve are decoded in exit-decode.ts, those of KVM
 * in kvm-exits.ts.
 */

/** Integers of 64 bits are bigint, enumerations names, bytes hexadecimal. */
export type ExitValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly ExitValue[]
  | { readonly [field: string]: ExitValue };

/** What `run --json` prints of an exit: these, and the fields of its kind with the names of the header. */
export interface ExitRecord {
  /** The header's name without what all have before it: `INOUT` of VM_EXITCODE_INOUT, `IO` of KVM_EXIT_IO. */
  readonly exit: string;
  readonly vcpu: number;
  /** Null where the hypervisor does not tell. */
  readonly rip: bigint | null;
  /** Bytes of the instruction; 0 when bhyve does not know them, null where the hypervisor has no such field. */
  readonly instLength: number | null;
  readonly [field: string]: ExitValue;
}

/** Bytes that a call left, for `run --raw`. */
export interface RawPart {
  /** Of the struct: `vm_exit`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Exit {
  readonly record: ExitRecord;
  readonly raw: readonly RawPart[];
}

/** The fields that not every exit has, in their order. */
export function detailsOf(record: ExitRecord): [name: string, value: ExitValue][] {
  return Object.entries(record).filter(([name]) => !COMMON.has(name));
}

const COMMON: ReadonlySet<string> = new Set(['exit', 'vcpu', 'rip', 'instLength']);
