/**
 * VM_RUN in its forms, which differ in how an exit gets to the caller. Follows vmmdev_machdep_ioctl() in FreeBSD's
 * sys/amd64/vmm/vmm_dev_machdep.c.
 */
import type { Ioctl } from '../../abi/freebsd-ioctl.js';
import { VM_RUN_GROWN, VMM_IOCTLS, vm_run, vm_run_13, vm_run_grown } from '../../abi/vmm.js';
import { vm_exit, vm_exit_ipi_13, vm_exit_ipi_grown } from '../../abi/vmm-exit.js';
import { vm_exitcode } from '../../abi/vmm-machine.js';
import type { IoctlReply, UserMemory } from '../node.js';
import { CPUSET_SIZE } from './cpuset.js';
import type { Call, Row } from './dispatch.js';
import { type Exit, writeExit } from './exits.js';
import { runVcpu } from './run.js';
import { refuseRealGuest, reviewState, vcpuOf } from './vm.js';
import type { VmFile } from './vm-file.js';

type CopyOut = (call: Call<VmFile>, exit: Exit) => IoctlReply;

function runRow(ioctl: Ioctl<unknown>, copyOut: CopyOut): Row<VmFile> {
  return {
    ...ioctl,
    flags: ['LOCK_ONE_VCPU'],
    handler: (call) => {
      const { host, vm } = call.context;
      refuseRealGuest(vm, 'on processors of its own');
      const vcpu = vcpuOf(vm, call.view.getInt32(0, true));
      const outcome = runVcpu(host, vm, vcpu, (exit) => copyOut(call, exit));
      noteRunner(call.context);
      return outcome;
    },
  };
}

/** The VM runs as long as whoever runs its vCPUs is there. */
function noteRunner(file: VmFile): void {
  const { host, vm } = file;
  if (vm.runners.has(file)) return;
  vm.runners.add(file);
  if (reviewState(vm)) host.changed(vm);
}

/** Where an exit is put together before it is copied. */
const RECORD_BYTES = new Uint8Array(vm_exit.size);
const RECORD = new DataView(RECORD_BYTES.buffer);

/** Of FreeBSD 14 and newer: the exit and the set of CPUs go where the argument points to. */
const VM_RUN = runRow(VMM_IOCTLS.VM_RUN, (call, exit) => {
  const { cpuset, cpusetsize, vm_exit: to } = vm_run.read(call.view, 0);
  writeExit(exit, RECORD);
  call.memory.write(to, RECORD_BYTES);
  if (exit.code === vm_exitcode.VM_EXITCODE_IPI) {
    copySet(call.memory, cpuset, cpusetsize, exit.cpus);
  }
  return call.reply();
});

/** Bytes that are zeroed at a time. */
const PIECE = new Uint8Array(4096);

/** As many bytes of the set as fit, without a word of those that do not; and zeros where there is more room. */
function copySet(memory: UserMemory, to: bigint, size: bigint, set: Uint8Array): void {
  const kernel = BigInt(CPUSET_SIZE);
  const copied = size < kernel ? size : kernel;
  const whole = cpusetBytes(set);
  memory.write(to, whole.subarray(0, Number(copied)));
  for (let at = copied; at < size; at += BigInt(PIECE.length)) {
    const rest = size - at;
    const length = rest < BigInt(PIECE.length) ? Number(rest) : PIECE.length;
    memory.write(to + at, PIECE.subarray(0, length));
  }
}

/** An exit of the program that names its own bytes has no set; its targets are nobody. */
function cpusetBytes(set: Uint8Array): Uint8Array {
  return set.length === CPUSET_SIZE ? set : new Uint8Array(CPUSET_SIZE);
}

const UNION_AT = vm_exit.offset('u');

/** A form with the exit in its argument; of an IPI that has the set in it, as far as there is room, the rest is dropped. */
function embeddedRow(
  ioctl: Ioctl<unknown>,
  exitAt: number,
  mask: { offset: number; size: number },
) {
  return runRow(ioctl, (call, exit) => {
    const { view } = call;
    const { buffer, byteOffset, byteLength } = view;
    writeExit(exit, new DataView(buffer, byteOffset + exitAt, byteLength - exitAt));
    if (exit.code === vm_exitcode.VM_EXITCODE_IPI) {
      const set = new Uint8Array(buffer, byteOffset + exitAt + UNION_AT + mask.offset, mask.size);
      set.set(cpusetBytes(exit.cpus).subarray(0, mask.size));
    }
    return call.reply();
  });
}

/** Of FreeBSD 12 and 13, with room for 256 CPUs. */
const VM_RUN_13 = embeddedRow(VMM_IOCTLS.VM_RUN_13, vm_run_13.offset('vm_exit'), {
  offset: vm_exit_ipi_13.offset('dmask'),
  size: 32,
});

/** Of no release: that of 13 with room for 1024 CPUs. */
const GROWN = embeddedRow(VM_RUN_GROWN, vm_run_grown.offset('vm_exit'), {
  offset: vm_exit_ipi_grown.offset('dmask'),
  size: CPUSET_SIZE,
});

export const RUN_ROWS: readonly Row<VmFile>[] = [VM_RUN, VM_RUN_13];
export const GROWN_RUN_ROWS: readonly Row<VmFile>[] = [GROWN];
