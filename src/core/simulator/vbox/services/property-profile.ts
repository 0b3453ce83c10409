/** How releases of VirtualBox differ in the service of guest properties. */
import { GUEST_PROP_MAX_NAME_LEN, GUEST_PROP_MAX_VALUE_LEN } from '../../../abi/guest-prop.js';

export interface PropertyProfile {
  /** Bytes of a name and of a value, the NUL at their end included. */
  readonly nameBytes: number;
  readonly valueBytes: number;
  /** A notification says whether the property is deleted. */
  readonly deletedMark: boolean;
  /** A change wakes all waits, or none, by what the oldest of them waits for. */
  readonly oldestWaitDecides: boolean;
}

export type PropertyProfileName = 'v7' | 'v6';

export const PROPERTY_PROFILES: Readonly<Record<PropertyProfileName, PropertyProfile>> = {
  v7: {
    nameBytes: GUEST_PROP_MAX_NAME_LEN,
    valueBytes: GUEST_PROP_MAX_VALUE_LEN,
    deletedMark: true,
    oldestWaitDecides: false,
  },
  // 6.1 insists on no size of names and values; these bounds keep a guest from filling the host's memory.
  v6: { nameBytes: 1024, valueBytes: 64 * 1024, deletedMark: false, oldestWaitDecides: true },
};
