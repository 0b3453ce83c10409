/** Names of nodes that CUSE can make. */
import { SystemError } from '../../abi/errno.js';
import { VM_MAX_NAMELEN } from '../../abi/vmmctl.js';

/** The kernel takes any text, also paths that lead out of /dev; `!` would become a slash. */
const COMPONENT = /^[A-Za-z0-9_][A-Za-z0-9_.:@+,=-]*$/;
/** Bytes. */
const MAX_LENGTH = VM_MAX_NAMELEN + 'vmm/'.length;

/** Whether a node can be called so, as a path below /dev. */
export function isNodeName(name: string): boolean {
  return name.length <= MAX_LENGTH && name.split('/').every((part) => COMPONENT.test(part));
}

/** @throws SystemError EINVAL */
export function checkNodeName(name: string): void {
  if (isNodeName(name)) return;
  throw new SystemError('EINVAL', { path: `/dev/${name}`, message: 'no node can have this name' });
}
