/** /dev/kvm of this machine, and what was made of it. */
import { SystemError } from '../../../abi/errno.js';
import {
  KVM_API_VERSION,
  KVM_CAPABILITIES,
  KVM_CHECK_EXTENSION,
  KVM_GET_API_VERSION,
  type KvmCapability,
} from '../../../abi/kvm.js';
import type { Libc } from '../../../native/libc.js';
import { check } from '../errors.js';

export const KVM_NODE = '/dev/kvm';
export const KVM_CALL = { syscall: 'ioctl', path: KVM_NODE };

const ENOENT = -2;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;

/** What a VM is made of, and run by. */
const NEEDED: readonly KvmCapability[] = ['KVM_CAP_USER_MEMORY', 'KVM_CAP_IMMEDIATE_EXIT'];

/** What was made so far, and how each is taken back. */
export class Undo {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Takes all back, the last one first; once. */
  all(): void {
    for (const step of this.#steps.splice(0).reverse()) step();
  }
}

/**
 * A descriptor of /dev/kvm.
 * @throws SystemError ENXIO without that node; EACCES, EPERM; EOPNOTSUPP where KVM lacks what we need.
 */
export function openKvm(libc: Libc): number {
  const node = libc.open(KVM_NODE, O_RDWR | O_CLOEXEC, 0);
  if (node === ENOENT) {
    throw new SystemError('ENXIO', {
      message: `this machine has no ${KVM_NODE}`,
      hint: "'vmmctl doctor' says how to get it; or use the simulated host: --backend sim",
    });
  }
  check(node, { syscall: 'open', path: KVM_NODE });
  try {
    checkKvm(libc, node);
    return node;
  } catch (error) {
    libc.close(node);
    throw error;
  }
}

/** @throws SystemError EOPNOTSUPP: registers and the way to begin are those of x86-64. */
export function refuseOtherProcessors(): void {
  if (process.platform === 'linux' && process.arch === 'x64') return;
  throw new SystemError('EOPNOTSUPP', {
    message: `VMs of KVM are made on Linux on x86-64 only, not on ${process.platform}-${process.arch}`,
    hint: 'use the simulated host: --backend sim',
  });
}

function checkKvm(libc: Libc, node: number): void {
  const version = check(libc.ioctl(node, KVM_GET_API_VERSION, 0), KVM_CALL);
  const missing = NEEDED.find(
    (name) => libc.ioctl(node, KVM_CHECK_EXTENSION, KVM_CAPABILITIES[name]) <= 0,
  );
  if (version === KVM_API_VERSION && missing === undefined) return;
  const lack = missing ?? `version ${KVM_API_VERSION} of the interface`;
  throw new SystemError('EOPNOTSUPP', { message: `this machine's KVM has no ${lack}` });
}
