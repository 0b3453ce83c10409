/** The guest properties of a VM: who may change which, and the time of each change. */
import { GUEST_PROP_F, GUEST_PROP_MAX_PROPS } from '../../../abi/guest-prop.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { Clock } from '../../clock.js';
import type { Patterns } from './patterns.js';

/** Who asks for a change. */
export type Side = 'guest' | 'host';

export interface GuestProperty {
  readonly name: string;
  readonly value: string;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  /** GUEST_PROP_F. */
  readonly flags: number;
}

/** Of a property that is deleted, value and flags are empty. */
export interface GuestPropertyChange extends GuestProperty {
  readonly deleted: boolean;
}

/** Below these a guest may write nothing, and what the host writes is read-only for the guest. */
const RESERVED = [
  '/VirtualBox/GuestAdd/VBoxService/',
  '/VirtualBox/GuestAdd/PAM/',
  '/VirtualBox/GuestAdd/Greeter/',
  '/VirtualBox/GuestAdd/SharedFolders/',
  '/VirtualBox/HostInfo/',
  '/VirtualBox/VMInfo/',
];

const NS_PER_MS = 1_000_000n;

export class PropertyStore {
  readonly #properties = new Map<string, GuestProperty>();
  readonly #clock: Clock;
  readonly #onChange: (change: GuestPropertyChange) => void;
  #lastTimestamp = 0n;
  /** GUEST_PROP_F; of these only RDONLYGUEST means something: the guest may change nothing. */
  globalFlags = 0;

  constructor(clock: Clock, onChange: (change: GuestPropertyChange) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get(name: string): GuestProperty | undefined {
    return this.#properties.get(name);
  }

  /** Those that match, in the order in which they came. */
  matching(patterns: Patterns): GuestProperty[] {
    return [...this.#properties.values()].filter(({ name }) => patterns.matches(name));
  }

  /**
   * Gives a status: VERR_PERMISSION_DENIED for what is read-only for the side; VINF_PERMISSION_DENIED, which changes
   * nothing either, when all is for the guest; VERR_TOO_MUCH_DATA for one property more than there may be.
   */
  set(side: Side, name: string, value: string, flags: number): number {
    const old = this.#properties.get(name);
    const status = this.#permission(side, old?.flags ?? 0);
    if (status !== VBOX_STATUS.VINF_SUCCESS) return status;
    if (side === 'guest' && isReserved(name)) return VBOX_STATUS.VERR_PERMISSION_DENIED;
    const timestamp = this.#now();
    if (old === undefined && this.#properties.size >= GUEST_PROP_MAX_PROPS) {
      // VirtualBox tells of a change here too, and as it finds no property it tells of a deleted one.
      this.#deleted(name, timestamp);
      return VBOX_STATUS.VERR_TOO_MUCH_DATA;
    }
    const property = { name, value, timestamp, flags: ownFlags(name, flags) };
    this.#properties.set(name, property);
    this.#onChange({ ...property, deleted: false });
    return VBOX_STATUS.VINF_SUCCESS;
  }

  /** Gives a status as `set` does; to delete what is not there is a success, and no change. */
  delete(side: Side, name: string): number {
    const old = this.#properties.get(name);
    if (old === undefined) return VBOX_STATUS.VINF_SUCCESS;
    const status = this.#permission(side, old.flags);
    if (status !== VBOX_STATUS.VINF_SUCCESS) return status;
    this.#properties.delete(name);
    this.#deleted(name, this.#now());
    return VBOX_STATUS.VINF_SUCCESS;
  }

  /** Deletes those with a flag, whoever may write them. */
  deleteWith(flag: number, isMeant: (name: string) => boolean = () => true): void {
    for (const { name, flags } of [...this.#properties.values()]) {
      if ((flags & flag) === 0 || !isMeant(name)) continue;
      this.#properties.delete(name);
      this.#deleted(name, this.#now());
    }
  }

  /** Puts in one with the time that it has, without a change that anybody is told of. */
  put(property: GuestProperty): void {
    const { name, flags, timestamp } = property;
    this.#properties.set(name, { ...property, flags: ownFlags(name, flags) });
    if (timestamp > this.#lastTimestamp) this.#lastTimestamp = timestamp;
  }

  #permission(side: Side, flags: number): number {
    const { GUEST_PROP_F_RDONLYGUEST, GUEST_PROP_F_RDONLYHOST } = GUEST_PROP_F;
    const forbidden = side === 'guest' ? GUEST_PROP_F_RDONLYGUEST : GUEST_PROP_F_RDONLYHOST;
    if ((flags & forbidden) !== 0) return VBOX_STATUS.VERR_PERMISSION_DENIED;
    const frozen = side === 'guest' && (this.globalFlags & GUEST_PROP_F_RDONLYGUEST) !== 0;
    return frozen ? VBOX_STATUS.VINF_PERMISSION_DENIED : VBOX_STATUS.VINF_SUCCESS;
  }

  /** Each is later than the one before, also where the clock has not moved or was set back. */
  #now(): bigint {
    const now = BigInt(Math.floor(this.#clock.wallMs())) * NS_PER_MS;
    this.#lastTimestamp = now > this.#lastTimestamp ? now : this.#lastTimestamp + 1n;
    return this.#lastTimestamp;
  }

  #deleted(name: string, timestamp: bigint): void {
    this.#onChange({ name, value: '', timestamp, flags: 0, deleted: true });
  }
}

function isReserved(name: string): boolean {
  return RESERVED.some((prefix) => name.startsWith(prefix));
}

function ownFlags(name: string, flags: number): number {
  return isReserved(name) ? flags | GUEST_PROP_F.GUEST_PROP_F_RDONLYGUEST : flags;
}
