/**
 * Who may do what with the VMs of the host. Follows vmm_dev.c of FreeBSD for the checks, jail(8)
 * and security(7) for who sees whom.
 */
import { SystemError } from '../../abi/errno.js';
import { type Caller, hasCapability } from '../node.js';
import { checksPrivileges, type VmmConfig } from './config.js';

/** The group that may open /dev/vmmctl, named vmm. */
export const GID_VMM = 978;

export type Privilege =
  | 'PRIV_VMM_CREATE'
  | 'PRIV_VMM_DESTROY'
  | 'PRIV_SEEOTHERUIDS'
  | 'PRIV_SYSCTL_WRITE'
  | 'PRIV_DRIVER';

/**
 * Whether a caller holds a privilege. Root does, also in a jail: what a jail may do at all is a
 * matter of allow.vmm.
 */
export function holds(caller: Caller, privilege: Privilege): boolean {
  return caller.uid === 0 || hasCapability(caller, privilege);
}

/**
 * Whether a jail is another one or inside of it; everything is inside of the host, whose path is
 * empty.
 */
export function isWithin(jail: string, outer: string): boolean {
  return outer === '' || jail === outer || jail.startsWith(`${outer}/`);
}

/**
 * Whether a caller's jail has allow.vmm. The host always has; a jail has no more than the one
 * around it.
 */
export function jailAllowsVmm(caller: Caller, config: VmmConfig): boolean {
  if (caller.jail === '') return true;
  return ![...config.deniedJails].some((denied) => denied !== '' && isWithin(caller.jail, denied));
}

/** Whether a caller sees what belongs to another, as cr_cansee() decides it. */
export function canSee(caller: Caller, owner: Caller, config: VmmConfig): boolean {
  if (!isWithin(owner.jail, caller.jail)) return false;
  return config.seeOtherUids || caller.uid === owner.uid || holds(caller, 'PRIV_SEEOTHERUIDS');
}

/**
 * @throws SystemError EACCES when the mode of /dev/vmmctl keeps the caller out; EPERM when its jail
 * does.
 */
export function checkControlOpen(caller: Caller, config: VmmConfig): void {
  const inGroup = caller.gid === GID_VMM || caller.groups.includes(GID_VMM);
  if (caller.uid !== 0 && !(checksPrivileges(config.release) && inGroup)) {
    throw new SystemError('EACCES', {
      hint: checksPrivileges(config.release)
        ? 'be root or in the group vmm'
        : 'in this release only root may open the node',
    });
  }
  checkJail(caller, config);
}

/**
 * @throws SystemError EACCES when the mode of /dev/vmm/NAME keeps the caller out; EPERM when its
 * jail does.
 */
export function checkVmOpen(caller: Caller, creator: Caller, config: VmmConfig): void {
  if (!mayOpenVm(caller, creator, config)) throw new SystemError('EACCES');
  checkJail(caller, config);
}

/** Whether the mode of /dev/vmm/NAME lets the caller in: root, and since FreeBSD 15 the VM's owner. */
export function mayOpenVm(caller: Caller, creator: Caller, config: VmmConfig): boolean {
  return caller.uid === 0 || (checksPrivileges(config.release) && caller.uid === creator.uid);
}

/** @throws SystemError EPERM in a jail without allow.vmm. */
export function checkJail(caller: Caller, config: VmmConfig): void {
  if (jailAllowsVmm(caller, config)) return;
  throw new SystemError('EPERM', { message: `the jail ${caller.jail} lacks allow.vmm` });
}

/**
 * May the caller create a VM that stays when its creator is gone?
 * @throws SystemError EPERM when it lacks the privilege, or its jail allow.vmm.
 */
export function checkCreate(caller: Caller, persistent: boolean, config: VmmConfig): void {
  const checked = persistent && checksPrivileges(config.release);
  if (checked && !holds(caller, 'PRIV_VMM_CREATE')) {
    throw new SystemError('EPERM', {
      message: 'only a VM that is destroyed on close may be created without privilege',
      hint: 'create it with destroy-on-close',
    });
  }
  checkJail(caller, config);
}

/**
 * @throws SystemError EPERM when the VM is another user's or another jail's, and the privilege is
 * lacking.
 */
export function checkDestroy(caller: Caller, creator: Caller, config: VmmConfig): void {
  if (!checksPrivileges(config.release)) return;
  if (caller.uid === creator.uid && caller.jail === creator.jail) return;
  if (holds(caller, 'PRIV_VMM_DESTROY')) return;
  throw new SystemError('EPERM', { message: 'the VM belongs to someone else' });
}
