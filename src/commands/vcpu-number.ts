/** Numbers of vCPUs on command lines. */

/** The fields of a topology have 16 bits, and a kernel gives a VM at most 0xfffe vCPUs. */
export const LAST_VCPU = 0xfffd;
