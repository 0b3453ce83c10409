/**
 * VBoxGuestPropSvc: names with values that a VM and its host share. Follows VBoxGuestPropSvc.cpp of VirtualBox 7.0;
 * `property-profile.ts` has what 6.1 does in another way.
 */
import { GUEST_PROP_F, GUEST_PROP_MAX_PROPS } from '../../../abi/guest-prop.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { Clock } from '../../clock.js';
import type { HgcmCall, HgcmService } from '../hgcm-service.js';
import { Notifications } from './notifications.js';
import { Patterns } from './patterns.js';
import { PROPERTY_CALLS, type PropertyHost, writeNotification } from './property-calls.js';
import { flagsText, parseFlags } from './property-flags.js';
import {
  PROPERTY_PROFILES,
  type PropertyProfile,
  type PropertyProfileName,
} from './property-profile.js';
import { type GuestProperty, type GuestPropertyChange, PropertyStore } from './property-store.js';
import {
  Refusal,
  readFlags,
  readName,
  readPatternList,
  readValue,
  textBytes,
} from './property-texts.js';
import { Waits } from './waits.js';

/** A property as it is kept between two lives of a VM, fit for JSON. */
export interface SavedProperty {
  readonly name: string;
  readonly value: string;
  /** Nanoseconds since 1970, decimal. */
  readonly timestamp: string;
  readonly flags: string;
}

export interface GuestPropertyOptions {
  readonly clock: Clock;
  readonly profile?: PropertyProfileName;
  /** What the host tells of itself below /VirtualBox/HostInfo; the same as VMMDev tells, if it is to be believed. */
  readonly hostVersion?: HostVersion;
}

export interface HostVersion {
  /** `7.0.14` */
  readonly version: string;
  readonly revision: number;
}

const HOST_VERSION: HostVersion = { version: '7.0.14', revision: 161095 };

const RESET_COUNTER = '/VirtualBox/VMInfo/ResetCounter';
const OF_HOST = GUEST_PROP_F.GUEST_PROP_F_TRANSIENT | GUEST_PROP_F.GUEST_PROP_F_RDONLYGUEST;
const TIME = /^(0|[1-9]\d{0,19})$/;

type Listener = (change: GuestPropertyChange) => void;

/** One VM's properties. Its guest calls by HGCM; the methods up to `reset` are for its host. */
export class GuestPropertyService implements HgcmService, PropertyHost {
  readonly maxCalls = 16;
  readonly profile: PropertyProfile;
  readonly store: PropertyStore;
  readonly #notifications = new Notifications();
  readonly #waits = new Waits();
  readonly #initial: readonly [name: string, value: string][];
  readonly #listeners = new Set<{ patterns: Patterns; listener: Listener }>();

  constructor({ clock, profile = 'v7', hostVersion = HOST_VERSION }: GuestPropertyOptions) {
    this.profile = PROPERTY_PROFILES[profile];
    this.store = new PropertyStore(clock, (change) => this.#tell(change));
    this.#initial = initialProperties(hostVersion);
    this.#setInitial();
  }

  /** One property, or a status: VERR_INVALID_PARAMETER for what is no name, VERR_NOT_FOUND. */
  get(name: string): GuestProperty | number {
    const checked = this.#name(name);
    if (checked instanceof Refusal) return checked.status;
    return this.store.get(checked) ?? VBOX_STATUS.VERR_NOT_FOUND;
  }

  /**
   * Sets one; flags that are left out are none, whatever it had before. Gives a status: VERR_INVALID_PARAMETER for what
   * is no name, VERR_TOO_MUCH_DATA for too long a value or one property too many, VERR_PARSE_ERROR for unknown flags,
   * VERR_PERMISSION_DENIED for one that is read-only for the host.
   */
  set(name: string, value: string, flags = ''): number {
    const checked = this.#name(name);
    if (checked instanceof Refusal) return checked.status;
    if (`${value}${flags}`.includes('\0')) return VBOX_STATUS.VERR_INVALID_PARAMETER;
    const text = readValue(textBytes(value), this.profile);
    if (text instanceof Refusal) return text.status;
    const mask = readFlags(textBytes(flags));
    if (mask instanceof Refusal) return mask.status;
    return this.store.set('host', checked, text, mask);
  }

  /** Gives a status as `set` does; to delete what is not there is a success. */
  delete(name: string): number {
    const checked = this.#name(name);
    return checked instanceof Refusal ? checked.status : this.store.delete('host', checked);
  }

  /** All that match, or VERR_TOO_MUCH_DATA for patterns of more than 1023 bytes. An empty pattern is for all. */
  enumerate(pattern: string): GuestProperty[] | number {
    const patterns = readPatternList(textBytes(pattern));
    if (patterns instanceof Refusal) return patterns.status;
    return this.store.matching(new Patterns(patterns));
  }

  /** The oldest change after that of a time, of those that the pattern matches and that are remembered. */
  changeAfter(pattern: string, timestamp: bigint): GuestPropertyChange | undefined {
    return this.#notifications.after(timestamp, new Patterns(pattern)).change;
  }

  /** Calls back at each change of a property that the pattern matches, until the function that it gives is called. */
  onChange(pattern: string, listener: Listener): () => void {
    const entry = { patterns: new Patterns(pattern), listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** The VM is gone: nobody is told of changes any more. */
  close(): void {
    this.#listeners.clear();
  }

  /** GUEST_PROP_F; with RDONLYGUEST the guest may change nothing. */
  setGlobalFlags(flags: number): void {
    this.store.globalFlags = flags;
  }

  /** Those that outlive the VM's run. */
  save(): SavedProperty[] {
    return this.store
      .matching(new Patterns(''))
      .filter(({ flags }) => (flags & GUEST_PROP_F.GUEST_PROP_F_TRANSIENT) === 0)
      .map(({ name, value, timestamp, flags }) => {
        return { name, value, timestamp: timestamp.toString(), flags: flagsText(flags) };
      });
  }

  /**
   * Puts back what `save` gave, with its times; nobody is told of it.
   * @throws RangeError for what `save` can't have given; nothing is put back then.
   */
  restore(saved: readonly SavedProperty[]): void {
    if (saved.length > GUEST_PROP_MAX_PROPS) throw new RangeError('too many properties');
    const properties = saved.map((property) => this.#restored(property));
    for (const property of properties) this.store.put(property);
  }

  connect(): number {
    return VBOX_STATUS.VINF_SUCCESS;
  }

  disconnect(client: number): void {
    this.#waits.disconnect(client);
  }

  call(call: HgcmCall): void {
    const row = PROPERTY_CALLS.get(call.function);
    const status = row === undefined ? VBOX_STATUS.VERR_NOT_IMPLEMENTED : row.run(this, call);
    if (status !== undefined) call.complete(status);
  }

  cancelled(call: HgcmCall): void {
    this.#waits.cancelled(call);
  }

  /** The VM was reset: waits end, what lives until a reset is gone, and the host counts it. */
  reset(): void {
    this.#waits.clear();
    this.store.deleteWith(GUEST_PROP_F.GUEST_PROP_F_TRANSRESET);
    const count = Number(this.store.get(RESET_COUNTER)?.value ?? 0);
    this.store.set('host', RESET_COUNTER, String(count + 1), OF_HOST);
  }

  /** The VM was switched off: what lives no longer is gone, and the host's own are as at the start of a VM. */
  runEnded(): void {
    const own = new Set(this.#initial.map(([name]) => name));
    this.store.deleteWith(GUEST_PROP_F.GUEST_PROP_F_TRANSIENT, (name) => !own.has(name));
    this.#setInitial();
  }

  nextChange(call: HgcmCall, text: string, timestamp: bigint): number | undefined {
    if (timestamp === 0n) return this.#waits.add(call, text, VBOX_STATUS.VINF_SUCCESS);
    const { known, change } = this.#notifications.after(timestamp, new Patterns(text));
    const status = known ? VBOX_STATUS.VINF_SUCCESS : VBOX_STATUS.VWRN_NOT_FOUND;
    if (change === undefined) return this.#waits.add(call, text, status);
    // Whether it is deleted now: an old change of a property that is gone since has its value, and the mark.
    const deleted = this.store.get(change.name) === undefined;
    return failure(writeNotification(call, change, deleted, this.profile)) ?? status;
  }

  #setInitial(): void {
    for (const [name, value] of this.#initial) this.store.set('host', name, value, OF_HOST);
  }

  #tell(change: GuestPropertyChange): void {
    this.#notifications.add(change);
    const { profile } = this;
    for (const { call, status } of this.#waits.take(change.name, profile.oldestWaitDecides)) {
      call.complete(failure(writeNotification(call, change, change.deleted, profile)) ?? status);
    }
    for (const { patterns, listener } of [...this.#listeners]) {
      if (patterns.matches(change.name)) listener(change);
    }
  }

  #name(name: string): string | Refusal {
    if (!name.includes('\0')) return readName(textBytes(name), this.profile);
    return new Refusal(VBOX_STATUS.VERR_INVALID_PARAMETER);
  }

  #restored({ name, value, timestamp, flags }: SavedProperty): GuestProperty {
    const mask = parseFlags(flags);
    const own = this.#name(name);
    const text = readValue(textBytes(value), this.profile);
    if (
      own instanceof Refusal ||
      text instanceof Refusal ||
      mask === undefined ||
      !TIME.test(timestamp)
    ) {
      throw new RangeError(`no property that was saved: ${name}`);
    }
    return { name: own, value: text, timestamp: BigInt(timestamp), flags: mask };
  }
}

function initialProperties({ version, revision }: HostVersion): [name: string, value: string][] {
  return [
    ['/VirtualBox/HostInfo/VBoxVer', version],
    ['/VirtualBox/HostInfo/VBoxVerExt', version],
    ['/VirtualBox/HostInfo/VBoxRev', String(revision)],
    [RESET_COUNTER, '0'],
    ['/VirtualBox/VMInfo/ResumeCounter', '0'],
    ['/VirtualBox/HostGuest/SysprepExec', ''],
    ['/VirtualBox/HostGuest/SysprepArgs', ''],
  ];
}

function failure(status: number): number | undefined {
  return status < 0 ? status : undefined;
}
