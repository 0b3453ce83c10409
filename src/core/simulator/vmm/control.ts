/**
 * /dev/vmmctl: creates and destroys VMs. Follows vmmctl_ioctl() in FreeBSD's sys/dev/vmm/vmm_dev.c.
 */
import { SystemError } from '../../abi/errno.js';
import {
  VMMCTL_CREATE_DESTROY_ON_CLOSE,
  VMMCTL_DRAFT_CREATE_PERSISTENT,
  VMMCTL_IOCTLS,
} from '../../abi/vmmctl.js';
import type { Access, Caller, PromptNode } from '../node.js';
import { checkControlOpen } from './access.js';
import type { VmmConfig } from './config.js';
import { dispatch, row, type Table, table } from './dispatch.js';
import { takeName } from './names.js';
import type { Vm, VmLifetime } from './vm.js';

/** What the node needs of the registry of VMs. */
export interface ControlHost {
  readonly config: VmmConfig;
  create(name: string, lifetime: VmLifetime, caller: Caller): Vm;
  destroyByName(name: string, caller: Caller): void;
  destroy(vm: Vm): void;
}

/** One open file description, with the VMs that end with it. */
interface ControlFile {
  readonly host: ControlHost;
  readonly caller: Caller;
  readonly destroyOnClose: Vm[];
}

/**
 * Opens the node. An ioctl after close gives EBADF.
 * @throws SystemError EACCES by the node's mode; EPERM in a jail without allow.vmm, or without
 * write access.
 */
export function openControl(host: ControlHost, caller: Caller, access: Access): PromptNode {
  checkControlOpen(caller, host.config);
  if (access === 'r') {
    throw new SystemError('EPERM', {
      syscall: 'open',
      message: 'the node has to be opened for writing',
    });
  }
  const file: ControlFile = { host, caller, destroyOnClose: [] };
  let open = true;
  return {
    ioctl(request, argument) {
      if (!open) throw new SystemError('EBADF', { syscall: 'ioctl' });
      return dispatch(CONTROL_IOCTLS, file, request, argument);
    },
    close() {
      open = false;
      // One that was destroyed in between is gone already, also when another has its name now.
      for (const vm of file.destroyOnClose.splice(0)) host.destroy(vm);
    },
  };
}

/**
 * The node's ioctls. The order of the checks is the kernel's, since it decides which error is seen.
 */
export const CONTROL_IOCTLS: Table<ControlFile> = table<ControlFile>([
  row(VMMCTL_IOCTLS.VMMCTL_VM_CREATE, [], (file: ControlFile, argument) => {
    const { host, caller } = file;
    const { name, field } = takeName(argument.name, host.config.profile);
    checkReserved(argument.reserved);
    const lifetime = lifetimeOf(argument.flags, host.config);
    const vm = host.create(name, lifetime, caller);
    if (lifetime === 'ephemeral') file.destroyOnClose.push(vm);
    return { name: field };
  }),
  row(VMMCTL_IOCTLS.VMMCTL_VM_DESTROY, [], (file: ControlFile, argument) => {
    const { host, caller } = file;
    const { name, field } = takeName(argument.name, host.config.profile);
    checkReserved(argument.reserved);
    host.destroyByName(name, caller);
    return { name: field };
  }),
]);

function checkReserved(reserved: readonly number[]): void {
  if (reserved.some((word) => word !== 0)) {
    throw new SystemError('EINVAL', { message: 'reserved words have to be zero' });
  }
}

/** @throws SystemError EINVAL for a flag that the profile and release don't know. */
function lifetimeOf(flags: number, { profile, release }: VmmConfig): VmLifetime {
  if (profile === 'draft') {
    checkFlags(flags, VMMCTL_DRAFT_CREATE_PERSISTENT);
    return flags === 0 ? 'ephemeral' : 'persistent';
  }
  // 15.0 has a reserved word in the place of the flags.
  checkFlags(flags, release === '15.0' ? 0 : VMMCTL_CREATE_DESTROY_ON_CLOSE);
  return flags === 0 ? 'persistent' : 'ephemeral';
}

function checkFlags(flags: number, known: number): void {
  if ((flags & ~known) === 0) return;
  throw new SystemError('EINVAL', { message: `unknown flags 0x${flags.toString(16)}` });
}
