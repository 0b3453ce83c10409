/** The forms that VM_RUN has had: the same call, other bytes. */
import { VM_RUN_GROWN, VMM_IOCTLS, vm_run, vm_run_13, vm_run_grown } from '../abi/vmm.js';
import {
  vm_exit,
  vm_exit_13,
  vm_exit_grown,
  vm_exit_ipi_13,
  vm_exit_ipi_grown,
} from '../abi/vmm-exit.js';
import type { CallOptions, DeviceNode, Pointer } from '../backend/port/node.js';
import { cpusOf, decodeExit } from './exit-decode.js';
import type { Exit } from './exits.js';
import { codeOf } from './explain.js';

/**
 * `13`: of FreeBSD 12 and 13, with the exit in it, and in that a set of 256 CPUs. `15`: of 14 and newer, with pointers to
 * both. `grown`: that of 13 with a set of 1024 CPUs, which no release has.
 */
export const ABI_NAMES = ['13', '15', 'grown'] as const;
export type AbiName = (typeof ABI_NAMES)[number];

/** Bytes of the kernel's own set of CPUs on amd64: 1024 CPUs. */
export const KERNEL_CPUSET_SIZE = 128;

export interface RunOptions extends CallOptions {
  /** Of the caller's set of CPUs, bytes, where it is apart from the exit; the kernel leaves out what does not fit. */
  cpusetSize: number;
}

export interface RunAbi {
  /** `any` of the one that finds out. */
  readonly name: AbiName | 'any';
  /**
   * Runs a vCPU to its next exit.
   * @throws SystemError ENOTTY when the kernel does not know the form; EINVAL when the vCPU is not active, or suspended;
   * EINTR.
   */
  run(node: DeviceNode, vcpu: number, options: RunOptions): Promise<Exit>;
}

export const RUN_ABIS: Readonly<Record<AbiName, RunAbi>> = {
  '13': embedded('13', {
    request: VMM_IOCTLS.VM_RUN_13.number,
    argument: (cpuid) => vm_run_13.encode({ cpuid }),
    exit: { at: vm_run_13.offset('vm_exit'), size: vm_exit_13.size },
    set: { at: vm_exit_13.offset('u') + vm_exit_ipi_13.offset('dmask'), size: 32 },
  }),
  '15': { name: '15', run: runWithPointers },
  grown: embedded('grown', {
    request: VM_RUN_GROWN.number,
    argument: (cpuid) => vm_run_grown.encode({ cpuid }),
    exit: { at: vm_run_grown.offset('vm_exit'), size: vm_exit_grown.size },
    set: { at: vm_exit_grown.offset('u') + vm_exit_ipi_grown.offset('dmask'), size: 128 },
  }),
};

/** The newest form that the kernel knows, which is found out by the first call. */
export function newestAbi(): RunAbi {
  let abi = RUN_ABIS['15'];
  return {
    name: 'any',
    async run(node, vcpu, options) {
      try {
        return await abi.run(node, vcpu, options);
      } catch (error) {
        if (codeOf(error) !== 'ENOTTY' || abi.name === '13') throw error;
      }
      abi = RUN_ABIS['13'];
      return abi.run(node, vcpu, options);
    },
  };
}

async function runWithPointers(
  node: DeviceNode,
  vcpu: number,
  { cpusetSize, signal }: RunOptions,
): Promise<Exit> {
  const exit = new Uint8Array(vm_exit.size);
  const cpuset = new Uint8Array(cpusetSize);
  const pointers: Pointer[] = [{ at: vm_run.offset('vm_exit'), to: exit }];
  // Without room for one the address is NULL, as a program without interest in IPIs has it.
  if (cpusetSize > 0) pointers.push({ at: vm_run.offset('cpuset'), to: cpuset });
  const argument = vm_run.encode({ cpuid: vcpu, cpusetsize: BigInt(cpusetSize) });
  const options = { blocks: true, pointers, signal };
  await node.ioctl(VMM_IOCTLS.VM_RUN.number, argument, options);
  const record = decodeExit(vcpu, exit, cpusOf(cpuset));
  const raw = [{ name: 'vm_exit', bytes: exit }];
  // Other exits leave the set as it is.
  if (record.exit === 'IPI') raw.push({ name: 'cpuset', bytes: cpuset });
  return { record, raw };
}

/** Bytes in other bytes. */
interface Place {
  readonly at: number;
  readonly size: number;
}

/** A form that has the exit in its argument. */
interface Form {
  readonly request: number;
  argument(vcpu: number): Uint8Array<ArrayBuffer>;
  /** In the argument. */
  readonly exit: Place;
  /** The set of CPUs, in the exit. */
  readonly set: Place;
}

function embedded(name: AbiName, form: Form): RunAbi {
  const part = (data: Uint8Array, { at, size }: Place) => data.subarray(at, at + size);
  const run: RunAbi['run'] = async (node, vcpu, { signal }) => {
    const options = { blocks: true, signal };
    const { data } = await node.ioctl(form.request, form.argument(vcpu), options);
    const exit = part(data, form.exit);
    const record = decodeExit(vcpu, exit, cpusOf(part(exit, form.set)));
    return { record, raw: [{ name: 'vm_exit', bytes: exit }] };
  };
  return { name, run };
}
