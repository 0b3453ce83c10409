/** /dev/vmm/NAME: one VM. Follows vmmdev_ioctl() in FreeBSD's sys/dev/vmm/vmm_dev.c. */
import { SystemError } from '../../abi/errno.js';
import {
  type Caller,
  type IoctlReply,
  NO_USER_MEMORY,
  type OpenNode,
  PendingIoctl,
  type UserMemory,
} from '../node.js';
import type { VmmConfig } from './config.js';
import { CPU_ROWS, getCpusRow } from './cpu-rows.js';
import { CPUSET_SIZE } from './cpuset.js';
import { DEVICE_ROWS, x2apicStateRow } from './device-rows.js';
import { prepare, type Row, type RowFlag, type Table, table } from './dispatch.js';
import { EVENT_ROWS, lockedEventRows } from './event-rows.js';
import { MEMORY_ROWS_14, MEMORY_ROWS_15 } from './memory-rows.js';
import { perform } from './preconditions.js';
import { REGISTER_ROWS } from './register-rows.js';
import { GROWN_RUN_ROWS, RUN_ROWS } from './run-rows.js';
import { statRows } from './stat-rows.js';
import { reviewState, type Vm } from './vm.js';
import type { VmFile, VmHost } from './vm-file.js';

/**
 * Opens the node of a VM. Once the VM is destroyed an ioctl gives ENXIO, and from the next one on ENOTTY, when devfs has the
 * node back; EBADF after close.
 */
export function openVmNode(host: VmHost, vm: Vm, caller: Caller): OpenNode {
  return new VmNode({ host, vm, caller });
}

class VmNode implements OpenNode {
  readonly #file: VmFile;
  readonly #ioctls: Table<VmFile>;
  readonly #pending = new Set<PendingIoctl>();
  #isOpen = true;
  /** Whether the node is known to be gone. */
  #reclaimed = false;

  constructor(file: VmFile) {
    this.#file = file;
    this.#ioctls = vmNodeIoctls(file.host.config);
  }

  ioctl(
    request: number,
    argument: Uint8Array | number,
    memory: UserMemory = NO_USER_MEMORY,
  ): IoctlReply | PendingIoctl {
    if (!this.#isOpen) throw new SystemError('EBADF', { syscall: 'ioctl' });
    const { vm } = this.#file;
    if (vm.state === 'destroying') throw this.#gone();
    try {
      const { entry, call } = prepare(this.#ioctls, this.#file, { request, argument, memory });
      const outcome = perform(entry, call);
      if (outcome instanceof PendingIoctl) this.#keep(outcome);
      return outcome;
    } finally {
      vm.locks.retry();
    }
  }

  close(): void {
    const { host, vm } = this.#file;
    this.#isOpen = false;
    for (const pending of [...this.#pending]) pending.interrupt();
    if (vm.runners.delete(this.#file) && reviewState(vm)) host.changed(vm);
  }

  /** So that it can be interrupted when the node is closed. */
  #keep(pending: PendingIoctl): void {
    for (const other of this.#pending) if (other.finished) this.#pending.delete(other);
    this.#pending.add(pending);
  }

  #gone(): SystemError {
    const code = this.#reclaimed ? 'ENOTTY' : 'ENXIO';
    this.#reclaimed = true;
    return new SystemError(code, { syscall: 'ioctl', message: 'the VM has been destroyed' });
  }
}

/** The rows that are the same in all releases. */
const COMMON: readonly Row<VmFile>[] = [
  ...RUN_ROWS,
  ...CPU_ROWS,
  ...REGISTER_ROWS,
  ...EVENT_ROWS,
  ...DEVICE_ROWS,
];

/** What FreeBSD 15 does with a lock of the vCPU, and 14 without. */
function looseRows(flag: RowFlag): Row<VmFile>[] {
  return [...lockedEventRows(flag), ...statRows(flag), x2apicStateRow(flag)];
}

const ROWS_14 = [...COMMON, ...MEMORY_ROWS_14, ...looseRows('ALLOC_VCPU'), getCpusRow(CPUSET_SIZE)];
const ROWS_15 = [...COMMON, ...MEMORY_ROWS_15, ...looseRows('LOCK_ONE_VCPU'), getCpusRow(1)];

const TABLES = {
  14: { plain: table(ROWS_14), grown: table([...ROWS_14, ...GROWN_RUN_ROWS]) },
  15: { plain: table(ROWS_15), grown: table([...ROWS_15, ...GROWN_RUN_ROWS]) },
};

/**
 * The node's ioctls in a release, with the older forms that it still takes. VM_SNAPSHOT_REQ and VM_RESTORE_TIME take a kernel
 * with an option, and are not there.
 */
export function vmNodeIoctls({
  release,
  grownRun,
}: Pick<VmmConfig, 'release' | 'grownRun'>): Table<VmFile> {
  const tables = TABLES[release === '14' ? 14 : 15];
  return grownRun ? tables.grown : tables.plain;
}
