/**
 * The node /dev/vmci. Mirrors Linux include/linux/vmw_vmci_defs.h, a header of the kernel alone. Its ioctls have
 * neither direction nor size.
 */
import { struct, u32 } from './layout.js';
import { _IO } from './linux-ioctl.js';

const VMCI_IOCTL_TYPE = 7;

/** The result is the version that this open node speaks. Takes nothing. */
export const IOCTL_VMCI_VERSION = _IO(VMCI_IOCTL_TYPE, 0x9f);
/** Takes a vmci_init_blk, and gives the context that it got. Once for each open node. */
export const IOCTL_VMCI_INIT_CONTEXT = _IO(VMCI_IOCTL_TYPE, 0xa0);
/** Takes the caller's version as an s32; the result is the version that both speak. Only for this open node. */
export const IOCTL_VMCI_VERSION2 = _IO(VMCI_IOCTL_TYPE, 0xa7);

/** Versions are a major number in the upper 16 bits. */
export const VMCI_VERSION_SHIFT_WIDTH = 16;
/** 11.0, the newest: no memory shared between two VMs. */
export const VMCI_VERSION_NOVMVM = 11 << VMCI_VERSION_SHIFT_WIDTH;

export const VMCI_NO_PRIVILEGE_FLAGS = 0;

/** Contexts below this one are not for programs: the hypervisor, the host. */
export const VMCI_RESERVED_CID_LIMIT = 16;
/** No context at all. */
export const VMCI_INVALID_ID = 0xffffffff;

export const vmci_init_blk = struct('vmci_init_blk', { cid: u32, flags: u32 });
