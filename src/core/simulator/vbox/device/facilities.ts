/** The parts of the Guest Additions, and how each says it is. Source: VirtualBox' VMMDev.cpp. */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VBOX_GUEST_FACILITY, VBOX_GUEST_FACILITY_STATUS } from '../../../abi/vmmdev-requests.js';
import type { Clock } from '../../clock.js';
import type { GuestLog } from './log.js';

/** Facilities that the host keeps. */
const MOST_FACILITIES = 32;

/** Facilities that always have a place. */
const FIXED: readonly number[] = [
  VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxGuestDriver,
  VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxService,
  VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxTrayClient,
  VBOX_GUEST_FACILITY.VBoxGuestFacilityType_Seamless,
  VBOX_GUEST_FACILITY.VBoxGuestFacilityType_Graphics,
];
const ALL = VBOX_GUEST_FACILITY.VBoxGuestFacilityType_All;
const INACTIVE = VBOX_GUEST_FACILITY_STATUS.VBoxGuestFacilityStatus_Inactive;

export interface FacilityStatus {
  /** Of VBOX_GUEST_FACILITY, or another number. */
  readonly facility: number;
  /** Of VBOX_GUEST_FACILITY_STATUS, or another number of 16 bits. */
  readonly status: number;
  readonly flags: number;
}

/** With when it was said, milliseconds since 1970. */
export interface FacilityRecord extends FacilityStatus {
  readonly reportedAtMs: number;
}

export class Facilities {
  readonly #clock: Clock;
  readonly #log: GuestLog;
  readonly #records = new Map<number, FacilityRecord>();

  constructor(clock: Clock, log: GuestLog) {
    this.#clock = clock;
    this.#log = log;
    for (const facility of FIXED) this.#set({ facility, status: INACTIVE, flags: 0 });
  }

  /** By number. */
  get all(): FacilityRecord[] {
    return [...this.#records.values()].sort((a, b) => a.facility - b.facility);
  }

  /** ReportGuestStatus. */
  report(told: FacilityStatus): number {
    const { facility, status, flags } = told;
    if (facility === 0 || facility > ALL) return VBOX_STATUS.VERR_INVALID_PARAMETER;
    if (status > 0xffff) return VBOX_STATUS.VERR_OUT_OF_RANGE;
    if (facility === ALL) {
      for (const each of this.#records.keys()) this.#set({ facility: each, status, flags });
      return VBOX_STATUS.VINF_SUCCESS;
    }
    if (!this.#records.has(facility) && !this.#makeRoom()) {
      const text = `VMMDev: Facility table is full - facility=${facility} status=${status}`;
      this.#log.few('facilities', 10, text);
      return VBOX_STATUS.VERR_OUT_OF_RESOURCES;
    }
    this.#set(told);
    return VBOX_STATUS.VINF_SUCCESS;
  }

  /** Whether the facility says that it is active. */
  isActive(facility: number): boolean {
    const { VBoxGuestFacilityStatus_Active: active } = VBOX_GUEST_FACILITY_STATUS;
    return this.#records.get(facility)?.status === active;
  }

  reset(): void {
    for (const { facility, flags } of this.all) this.#set({ facility, status: INACTIVE, flags });
  }

  #set(told: FacilityStatus): void {
    const { facility, status, flags } = told;
    const reportedAtMs = this.#clock.wallMs();
    this.#records.set(facility, { facility, status, flags, reportedAtMs });
  }

  /** In a full table an inactive one gives its place. */
  #makeRoom(): boolean {
    if (this.#records.size < MOST_FACILITIES) return true;
    const out = this.all.findLast(
      ({ facility, status }) => status === INACTIVE && !FIXED.includes(facility),
    );
    return out !== undefined && this.#records.delete(out.facility);
  }
}
