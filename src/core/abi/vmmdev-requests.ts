/**
 * The bodies of the guest device's requests, but for the display's (vmmdev-display.ts), those about memory
 * (vmmdev-memory.ts) and HGCM's (hgcm.ts). Mirrors VirtualBox' include/VBox/VMMDev.h. A struct that ends in an array
 * is described without it: its `size` is where the array begins. A bool is one byte, 0 or 1; the padding after it is
 * left out.
 */
import { array, bytes, struct, u8, u16, u32 } from './layout.js';
import { packedU64, VMMDevRequestHeader } from './vmmdev.js';

const header = VMMDevRequestHeader;

/** VMMDevReq_GetHostVersion; `features` as in VMMDEV_HVF. */
export const VMMDevReqHostVersion = struct('VMMDevReqHostVersion', {
  header,
  major: u16,
  minor: u16,
  build: u32,
  revision: u32,
  features: u32,
});

export const VMMDevReqIdle = struct('VMMDevReqIdle', { header });

/** `time` in milliseconds since 1970. */
export const VMMDevReqHostTime = struct('VMMDevReqHostTime', { header, time: packedU64 });

/** VMMDevReq_GetHypervisorInfo and VMMDevReq_SetHypervisorInfo; the size in bytes. */
export const VMMDevReqHypervisorInfo = struct('VMMDevReqHypervisorInfo', {
  header,
  hypervisorStart: u32,
  hypervisorSize: u32,
});

/** VMMDevReq_RegisterPatchMemory and VMMDevReq_DeregisterPatchMemory; the size in bytes. */
export const VMMDevReqPatchMemory = struct('VMMDevReqPatchMemory', {
  header,
  pPatchMem: packedU64,
  cbPatchMem: u32,
});

/** VMMDevReq_SetPowerStatus; what the guest wants the VM to do. */
export const VMMDevPowerStateRequest = struct('VMMDevPowerStateRequest', {
  header,
  powerState: u32,
});

export const VMMDEV_POWER_STATE = {
  VMMDevPowerState_Invalid: 0,
  VMMDevPowerState_Pause: 1,
  VMMDevPowerState_PowerOff: 2,
  VMMDevPowerState_SaveState: 3,
} as const;

/** VMMDevReq_AcknowledgeEvents; the host writes the events. */
export const VMMDevEvents = struct('VMMDevEvents', { header, events: u32 });

export const VMMDevCtlGuestFilterMask = struct('VMMDevCtlGuestFilterMask', {
  header,
  u32OrMask: u32,
  u32NotMask: u32,
});

/** In a report of the guest: the version of the device's interface that it wants, and its system. */
export const VBoxGuestInfo = struct('VBoxGuestInfo', { interfaceVersion: u32, osType: u32 });
export const VMMDevReportGuestInfo = struct('VMMDevReportGuestInfo', {
  header,
  guestInfo: VBoxGuestInfo,
});

/** A system and a bit for 64-bit ones, as Linux reports itself. */
export const VMMDEV_OSTYPE = {
  VMMDEV_OSTYPE_LINUX26: 0x53000,
  VMMDEV_OSTYPE_X64: 0x100,
} as const;

/** The version of the Guest Additions; the name ends with a NUL. */
export const VBoxGuestInfo2 = struct('VBoxGuestInfo2', {
  additionsMajor: u16,
  additionsMinor: u16,
  additionsBuild: u32,
  additionsRevision: u32,
  additionsFeatures: u32,
  szName: bytes(128),
});
export const VMMDevReportGuestInfo2 = struct('VMMDevReportGuestInfo2', {
  header,
  guestInfo: VBoxGuestInfo2,
});
/** In `additionsFeatures`: `fRequestor` of the request headers is filled in. */
export const VMMDEV_GUEST_INFO2_ADDITIONS_FEATURES_REQUESTOR_INFO = 0x1;

export const VBoxGuestStatus = struct('VBoxGuestStatus', {
  facility: u32,
  status: u32,
  flags: u32,
});
export const VMMDevReportGuestStatus = struct('VMMDevReportGuestStatus', {
  header,
  guestStatus: VBoxGuestStatus,
});

/** The parts of the Guest Additions that report a status. */
export const VBOX_GUEST_FACILITY = {
  VBoxGuestFacilityType_Unknown: 0,
  VBoxGuestFacilityType_VBoxGuestDriver: 20,
  VBoxGuestFacilityType_AutoLogon: 90,
  VBoxGuestFacilityType_VBoxService: 100,
  VBoxGuestFacilityType_VBoxTrayClient: 101,
  VBoxGuestFacilityType_Seamless: 1000,
  VBoxGuestFacilityType_Graphics: 1100,
  VBoxGuestFacilityType_MonitorAttach: 1101,
  VBoxGuestFacilityType_All: 0x7ffffffe,
} as const;

export const VBOX_GUEST_FACILITY_STATUS = {
  VBoxGuestFacilityStatus_Inactive: 0,
  VBoxGuestFacilityStatus_Paused: 1,
  VBoxGuestFacilityStatus_PreInit: 20,
  VBoxGuestFacilityStatus_Init: 30,
  VBoxGuestFacilityStatus_Active: 50,
  VBoxGuestFacilityStatus_Terminating: 100,
  VBoxGuestFacilityStatus_Terminated: 101,
  VBoxGuestFacilityStatus_Failed: 800,
  VBoxGuestFacilityStatus_Unknown: 999,
} as const;

/** VMMDevReq_ReportGuestCapabilities, the old one: the whole set, as in VMMDEV_GUEST_SUPPORTS. */
export const VMMDevReqGuestCapabilities = struct('VMMDevReqGuestCapabilities', {
  header,
  caps: u32,
});

/** VMMDevReq_SetGuestCapabilities; masks as in VMMDEV_GUEST_SUPPORTS. */
export const VMMDevReqGuestCapabilities2 = struct('VMMDevReqGuestCapabilities2', {
  header,
  u32OrMask: u32,
  u32NotMask: u32,
});

/** Begins the report on a user: its name, domain and details follow, each as many bytes as told here. */
export const VBoxGuestUserStatus = struct('VBoxGuestUserStatus', {
  state: u32,
  cbUser: u32,
  cbDomain: u32,
  cbDetails: u32,
});
export const VMMDevReportGuestUserState = struct('VMMDevReportGuestUserState', {
  header,
  status: VBoxGuestUserStatus,
});

export const VBOX_GUEST_USER_STATE = {
  VBoxGuestUserState_Unknown: 0,
  VBoxGuestUserState_LoggedIn: 1,
  VBoxGuestUserState_LoggedOut: 2,
  VBoxGuestUserState_Locked: 3,
  VBoxGuestUserState_Unlocked: 4,
  VBoxGuestUserState_Disabled: 5,
  VBoxGuestUserState_Idle: 6,
  VBoxGuestUserState_InUse: 7,
  VBoxGuestUserState_Created: 8,
  VBoxGuestUserState_Deleted: 9,
  VBoxGuestUserState_SessionChanged: 10,
  VBoxGuestUserState_CredentialsChanged: 11,
  VBoxGuestUserState_RoleChanged: 12,
  VBoxGuestUserState_GroupAdded: 13,
  VBoxGuestUserState_GroupRemoved: 14,
  VBoxGuestUserState_Elevated: 15,
} as const;

/** VMMDevReq_QueryCredentials and VMMDevReq_ReportCredentialsJudgement; texts end with a NUL. */
export const VMMDevCredentials = struct('VMMDevCredentials', {
  header,
  u32Flags: u32,
  szUserName: bytes(128),
  szPassword: bytes(128),
  szDomain: bytes(128),
});

export const VMMDEV_CREDENTIALS = {
  VMMDEV_CREDENTIALS_QUERYPRESENCE: 0x2,
  VMMDEV_CREDENTIALS_READ: 0x4,
  VMMDEV_CREDENTIALS_CLEAR: 0x8,
  VMMDEV_CREDENTIALS_READJUDGE: 0x100,
  VMMDEV_CREDENTIALS_CLEARJUDGE: 0x200,
  VMMDEV_CREDENTIALS_JUDGE_OK: 0x400,
  VMMDEV_CREDENTIALS_JUDGE_DENY: 0x800,
  VMMDEV_CREDENTIALS_JUDGE_NOJUDGEMENT: 0x1000,
  VMMDEV_CREDENTIALS_PRESENT: 0x10000,
  VMMDEV_CREDENTIALS_NOLOCALLOGON: 0x20000,
} as const;

/** The text follows the header, and ends with a NUL. */
export const VMMDevReqLogString = struct('VMMDevReqLogString', { header });

/** A number that changes when the VM starts or is reset. */
export const VMMDevReqSessionId = struct('VMMDevReqSessionId', { header, idSession: packedU64 });

export const VMMDevReqWriteCoreDump = struct('VMMDevReqWriteCoreDump', { header, fFlags: u32 });

/** VMMDevReq_HeartbeatConfigure; the host writes the interval in nanoseconds. */
export const VMMDevReqHeartbeat = struct('VMMDevReqHeartbeat', {
  header,
  cNsInterval: packedU64,
  fEnabled: u8,
});

/** VMMDevReq_GuestHeartbeat; a bare header, for which VMMDev.h has no struct of its own. */
export const VMMDevReqGuestHeartbeat = struct('VMMDevReqGuestHeartbeat', { header });

export const VMMDevReqNtBugCheck = struct('VMMDevReqNtBugCheck', {
  header,
  uBugCheck: packedU64,
  auParameters: array(packedU64, 4),
});

/** Asks what to plug or unplug. */
export const VMMDevGetCpuHotPlugRequest = struct('VMMDevGetCpuHotPlugRequest', {
  header,
  enmEventType: u32,
  idCpuCore: u32,
  idCpuPackage: u32,
});

export const VMMDEV_CPU_EVENT_TYPE = {
  VMMDevCpuEventType_Invalid: 0,
  VMMDevCpuEventType_None: 1,
  VMMDevCpuEventType_Plug: 2,
  VMMDevCpuEventType_Unplug: 3,
} as const;

/** VMMDevReq_SetCpuHotPlugStatus */
export const VMMDevCpuHotPlugStatusRequest = struct('VMMDevCpuHotPlugStatusRequest', {
  header,
  enmStatusType: u32,
});

export const VMMDEV_CPU_STATUS_TYPE = {
  VMMDevCpuStatusType_Invalid: 0,
  VMMDevCpuStatusType_Disable: 1,
  VMMDevCpuStatusType_Enable: 2,
} as const;

/** A region of a module: where it is, and its bytes. */
export const VMMDEVSHAREDREGIONDESC = struct('VMMDEVSHAREDREGIONDESC', {
  GCRegionAddr: packedU64,
  cbRegion: u32,
  u32Alignment: u32,
});

/** VMMDevReq_RegisterSharedModule; VMMDEVSHAREDREGIONDESCs follow. */
export const VMMDevSharedModuleRegistrationRequest = struct(
  'VMMDevSharedModuleRegistrationRequest',
  {
    header,
    cbModule: u32,
    cRegions: u32,
    GCBaseAddr: packedU64,
    enmGuestOS: u32,
    u32Align: u32,
    szName: bytes(128),
    szVersion: bytes(16),
  },
);
/** Regions that one module may have. */
export const VMMDEVSHAREDREGIONDESC_MAX = 32;

export const VMMDevSharedModuleUnregistrationRequest = struct(
  'VMMDevSharedModuleUnregistrationRequest',
  {
    header,
    cbModule: u32,
    u32Alignment: u32,
    GCBaseAddr: packedU64,
    szName: bytes(128),
    szVersion: bytes(16),
  },
);

export const VMMDevSharedModuleCheckRequest = struct('VMMDevSharedModuleCheckRequest', { header });

export const VMMDevPageSharingStatusRequest = struct('VMMDevPageSharingStatusRequest', {
  header,
  fEnabled: u8,
  fAlignment: bytes(3),
});

export const VMMDevPageIsSharedRequest = struct('VMMDevPageIsSharedRequest', {
  header,
  GCPtrPage: packedU64,
  uPageFlags: packedU64,
  fShared: u8,
  fAlignment: bytes(3),
});
