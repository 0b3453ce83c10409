/**
 * Which memory of its caller an ioctl of bhyve's nodes has: the argument, of which the request tells the size and the
 * direction, and what some of them point to. Where the numbers make no sense the argument is all that the driver gets to see,
 * which refuses it.
 */
import { IOC_OUT } from '../../abi/freebsd-ioctl.js';
import { VMM_IOCTLS, vm_cpuset, vm_register_set, vm_run } from '../../abi/vmm.js';
import { vm_exit } from '../../abi/vmm-exit.js';
import { vm_reg_name } from '../../abi/vmm-machine.js';
import type { UserRange } from './message.js';
import { freebsdRanges, type RangesOf } from './ranges.js';

interface Buffer {
  readonly range: UserRange;
  /** Whether the host writes to it. It is copied in as well, since what the host leaves stays. */
  readonly fromHost: boolean;
}

/** More than the kernel takes of a set of CPUs in VM_GET_CPUS, bytes. */
const MAX_CPUSET = 128;

const BUFFERS: ReadonlyMap<number, (argument: Uint8Array) => Buffer[]> = new Map([
  [
    VMM_IOCTLS.VM_RUN.number,
    (argument: Uint8Array) => {
      const { cpuset, cpusetsize, vm_exit: exit } = vm_run.decode(argument);
      const set = { base: cpuset, length: Number(cpusetsize) };
      return [written({ base: exit, length: vm_exit.size }), written(set)];
    },
  ],
  [
    VMM_IOCTLS.VM_GET_CPUS.number,
    (argument: Uint8Array) => {
      const { cpus, cpusetsize } = vm_cpuset.decode(argument);
      const known = cpusetsize >= 0 && cpusetsize <= MAX_CPUSET;
      return known ? [written({ base: cpus, length: cpusetsize })] : [];
    },
  ],
  [VMM_IOCTLS.VM_GET_REGISTER_SET.number, (argument: Uint8Array) => registers(argument, true)],
  [VMM_IOCTLS.VM_SET_REGISTER_SET.number, (argument: Uint8Array) => registers(argument, false)],
]);

function written(range: UserRange): Buffer {
  return { range, fromHost: true };
}

function registers(argument: Uint8Array, fromHost: boolean): Buffer[] {
  const { count, regnums, regvals } = vm_register_set.decode(argument);
  if (count > vm_reg_name.VM_REG_LAST) return [];
  return [
    { range: { base: regnums, length: count * 4 }, fromHost: false },
    { range: { base: regvals, length: count * 8 }, fromHost },
  ];
}

/** Ranges of bhyve's ioctls. */
export const vmmRanges: RangesOf = (request, base, copied) => {
  const ranges = freebsdRanges(request, base, copied);
  const [argument] = ranges.into;
  const buffersOf = BUFFERS.get(request >>> 0);
  if (argument === undefined || buffersOf === undefined || copied.length < argument.length) {
    return ranges;
  }
  // Nobody has memory at 0: what is not there is left out, and is EFAULT if it is needed after all.
  const buffers = buffersOf(copied.subarray(0, argument.length)).filter(
    ({ range }) => range.length > 0 && range.base !== 0n,
  );
  const toHost = buffers.map(({ range }) => range);
  const fromHost = buffers.filter((buffer) => buffer.fromHost).map(({ range }) => range);
  return {
    into: [...ranges.into, ...toHost],
    out: [...ranges.out, ...fromHost],
    ...((request & IOC_OUT) === 0 ? { argumentStays: true } : {}),
  };
};
