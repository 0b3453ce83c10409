/**
 * What the driver and the host tell each other when the driver comes and goes. Follows vbg_core_init() and
 * vbg_core_exit() in vboxguest_core.c, and vbg_pci_probe() in vboxguest_linux.c.
 */
import { SystemError } from '../../../abi/errno.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VMMDEV_HVF,
  VMMDEV_MEMORY_VERSION,
  VMMDEV_RAM_SIZE,
  VMMDEV_VERSION,
  VMMDevMemory,
} from '../../../abi/vmmdev.js';
import {
  VBOX_GUEST_FACILITY,
  VBOX_GUEST_FACILITY_STATUS,
  VMMDEV_GUEST_INFO2_ADDITIONS_FEATURES_REQUESTOR_INFO,
  VMMDEV_OSTYPE,
  VMMDevReportGuestInfo,
  VMMDevReportGuestInfo2,
  VMMDevReportGuestStatus,
  VMMDevReqHostVersion,
} from '../../../abi/vmmdev-requests.js';
import type { DevicePorts } from '../platform.js';
import { FIXED_EVENTS } from './filter.js';
import { reserveMappings, returnMappings } from './guest-mappings.js';
import { checkStatus } from './host-requests.js';
import { clearMouse } from './mouse.js';
import type { Vbg } from './vbg.js';

/** The Guest Additions that the driver says it is. */
const ADDITIONS = { major: 6, minor: 0, build: 0, revision: 127566, name: '6.0.0' } as const;

/** Bytes of the device's memory that a driver needs. */
const MIN_MEMORY_SIZE = 32;

export interface HostIdentity {
  /** As `7.0.14r161095`. */
  readonly version: string;
  /** As VMMDEV_HVF. */
  readonly features: number;
}

/** Looks whether the device's memory is one that the driver knows. @throws SystemError ENODEV. */
export function checkMemory(ports: DevicePorts, { log }: Vbg): void {
  const memory = ports.readRam(0, VMMDevMemory.size);
  const { u32Size: size, u32Version: version } = VMMDevMemory.decode(memory);
  const fits = size >= MIN_MEMORY_SIZE && size <= VMMDEV_RAM_SIZE;
  if (version === VMMDEV_MEMORY_VERSION && fits) return;
  const versions = `version=${plainHex(version)} (expected ${plainHex(VMMDEV_MEMORY_VERSION)})`;
  const sizes = `size=${size} (expected <= ${VMMDEV_RAM_SIZE})`;
  log.print(`vboxguest: Bogus VMMDev memory; ${versions} ${sizes}`);
  throw new SystemError('ENODEV', { message: 'the device has no memory that the driver knows' });
}

/** Brings the driver up. @throws SystemError ENODEV for a host that is too old, and by the host's status. */
export function initialize(vbg: Vbg): HostIdentity {
  vbg.host.reserve();
  const identity = queryHostVersion(vbg);
  reportGuestInfo(vbg);
  vbg.filter.reset(FIXED_EVENTS);
  vbg.capabilities.reset();
  clearMouse(vbg);
  vbg.hasMappings = reserveMappings(vbg);
  vbg.heartbeat.start();
  reportDriverActive(vbg);
  return identity;
}

/** Tells the host that the driver goes. What it refuses can't keep the driver from going. */
export function terminate(vbg: Vbg): void {
  vbg.heartbeat.stop();
  const steps = [
    () => returnMappings(vbg),
    () => vbg.filter.reset(0),
    () => vbg.capabilities.reset(),
    () => clearMouse(vbg),
  ];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      vbg.log.print(`vbg_core_exit error: ${error.code}`);
    }
  }
  vbg.host.unreserve();
}

function queryHostVersion({ host, log }: Vbg): HostIdentity {
  const { rc, body } = host.ask('VMMDevReq_GetHostVersion', VMMDevReqHostVersion, {});
  if (rc < 0) log.print(`vbg_query_host_version error: ${rc}`);
  checkStatus(log, rc);
  const { major, minor, build, revision, features } = body;
  const version = `${major}.${minor}.${build}r${revision}`;
  log.print(`vboxguest: host-version: ${version} ${alternateHex(features)}`);
  if ((features & VMMDEV_HVF.VMMDEV_HVF_HGCM_PHYS_PAGE_LIST) === 0) {
    log.print('vboxguest: Error host too old (does not support page-lists)');
    throw new SystemError('ENODEV', { message: 'the host is too old' });
  }
  return { version, features };
}

/** Newer hosts take the second report first; older ones want it the other way round, or not at all. */
function reportGuestInfo(vbg: Vbg): void {
  const { VERR_NOT_SUPPORTED, VERR_NOT_IMPLEMENTED } = VBOX_STATUS;
  let rc = sendGuestInfo2(vbg);
  if (rc >= 0) {
    rc = sendGuestInfo(vbg);
  } else if (rc === VERR_NOT_SUPPORTED || rc === VERR_NOT_IMPLEMENTED) {
    rc = sendGuestInfo(vbg);
    if (rc >= 0) rc = sendGuestInfo2(vbg);
    if (rc === VERR_NOT_IMPLEMENTED) rc = VBOX_STATUS.VINF_SUCCESS;
  }
  if (rc < 0) vbg.log.print(`vboxguest: vbg_report_guest_info error: ${rc}`);
  checkStatus(vbg.log, rc);
}

function sendGuestInfo({ host }: Vbg): number {
  const osType = VMMDEV_OSTYPE.VMMDEV_OSTYPE_LINUX26 | VMMDEV_OSTYPE.VMMDEV_OSTYPE_X64;
  const guestInfo = { interfaceVersion: VMMDEV_VERSION, osType };
  return host.ask('VMMDevReq_ReportGuestInfo', VMMDevReportGuestInfo, { guestInfo }).rc;
}

function sendGuestInfo2({ host }: Vbg): number {
  const { major, minor, build, revision, name } = ADDITIONS;
  const guestInfo = {
    additionsMajor: major,
    additionsMinor: minor,
    additionsBuild: build,
    additionsRevision: revision,
    additionsFeatures: VMMDEV_GUEST_INFO2_ADDITIONS_FEATURES_REQUESTOR_INFO,
    szName: new TextEncoder().encode(name),
  };
  return host.ask('VMMDevReq_ReportGuestInfo2', VMMDevReportGuestInfo2, { guestInfo }).rc;
}

/** Older hosts don't know the report; the driver is there in any case. */
function reportDriverActive({ host, log }: Vbg): void {
  const guestStatus = {
    facility: VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxGuestDriver,
    status: VBOX_GUEST_FACILITY_STATUS.VBoxGuestFacilityStatus_Active,
    flags: 0,
  };
  const { rc } = host.ask('VMMDevReq_ReportGuestStatus', VMMDevReportGuestStatus, { guestStatus });
  if (rc < 0 && rc !== VBOX_STATUS.VERR_NOT_IMPLEMENTED) {
    log.print(`vboxguest: Error reporting driver status: ${rc}`);
  }
}

/** As printf's %08x has it. */
function plainHex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** As printf's %#x has it. */
export function alternateHex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}
