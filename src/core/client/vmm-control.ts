/**
 * What makes and unmakes bhyve's VMs by name: /dev/vmmctl or, on hosts without it (FreeBSD until 14, or a jail
 * that doesn't show it), the sysctls hw.vmm.create and hw.vmm.destroy. Which one is seen by what is there.
 * Source: sys/dev/vmm/vmm_dev.c.
 */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import {
  encodeName,
  VMMCTL_VM_CREATE,
  VMMCTL_VM_DESTROY,
  vmmctl_vm_create,
  vmmctl_vm_destroy,
} from '../abi/vmmctl.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { Machine } from '../backend/port.js';
import { codeOf, explain, isOneOf } from './explain.js';
import { answersAsIllumos, illumosError } from './illumos.js';

const CONTROL_NODE = '/dev/vmmctl';
const SYSCTL_CREATE = 'hw.vmm.create';
const SYSCTL_DESTROY = 'hw.vmm.destroy';

/** What a path or variable says that isn't there, or has nothing behind it. */
const ABSENT: readonly ErrorCode[] = [
  'ENOENT',
  'ENOTDIR',
  'ENXIO',
  'ENODEV',
  'ENOSYS',
  'EOPNOTSUPP',
];

export interface VmControl {
  /** Whether `create` can be given flags; what has none takes 0 only. */
  readonly takesFlags: boolean;
  /** @throws SystemError EEXIST, EPERM, ENOMEM, EINVAL, ENAMETOOLONG, ENXIO as the kernel says. */
  create(name: string, flags: number, options?: CallOptions): Promise<void>;
  /** @throws SystemError EINVAL when there is no such VM, or it is being destroyed; EPERM. */
  destroy(name: string, options?: CallOptions): Promise<void>;
  /** Has the consequences that the kernel gives it: VMs created with destroy-on-close are gone. */
  close(): Promise<void>;
}

/** @throws SystemError EACCES, EPERM; ENXIO where a machine has no vmm(4). */
export async function openControl(machine: Machine, options: CallOptions = {}): Promise<VmControl> {
  const node = await openNode(machine, options);
  if (node !== undefined) return new NodeControl(node);
  if (await hasSysctls(machine)) return new SysctlControl(machine);
  throw noVmm();
}

/** @throws SystemError ENXIO where a machine has no vmm(4). Nothing when it has, whoever may use it. */
export async function requireVmm(machine: Machine): Promise<void> {
  if ((await hasNode(machine)) || (await hasSysctls(machine))) return;
  throw noVmm();
}

async function openNode(machine: Machine, options: CallOptions): Promise<DeviceNode | undefined> {
  try {
    return await machine.open(CONTROL_NODE, { ...options, access: 'rw' });
  } catch (error) {
    if (isOneOf(error, ABSENT)) return undefined;
    throw withHint(error);
  }
}

async function hasNode(machine: Machine): Promise<boolean> {
  try {
    const node = await openNode(machine, {});
    await node?.close();
    return node !== undefined;
  } catch (error) {
    if (isOneOf(error, ['EACCES', 'EPERM', 'EBUSY'])) return true;
    throw error;
  }
}

/** Reading it has no effect. One that may not be read is there. */
async function hasSysctls(machine: Machine): Promise<boolean> {
  try {
    await machine.sysctl(SYSCTL_CREATE);
    return true;
  } catch (error) {
    if (isOneOf(error, ['EACCES', 'EPERM'])) return true;
    if (isOneOf(error, ABSENT)) return false;
    throw error;
  }
}

function noVmm(): SystemError {
  return new SystemError('ENXIO', {
    message: `this machine has neither ${CONTROL_NODE} nor ${SYSCTL_CREATE}`,
    hint: "on FreeBSD load vmm(4): 'kldload vmm'; elsewhere use the simulated host: --backend sim",
  });
}

const OPEN_HINTS: Partial<Record<ErrorCode, string>> = {
  EACCES: 'be root or, on newer releases, in the group vmm',
  EPERM: 'a jail needs the parameter allow.vmm',
};

/** The same error, with what can be done about it unless it says that itself. */
function withHint(error: unknown): unknown {
  if (!(error instanceof SystemError) || error.hint !== undefined) return error;
  const hint = OPEN_HINTS[error.code];
  if (hint === undefined) return error;
  const { code, message, syscall, path, cause } = error;
  return new SystemError(code, { message, syscall, path, cause, hint });
}

class NodeControl implements VmControl {
  readonly takesFlags = true;
  readonly #node: DeviceNode;

  constructor(node: DeviceNode) {
    this.#node = node;
  }

  async create(name: string, flags: number, options: CallOptions = {}): Promise<void> {
    const argument = vmmctl_vm_create.encode({ name: encodeName(name), flags });
    await this.#known(this.#node.ioctl(VMMCTL_VM_CREATE, argument, options));
  }

  async destroy(name: string, options: CallOptions = {}): Promise<void> {
    const argument = vmmctl_vm_destroy.encode({ name: encodeName(name) });
    // It waits for vCPUs to leave the kernel, which one that spins there does late or never.
    const call = this.#node.ioctl(VMMCTL_VM_DESTROY, argument, { ...options, blocks: true });
    await this.#known(call);
  }

  close(): Promise<void> {
    return this.#node.close();
  }

  /** @throws SystemError EOPNOTSUPP when the node is that of illumos, and the call's own. */
  async #known(call: Promise<unknown>): Promise<void> {
    try {
      await call;
    } catch (error) {
      const foreign = codeOf(error) === 'ENOTTY' && (await answersAsIllumos(this.#node));
      throw foreign ? illumosError(error) : error;
    }
  }
}

class SysctlControl implements VmControl {
  readonly takesFlags = false;
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  async create(name: string): Promise<void> {
    try {
      await explain(this.#machine.sysctl(SYSCTL_CREATE, name), NOT_ROOT);
    } catch (error) {
      // Since destroy-on-close it wants an open file, which who writes a sysctl does not have.
      if (codeOf(error) !== 'EBADF') throw error;
      throw new SystemError('EOPNOTSUPP', {
        message: `this kernel makes VMs through ${CONTROL_NODE} only, which is not there`,
        hint: 'in a jail, have devfs(8) show it: add path vmmctl unhide',
        cause: error,
      });
    }
  }

  async destroy(name: string): Promise<void> {
    await explain(this.#machine.sysctl(SYSCTL_DESTROY, name), NOT_ROOT);
  }

  async close(): Promise<void> {}
}

const NOT_ROOT = {
  EPERM: [
    `only root may write ${SYSCTL_CREATE} and ${SYSCTL_DESTROY}`,
    'in a jail, the parameter allow.vmm is needed too',
  ],
} as const;
