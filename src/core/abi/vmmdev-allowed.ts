/**
 * Which of the guest device's requests Linux' driver passes on for programs. Mirrors vbg_req_allowed() in
 * drivers/virt/vboxguest/vboxguest_core.c.
 */
import { VMMDEV_REQUEST_TYPE, type VmmdevRequestName } from './vmmdev.js';
import { VBOX_GUEST_FACILITY } from './vmmdev-requests.js';

/** What is not here is for the driver alone, and EPERM for programs. */
export const VMMDEV_USER_REQUESTS = {
  /** By /dev/vboxguest alone; EPERM by /dev/vboxuser. */
  trusted: [
    'VMMDevReq_ReportGuestUserState',
    'VMMDevReq_QueryCredentials',
    'VMMDevReq_ReportCredentialsJudgement',
    'VMMDevReq_ReportGuestStats',
    'VMMDevReq_GetStatisticsChangeRequest',
    'VMMDevReq_GetCpuHotPlugRequest',
    'VMMDevReq_SetCpuHotPlugStatus',
    'VMMDevReq_RegisterSharedModule',
    'VMMDevReq_UnregisterSharedModule',
    'VMMDevReq_CheckSharedModules',
    'VMMDevReq_GetPageSharingStatus',
    'VMMDevReq_DebugIsPageShared',
    'VMMDevReq_WriteCoreDump',
  ],
  /** By both nodes. */
  anyone: [
    'VMMDevReq_GetMouseStatus',
    'VMMDevReq_SetMouseStatus',
    'VMMDevReq_SetPointerShape',
    'VMMDevReq_GetHostVersion',
    'VMMDevReq_Idle',
    'VMMDevReq_GetHostTime',
    'VMMDevReq_SetPowerStatus',
    'VMMDevReq_AcknowledgeEvents',
    'VMMDevReq_CtlGuestFilterMask',
    'VMMDevReq_GetDisplayChangeRequest',
    'VMMDevReq_VideoModeSupported',
    'VMMDevReq_GetHeightReduction',
    'VMMDevReq_GetDisplayChangeRequest2',
    'VMMDevReq_VideoModeSupported2',
    'VMMDevReq_ReportGuestStatus',
    'VMMDevReq_VideoAccelEnable',
    'VMMDevReq_VideoAccelFlush',
    'VMMDevReq_VideoSetVisibleRegion',
    'VMMDevReq_GetSeamlessChangeRequest',
    'VMMDevReq_GetDisplayChangeRequestEx',
    'VMMDevReq_GetDisplayChangeRequestMulti',
    'VMMDevReq_GetVRDPChangeRequest',
    'VMMDevReq_LogString',
    'VMMDevReq_GetSessionId',
    'VMMDevReq_VideoUpdateMonitorPositions',
  ],
  /** The driver takes its first word for a facility. */
  byContent: {
    request: 'VMMDevReq_ReportGuestCapabilities',
    /** Bytes from the start of the request to the word. */
    offset: 24,
    /** EPERM by both nodes. */
    refused: [
      VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxGuestDriver,
      VBOX_GUEST_FACILITY.VBoxGuestFacilityType_All,
    ],
    trusted: [VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxService],
  },
} as const satisfies {
  trusted: readonly VmmdevRequestName[];
  anyone: readonly VmmdevRequestName[];
  byContent: {
    request: VmmdevRequestName;
    offset: number;
    refused: readonly number[];
    trusted: readonly number[];
  };
};

export type UserRequestClass = 'anyone' | 'trusted' | 'refused';

const { byContent } = VMMDEV_USER_REQUESTS;
const CONTENT: ReadonlyMap<number, UserRequestClass> = new Map<number, UserRequestClass>([
  ...byContent.refused.map((word) => [word, 'refused'] as const),
  ...byContent.trusted.map((word) => [word, 'trusted'] as const),
]);
const CLASSES: ReadonlyMap<number, UserRequestClass> = new Map<number, UserRequestClass>([
  ...VMMDEV_USER_REQUESTS.trusted.map((name) => [VMMDEV_REQUEST_TYPE[name], 'trusted'] as const),
  ...VMMDEV_USER_REQUESTS.anyone.map((name) => [VMMDEV_REQUEST_TYPE[name], 'anyone'] as const),
]);

/**
 * Who may pass a request on. `word` is the 32-bit one at `VMMDEV_USER_REQUESTS.byContent.offset`, which counts for that
 * request alone.
 */
export function userRequestClass(type: number, word: number): UserRequestClass {
  if (type === VMMDEV_REQUEST_TYPE[byContent.request]) return CONTENT.get(word) ?? 'anyone';
  return CLASSES.get(type) ?? 'refused';
}
