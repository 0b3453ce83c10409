/** What a host sets up for one VM's VMMDev. The switches are VirtualBox' own, below VBoxInternal/Devices/VMMDev/0/Config. */
import { VMMDEV_HVF } from '../../../abi/vmmdev.js';

export interface VmmDevConfig {
  /** What GetHostVersion tells. */
  readonly hostVersion: {
    readonly major: number;
    readonly minor: number;
    readonly build: number;
    readonly revision: number;
  };
  /** Of VMMDEV_HVF, as a mask. */
  readonly features: number;
  /** How often a guest should beat, 50 ms at least. */
  readonly heartbeatIntervalMs: number;
  /** How long a beat is waited for: 100 ms at least, and over 10 ms more than the interval. Default: twice the interval. */
  readonly heartbeatTimeoutMs: number | undefined;
  /** Seconds between two reports of the guest on itself; 0 asks for none. */
  readonly statisticsInterval: number;
  readonly allowGuestToSaveState: boolean;
  readonly getHostTimeDisabled: boolean;
  readonly backdoorLogDisabled: boolean;
  /** Whether a guest may have its core written. The simulated host has no directory for it, so it still fails. */
  readonly guestCoreDumpEnabled: boolean;
  /** A debug build, which is the only one to know LogString. */
  readonly logString: boolean;
  /** Bytes that calls of HGCM may hold on the host, for each class of callers. */
  readonly hgcmHeapBudget: number;
}

/** VirtualBox 7.0.14 on a machine with 8 GiB, of which each of three classes has a third of an eighth. */
export const DEFAULT_VMMDEV_CONFIG: VmmDevConfig = {
  hostVersion: { major: 7, minor: 0, build: 14, revision: 161095 },
  features: Object.values(VMMDEV_HVF).reduce((all, bit) => (all | bit) >>> 0, 0),
  heartbeatIntervalMs: 2000,
  heartbeatTimeoutMs: undefined,
  statisticsInterval: 5,
  allowGuestToSaveState: true,
  getHostTimeDisabled: false,
  backdoorLogDisabled: false,
  guestCoreDumpEnabled: false,
  logString: false,
  hgcmHeapBudget: Math.floor(2 ** 33 / 8 / 3),
};
