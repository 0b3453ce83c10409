/** What can be set of the simulated vmm(4): which kernel it is like, and the limits of its host. */
import {
  VM_MAX_MEMMAPS,
  VM_MAX_MEMMAPS_14,
  VM_MAX_MEMSEGS,
  VM_MAX_MEMSEGS_14,
} from '../../abi/vmm.js';

/**
 * `landed` is what FreeBSD releases have. `draft` is the interface as first put up for review
 * (D31325): a VM is destroyed at the last close of its creating descriptor unless a flag says
 * otherwise, and a name without a terminator is refused instead of cut.
 */
export type VmmProfile = 'landed' | 'draft';

/**
 * Which kernel: `14` has the sysctls and no /dev/vmmctl, and fewer memory segments; `15.0` has the
 * node without flags and lets only root in; `2025-11` (main of that month) adds destroy-on-close;
 * `2026-02` adds the group vmm and the privileges PRIV_VMM_CREATE and PRIV_VMM_DESTROY. The profile
 * `draft` has its own flags, with the permissions of the release.
 */
export type VmmRelease = '14' | '15.0' | '2025-11' | '2026-02';

/** The vmms that a host can be told to have, by name. */
export const VMM_PROFILES = {
  landed: { profile: 'landed', release: '2026-02', grownRun: true },
  draft: { profile: 'draft', release: '2026-02', grownRun: true },
  'freebsd-15.0': { profile: 'landed', release: '15.0', grownRun: false },
  'freebsd-14': { profile: 'landed', release: '14', grownRun: false },
} as const satisfies Record<string, Pick<VmmConfig, 'profile' | 'release' | 'grownRun'>>;

export type VmmProfileName = keyof typeof VMM_PROFILES;

export interface VmmConfig {
  readonly profile: VmmProfile;
  readonly release: VmmRelease;
  /**
   * hw.vmm.maxvmms at the start: VMs of one real user id; 0 is no limit. A kernel's own: 4 times
   * its CPUs.
   */
  readonly maxVms: number;
  /** hw.vmm.maxcpu: virtual CPUs of one VM. A kernel's own: its CPUs. */
  readonly maxCpu: number;
  /** Jails without allow.vmm, by path; those in them lack it too. */
  readonly deniedJails: ReadonlySet<string>;
  /** security.bsd.see_other_uids: whether users see each other's VMs. */
  readonly seeOtherUids: boolean;
  /**
   * Whether writing hw.vmm.create gives EBADF. In the source it does since destroy-on-close, for
   * want of an open file; nobody has reported it from a running kernel, so it is off unless asked
   * for.
   */
  readonly sysctlCreateFails: boolean;
  /**
   * Whether VM_RUN_GROWN is there beside the forms of the release: the one that broke the ABI, which no kernel has. Its
   * number is its own, so it is in nobody's way.
   */
  readonly grownRun: boolean;
  /** hw.vmm.halt_detection: whether a VM is suspended when all its vCPUs sleep with interrupts off. */
  readonly haltDetection: boolean;
}

/** CPU_SETSIZE of amd64: no VM has more virtual CPUs. */
export const MAX_MAXCPU = 1024;

export const DEFAULT_VMM_CONFIG: VmmConfig = {
  profile: 'landed',
  release: '2026-02',
  maxVms: 0,
  maxCpu: MAX_MAXCPU,
  deniedJails: new Set(),
  seeOtherUids: true,
  sysctlCreateFails: false,
  grownRun: true,
  haltDetection: true,
};

/** What the kernel makes of the tunable hw.vmm.maxcpu: at least 1, at most what a CPU set holds. */
export function clampMaxCpu(maxCpu: number): number {
  if (!(maxCpu >= 1)) return 1;
  return Math.min(Math.floor(maxCpu), MAX_MAXCPU);
}

/** Whether a release has /dev/vmmctl; before it there are only sysctls. */
export function hasControlNode(release: VmmRelease): boolean {
  return release !== '14';
}

/** What kern.osrelease says. */
export function osRelease(release: VmmRelease): string {
  if (release === '14') return '14.0-RELEASE';
  return release === '15.0' ? '15.0-RELEASE' : '16.0-CURRENT';
}

/** How many memory segments and mappings a VM may have. */
export interface MemoryLimits {
  readonly segments: number;
  readonly mappings: number;
}

export function memoryLimits(release: VmmRelease): MemoryLimits {
  return release === '14'
    ? { segments: VM_MAX_MEMSEGS_14, mappings: VM_MAX_MEMMAPS_14 }
    : { segments: VM_MAX_MEMSEGS, mappings: VM_MAX_MEMMAPS };
}

/** Whether a release checks PRIV_VMM_CREATE and PRIV_VMM_DESTROY, and lets the group vmm in. */
export function checksPrivileges(release: VmmRelease): boolean {
  return release === '2026-02';
}
