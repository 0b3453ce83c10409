/** Decodes the exits of KVM's vCPUs. */
import {
  KVM_EXIT,
  KVM_EXIT_IO_OUT,
  KVM_INTERNAL_ERROR,
  KVM_RUN_EXIT,
  KVM_SYSTEM_EVENT,
  kvm_run_eoi,
  kvm_run_ex,
  kvm_run_fail_entry,
  kvm_run_hw,
  kvm_run_hypercall,
  kvm_run_internal,
  kvm_run_io,
  kvm_run_mmio,
  kvm_run_msr,
  kvm_run_notify,
  kvm_run_system_event,
  kvm_run_tpr_access,
  kvmExitName,
} from '../abi/kvm-run.js';
import type { KvmExit } from '../backend/port/kvm.js';
import type { Exit, ExitValue } from './exits.js';

type Fields = Readonly<Record<string, ExitValue>>;
/** Reads the fields of one kind of exit from the union. */
type Arm = (union: Uint8Array, exit: KvmExit) => Fields;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The name of a number in a table of the header, without what all names there begin with; the number if it has none. */
function named(table: Readonly<Record<string, number>>, prefix: string, value: number): ExitValue {
  const name = Object.keys(table).find((key) => table[key] === value);
  return name === undefined ? value : name.slice(prefix.length);
}

const io: Arm = (union, { data }) => {
  const { direction, size, port, count } = kvm_run_io.decode(union);
  const out = direction === KVM_EXIT_IO_OUT;
  return { direction: out ? 'OUT' : 'IN', size, port, count, data: out ? hex(data) : null };
};

const mmio: Arm = (union) => {
  const { phys_addr, data, len, is_write } = kvm_run_mmio.decode(union);
  const written = hex(data.subarray(0, len));
  return { phys_addr, len, is_write: is_write !== 0, data: is_write !== 0 ? written : null };
};

const internalError: Arm = (union) => {
  const { suberror, ndata, data } = kvm_run_internal.decode(union);
  return {
    suberror: named(KVM_INTERNAL_ERROR, 'KVM_INTERNAL_ERROR_', suberror),
    data: data.slice(0, ndata),
  };
};

const systemEvent: Arm = (union) => {
  const { type, ndata, data } = kvm_run_system_event.decode(union);
  return { type: named(KVM_SYSTEM_EVENT, 'KVM_SYSTEM_EVENT_', type), data: data.slice(0, ndata) };
};

const msr: Arm = (union) => {
  const { reason, index, data } = kvm_run_msr.decode(union);
  return { reason, index, data };
};

const hypercall: Arm = (union) => {
  const { nr, args, longmode } = kvm_run_hypercall.decode(union);
  return { nr, args, longmode };
};

const tprAccess: Arm = (union) => ({ is_write: kvm_run_tpr_access.decode(union).is_write !== 0 });

/** The fields of each kind that has some. */
const ARMS: Readonly<Record<number, Arm>> = {
  [KVM_EXIT.KVM_EXIT_UNKNOWN]: (union) => kvm_run_hw.decode(union),
  [KVM_EXIT.KVM_EXIT_EXCEPTION]: (union) => kvm_run_ex.decode(union),
  [KVM_EXIT.KVM_EXIT_IO]: io,
  [KVM_EXIT.KVM_EXIT_HYPERCALL]: hypercall,
  [KVM_EXIT.KVM_EXIT_MMIO]: mmio,
  [KVM_EXIT.KVM_EXIT_FAIL_ENTRY]: (union) => kvm_run_fail_entry.decode(union),
  [KVM_EXIT.KVM_EXIT_TPR_ACCESS]: tprAccess,
  [KVM_EXIT.KVM_EXIT_INTERNAL_ERROR]: internalError,
  [KVM_EXIT.KVM_EXIT_SYSTEM_EVENT]: systemEvent,
  [KVM_EXIT.KVM_EXIT_IOAPIC_EOI]: (union) => kvm_run_eoi.decode(union),
  [KVM_EXIT.KVM_EXIT_X86_RDMSR]: msr,
  [KVM_EXIT.KVM_EXIT_X86_WRMSR]: msr,
  [KVM_EXIT.KVM_EXIT_NOTIFY]: (union) => kvm_run_notify.decode(union),
};

/**
 * An exit as all hypervisors' are shown. Fields have the header's names; data of a guest that writes is hexadecimal, in the
 * order of the bytes, and null where it reads.
 * @throws RangeError when `exit.run` is shorter than struct kvm_run as far as its union.
 */
export function decodeKvmExit(vcpu: number, exit: KvmExit): Exit {
  const { reason, rip, run, data } = exit;
  const fields = ARMS[reason]?.(run.subarray(KVM_RUN_EXIT), exit) ?? {};
  const name = kvmExitName(reason).replace(/^KVM_EXIT_/, '');
  const raw = [{ name: 'kvm_run', bytes: run }];
  return {
    record: { exit: name, vcpu, rip, instLength: null, ...fields },
    raw: data.length === 0 ? raw : [...raw, { name: 'data', bytes: data }],
  };
}

/** Whether the guest waits for bytes after that exit, which the next one brings it. */
export function awaitsAnswer({ reason, run }: KvmExit): boolean {
  const union = run.subarray(KVM_RUN_EXIT);
  if (reason === KVM_EXIT.KVM_EXIT_IO)
    return kvm_run_io.decode(union).direction !== KVM_EXIT_IO_OUT;
  return reason === KVM_EXIT.KVM_EXIT_MMIO && kvm_run_mmio.decode(union).is_write === 0;
}
