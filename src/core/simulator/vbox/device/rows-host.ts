/** Requests about memory, CPUs, logons and what else the host has for the guest. Source: VirtualBox' VMMDev.cpp. */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VMMDevChangeMemBalloon,
  VMMDevGetMemBalloonChangeRequest,
  VMMDevGetStatisticsChangeRequest,
  VMMDevReportGuestStats,
} from '../../../abi/vmmdev-memory.js';
import {
  VMMDEV_CPU_EVENT_TYPE,
  VMMDEV_CPU_STATUS_TYPE,
  VMMDEV_CREDENTIALS,
  VMMDEVSHAREDREGIONDESC,
  VMMDevCpuHotPlugStatusRequest,
  VMMDevCredentials,
  VMMDevGetCpuHotPlugRequest,
  VMMDevPageIsSharedRequest,
  VMMDevPageSharingStatusRequest,
  VMMDevReqHypervisorInfo,
  VMMDevReqPatchMemory,
  VMMDevSharedModuleCheckRequest,
  VMMDevSharedModuleRegistrationRequest,
  VMMDevSharedModuleUnregistrationRequest,
} from '../../../abi/vmmdev-requests.js';
import { ok, type RequestRow, row } from './row.js';

const { VINF_SUCCESS, VERR_INVALID_PARAMETER, VERR_NOT_SUPPORTED, VERR_TRY_AGAIN } = VBOX_STATUS;

/** The least sizes of requests with an array: the header's structs have one element of it. */
const BALLOON_LEAST = VMMDevChangeMemBalloon.size + 8;
const MODULE_LEAST = VMMDevSharedModuleRegistrationRequest.size + VMMDEVSHAREDREGIONDESC.size;

/** Nothing was plugged or unplugged. */
const NO_CPU = {
  enmEventType: VMMDEV_CPU_EVENT_TYPE.VMMDevCpuEventType_None,
  idCpuCore: 0xffffffff,
  idCpuPackage: 0xffffffff,
} as const;

const TEXT = new Uint8Array(128);

export const HOST_ROWS: readonly RequestRow[] = [
  // Hosts of version 7 need no place in the guest's addresses.
  row('VMMDevReq_GetHypervisorInfo', VMMDevReqHypervisorInfo, () => ok({ hypervisorSize: 0 })),
  row('VMMDevReq_SetHypervisorInfo', VMMDevReqHypervisorInfo, (_device, fields) => {
    const { hypervisorStart, hypervisorSize } = fields;
    return hypervisorStart === 0 || hypervisorSize === 0 ? VINF_SUCCESS : VERR_TRY_AGAIN;
  }),
  // The guest's code is patched only by hosts that were told to, for old systems of 32 bits.
  row('VMMDevReq_RegisterPatchMemory', VMMDevReqPatchMemory, () => VERR_NOT_SUPPORTED),
  row('VMMDevReq_DeregisterPatchMemory', VMMDevReqPatchMemory, () => VERR_NOT_SUPPORTED),
  row('VMMDevReq_QueryCredentials', VMMDevCredentials, (_device, { u32Flags }) =>
    ok({
      u32Flags: withoutLogon(u32Flags),
      szUserName: TEXT,
      szPassword: TEXT,
      szDomain: TEXT,
    }),
  ),
  // Nobody has asked for a judgement.
  row('VMMDevReq_ReportCredentialsJudgement', VMMDevCredentials, () => VINF_SUCCESS),
  row('VMMDevReq_ReportGuestStats', VMMDevReportGuestStats, ({ statistics }, { guestStats }) =>
    statistics.report(guestStats),
  ),
  row(
    'VMMDevReq_GetMemBalloonChangeRequest',
    VMMDevGetMemBalloonChangeRequest,
    ({ balloon }, { eventAck }) => ok(balloon.request(eventAck)),
  ),
  row(
    'VMMDevReq_GetStatisticsChangeRequest',
    VMMDevGetStatisticsChangeRequest,
    ({ statistics }, { eventAck }) => ok(statistics.request(eventAck)),
  ),
  row(
    'VMMDevReq_ChangeMemBalloon',
    VMMDevChangeMemBalloon,
    ({ balloon }, { cPages, fInflate }, { view }) => balloon.change(cPages, fInflate !== 0, view),
    { size: { least: BALLOON_LEAST } },
  ),
  row('VMMDevReq_GetCpuHotPlugRequest', VMMDevGetCpuHotPlugRequest, () => ok(NO_CPU)),
  // Nothing will be plugged, so it does not matter whether the guest wants to know.
  row('VMMDevReq_SetCpuHotPlugStatus', VMMDevCpuHotPlugStatusRequest, (_device, fields) => {
    const known =
      fields.enmStatusType === VMMDEV_CPU_STATUS_TYPE.VMMDevCpuStatusType_Enable ||
      fields.enmStatusType === VMMDEV_CPU_STATUS_TYPE.VMMDevCpuStatusType_Disable;
    return known ? VINF_SUCCESS : VERR_INVALID_PARAMETER;
  }),
  // Pages are not shared between VMs unless a host was told to.
  row(
    'VMMDevReq_RegisterSharedModule',
    VMMDevSharedModuleRegistrationRequest,
    (_device, { cRegions }, { bytes }) => {
      const regions = bytes.length - VMMDevSharedModuleRegistrationRequest.size;
      const fits = cRegions * VMMDEVSHAREDREGIONDESC.size === regions;
      return fits ? VERR_NOT_SUPPORTED : VERR_INVALID_PARAMETER;
    },
    { size: { least: MODULE_LEAST } },
  ),
  row(
    'VMMDevReq_UnregisterSharedModule',
    VMMDevSharedModuleUnregistrationRequest,
    () => VERR_NOT_SUPPORTED,
  ),
  row('VMMDevReq_CheckSharedModules', VMMDevSharedModuleCheckRequest, () => VERR_NOT_SUPPORTED),
  row('VMMDevReq_GetPageSharingStatus', VMMDevPageSharingStatusRequest, () => ok({ fEnabled: 0 })),
  row('VMMDevReq_DebugIsPageShared', VMMDevPageIsSharedRequest, () => VERR_NOT_SUPPORTED),
];

/** The host has nobody to log on, and says so to who asks for that; a logon that it had would not be an interactive one. */
function withoutLogon(flags: number): number {
  const bits = VMMDEV_CREDENTIALS;
  let told = flags;
  if ((flags & bits.VMMDEV_CREDENTIALS_QUERYPRESENCE) !== 0) {
    told &= ~bits.VMMDEV_CREDENTIALS_PRESENT;
  }
  if ((flags & bits.VMMDEV_CREDENTIALS_READ) !== 0) told |= bits.VMMDEV_CREDENTIALS_NOLOCALLOGON;
  return told >>> 0;
}
