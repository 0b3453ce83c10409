/** What the guest tells about itself when its driver starts, and later about what it can do. Source: VMMDev.cpp. */
import type { Decoded } from '../../../abi/layout.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VMMDEV_GUEST_SUPPORTS,
  VMMDEV_VERSION_MAJOR,
  VMMDEV_VERSION_MINOR,
} from '../../../abi/vmmdev.js';
import {
  type VBoxGuestInfo,
  type VBoxGuestInfo2,
  VMMDEV_GUEST_INFO2_ADDITIONS_FEATURES_REQUESTOR_INFO,
  VMMDEV_OSTYPE,
} from '../../../abi/vmmdev-requests.js';
import { isStrict, namesVersion, tagsOf } from './additions-version.js';
import type { GuestLog } from './log.js';

const { VINF_SUCCESS, VERR_INVALID_PARAMETER, VERR_OUT_OF_RANGE, VERR_VERSION_MISMATCH } =
  VBOX_STATUS;

/** Systems by the number without the bit for 64-bit ones. Others are unknown to the log. */
const SYSTEMS: Readonly<Record<number, string>> = {
  [VMMDEV_OSTYPE.VMMDEV_OSTYPE_LINUX26]: 'Linux >= 2.6',
  393216: 'FreeBSD',
  397312: 'OpenBSD',
  401408: 'NetBSD',
};

export interface Additions {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
  readonly revision: number;
  /** Tags after the version, as `_OSE`. */
  readonly tags: string;
  /** The driver tells who asks, in each request. */
  readonly hasRequestor: boolean;
}

export class GuestReport {
  readonly #log: GuestLog;
  #info: Decoded<typeof VBoxGuestInfo> | undefined;
  #additions: Additions | undefined;
  #capabilities = 0;

  constructor(log: GuestLog) {
    this.#log = log;
  }

  /** The interface's version and the system, if the guest has reported them. */
  get info(): Decoded<typeof VBoxGuestInfo> | undefined {
    return this.#info;
  }

  get additions(): Additions | undefined {
    return this.#additions;
  }

  /** Of VMMDEV_GUEST_SUPPORTS, as a mask. */
  get capabilities(): number {
    return this.#capabilities;
  }

  /** ReportGuestInfo: it has to speak version 1.0 to 1.4 of the interface. */
  report(info: Decoded<typeof VBoxGuestInfo>): number {
    const { interfaceVersion, osType } = info;
    if (interfaceVersion !== this.#info?.interfaceVersion || osType !== this.#info.osType) {
      this.#info = { interfaceVersion, osType };
      const bits = (osType & VMMDEV_OSTYPE.VMMDEV_OSTYPE_X64) === 0 ? 32 : 64;
      const system = SYSTEMS[osType & ~VMMDEV_OSTYPE.VMMDEV_OSTYPE_X64] ?? 'unknown';
      this.#log.line(
        `VMMDev: Guest Additions information report: Interface = ${hex8(interfaceVersion)} ` +
          `osType = ${hex8(osType)} (${system}, ${bits}-bit)`,
      );
    }
    const major = interfaceVersion >>> 16;
    const minor = interfaceVersion & 0xffff;
    const known = major === VMMDEV_VERSION_MAJOR && minor <= VMMDEV_VERSION_MINOR;
    return known ? VINF_SUCCESS : VERR_VERSION_MISMATCH;
  }

  /** ReportGuestInfo2. */
  reportAdditions(told: Decoded<typeof VBoxGuestInfo2>): number {
    const { additionsMajor: major, additionsMinor: minor, additionsBuild: build } = told;
    const revision = told.additionsRevision;
    const end = told.szName.indexOf(0);
    const name = new TextDecoder().decode(end < 0 ? told.szName : told.szName.subarray(0, end));
    this.#log.line(
      `VMMDev: Guest Additions information report: Version ${major}.${minor}.${build} r${revision} '${name}'`,
    );
    if (major < 3) return VERR_INVALID_PARAMETER;
    // The host packs a version in 32 bits: 8 for each of the first two, 16 for the build.
    if (major > 0xff || minor > 0xff || build > 0xffff) return VERR_OUT_OF_RANGE;
    if (end < 0 || !namesVersion(name, { major, minor, build })) return VERR_INVALID_PARAMETER;
    const { tags, sound } = tagsOf(name, { major, minor, build });
    if (sound !== tags) {
      if (isStrict({ major, minor, build })) return VERR_INVALID_PARAMETER;
      this.#log.line(
        `VMMDev: ReportGuestInfo2: Ignoring unparsable version name bits: '${tags}' -> '${sound}'.`,
      );
    }
    const bit = VMMDEV_GUEST_INFO2_ADDITIONS_FEATURES_REQUESTOR_INFO;
    const hasRequestor = (told.additionsFeatures & bit) !== 0;
    this.#additions = { major, minor, build, revision, tags: sound, hasRequestor };
    return VINF_SUCCESS;
  }

  /** ReportGuestCapabilities, the old request: whoever uses it can do graphics. */
  setCapabilities(capabilities: number): number {
    const all = (capabilities | VMMDEV_GUEST_SUPPORTS.VMMDEV_GUEST_SUPPORTS_GRAPHICS) >>> 0;
    if (all !== this.#capabilities) {
      this.#capabilities = all;
      this.#log.line(
        `VMMDev: Guest Additions capability report (legacy): (${hex(all)}) ${namesOf(all)}`,
      );
    }
    return VINF_SUCCESS;
  }

  /** SetGuestCapabilities. */
  changeCapabilities(or: number, not: number): number {
    const all = ((this.#capabilities | or) & ~not) >>> 0;
    this.#log.line(
      `VMMDev: Guest Additions capability report: (${hex(this.#capabilities)} -> ${hex(all)}) ${namesOf(all)}`,
    );
    this.#capabilities = all;
    return VINF_SUCCESS;
  }

  reset(): void {
    this.#info = undefined;
    this.#additions = undefined;
    this.#capabilities = 0;
  }
}

function namesOf(capabilities: number): string {
  const has = (bit: number) => ((capabilities & bit) === 0 ? 'no' : 'yes');
  const bits = VMMDEV_GUEST_SUPPORTS;
  return [
    `seamless: ${has(bits.VMMDEV_GUEST_SUPPORTS_SEAMLESS)}`,
    `hostWindowMapping: ${has(bits.VMMDEV_GUEST_SUPPORTS_GUEST_HOST_WINDOW_MAPPING)}`,
    `graphics: ${has(bits.VMMDEV_GUEST_SUPPORTS_GRAPHICS)}`,
  ].join(', ');
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function hex8(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(8, '0')}`;
}
