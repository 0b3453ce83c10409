/** Which drivers the machines of a simulated host have, where these differ. */
import { VMCI_EVENT_MAX, VMCI_EVENTS_FREEBSD } from '../../abi/vmci-event.js';

export type VmciProfileName = 'linux' | 'vmware' | 'freebsd';

export interface VmciProfile {
  /** A program on /dev/vmci gets its newest datagram first, as mainline Linux has it. */
  readonly newestFirst: boolean;
  readonly guest: KernelProfile;
}

/** What drivers differ in. */
export interface KernelProfile {
  /** Datagram endpoints and doorbells have one space of names. */
  readonly oneNameSpace: boolean;
  /** A pair whose number is chosen gets the lowest that is free, and not the next one. */
  readonly lowestPairFirst: boolean;
  /** The newest subscriber of an event is called first. */
  readonly newestSubscriberFirst: boolean;
  /** Payloads over the limit are refused also when they are delivered. */
  readonly checksDelivered: boolean;
  /** Events have smaller numbers. */
  readonly eventMax: number;
  /** It has a node /dev/vmci. */
  readonly node: boolean;
}

const LINUX: KernelProfile = {
  oneNameSpace: false,
  lowestPairFirst: false,
  newestSubscriberFirst: true,
  checksDelivered: false,
  eventMax: VMCI_EVENT_MAX,
  node: true,
};

/** FreeBSD has a driver for guests alone: under that name the host is Linux, and its guests are FreeBSD. */
export const VMCI_PROFILES: Readonly<Record<VmciProfileName, VmciProfile>> = {
  linux: { newestFirst: true, guest: LINUX },
  vmware: { newestFirst: false, guest: LINUX },
  freebsd: {
    newestFirst: true,
    guest: {
      oneNameSpace: true,
      lowestPairFirst: true,
      newestSubscriberFirst: false,
      checksDelivered: true,
      eventMax: VMCI_EVENTS_FREEBSD.VMCI_EVENT_MAX,
      node: false,
    },
  },
};

/** The host's kernel. */
export const HOST_KERNEL: KernelProfile = LINUX;
