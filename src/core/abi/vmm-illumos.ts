/**
 * What tells illumos' /dev/vmmctl from FreeBSD's, which has the same path and other ioctls. Mirrors
 * usr/src/uts/intel/sys/vmm_dev.h of illumos. Nothing else of it is spoken here.
 */

/** Its numbers have neither size nor direction: `V`, `M` and a number. */
const VMMCTL_IOC_BASE = 0x564d00;

/** Takes nothing; the result is the interface's version, from 1. It changes nothing. */
export const VMM_INTERFACE_VERSION = VMMCTL_IOC_BASE | 0x04;
