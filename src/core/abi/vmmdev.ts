/**
 * VirtualBox's guest device: its PCI device, its memory, and what all its requests have in common. Mirrors VirtualBox'
 * include/VBox/VMMDev.h and VMMDevCoreTypes.h, with the driver's part of Linux include/uapi/linux/vbox_vmmdev_types.h
 * and drivers/virt/vboxguest/vmmdev.h. The bodies of the requests are in vmmdev-requests.ts, vmmdev-memory.ts and
 * vmmdev-display.ts, those of HGCM in hgcm.ts, the sizes of all in vmmdev-sizes.ts, and who may send them in
 * vmmdev-allowed.ts.
 *
 * The header packs its structs to 4 bytes, and writes a bool as one byte, 0 or 1.
 */
import { type FieldType, i32, struct, u8, u32, u64 } from './layout.js';

/** 64 bits in a struct that is packed to 4 bytes. */
export const packedU64: FieldType<bigint> = { ...u64, align: 4 };

export const VBOX_PCI_VENDOR = 0x80ee;
export const VMMDEV_PCI_DEVICE = 0xcafe;

/** In BAR 0: the guest writes a request's physical address, 32 bits. */
export const VMMDEV_PORT_OFF_REQUEST = 0;
/** In BAR 0: reading it acknowledges all events at once and gives them; only with VMMDEV_HVF_FAST_IRQ_ACK. */
export const VMMDEV_PORT_OFF_REQUEST_FAST = 8;
/** Port for the bytes of the guest's log; the host takes them by lines. */
export const VBG_DEBUG_PORT = 0x504;
/** Port where a guest may read the time of the host; VirtualBox' VMMDev.cpp has it as a bare number. */
export const VMMDEV_TIMESYNC_PORT = 0x505;

/** Bytes of BAR 1, the device's memory. */
export const VMMDEV_RAM_SIZE = 0x400000;
/** Bytes of BAR 2, a heap that a host may leave out. */
export const VMMDEV_HEAP_SIZE = 0x4000;
export const VMMDEV_MEMORY_VERSION = 1;
/** Bytes of struct VMMDevMemory with the ring of video acceleration, which is left out here. */
export const VMMDEV_MEMORY_SIZE = 4193576;

/** Begins the device's memory: struct VMMDevMemory with the member V1_04 of its union. */
export const VMMDevMemory = struct('VMMDevMemory', {
  u32Size: u32,
  u32Version: u32,
  fHaveEvents: u8,
});

/** The version that the device and its guest speak, major in the upper 16 bits. */
export const VMMDEV_VERSION_MAJOR = 1;
export const VMMDEV_VERSION_MINOR = 4;
export const VMMDEV_VERSION = (VMMDEV_VERSION_MAJOR << 16) | VMMDEV_VERSION_MINOR;

export const VMMDEV_REQUEST_HEADER_VERSION = 0x10001;
/** Bytes of the largest request, its header included. */
export const VMMDEV_MAX_VMMDEVREQ_SIZE = 1048576;

/** Begins every request. `size` is that of the whole request, `rc` a status of VirtualBox. */
export const VMMDevRequestHeader = struct('VMMDevRequestHeader', {
  size: u32,
  version: u32,
  requestType: u32,
  rc: i32,
  reserved1: u32,
  fRequestor: u32,
});

/** What a request is, in `requestType`. */
export const VMMDEV_REQUEST_TYPE = {
  VMMDevReq_InvalidRequest: 0,
  VMMDevReq_GetMouseStatus: 1,
  VMMDevReq_SetMouseStatus: 2,
  VMMDevReq_SetPointerShape: 3,
  VMMDevReq_GetHostVersion: 4,
  VMMDevReq_Idle: 5,
  VMMDevReq_GetHostTime: 10,
  VMMDevReq_GetHypervisorInfo: 20,
  VMMDevReq_SetHypervisorInfo: 21,
  VMMDevReq_RegisterPatchMemory: 22,
  VMMDevReq_DeregisterPatchMemory: 23,
  VMMDevReq_SetPowerStatus: 30,
  VMMDevReq_AcknowledgeEvents: 41,
  VMMDevReq_CtlGuestFilterMask: 42,
  VMMDevReq_ReportGuestInfo: 50,
  VMMDevReq_GetDisplayChangeRequest: 51,
  VMMDevReq_VideoModeSupported: 52,
  VMMDevReq_GetHeightReduction: 53,
  VMMDevReq_GetDisplayChangeRequest2: 54,
  VMMDevReq_ReportGuestCapabilities: 55,
  VMMDevReq_SetGuestCapabilities: 56,
  VMMDevReq_VideoModeSupported2: 57,
  VMMDevReq_ReportGuestInfo2: 58,
  VMMDevReq_ReportGuestStatus: 59,
  VMMDevReq_HGCMConnect: 60,
  VMMDevReq_HGCMDisconnect: 61,
  VMMDevReq_HGCMCall32: 62,
  VMMDevReq_HGCMCall64: 63,
  VMMDevReq_HGCMCancel: 64,
  VMMDevReq_HGCMCancel2: 65,
  VMMDevReq_VideoAccelEnable: 70,
  VMMDevReq_VideoAccelFlush: 71,
  VMMDevReq_VideoSetVisibleRegion: 72,
  VMMDevReq_GetSeamlessChangeRequest: 73,
  VMMDevReq_ReportGuestUserState: 74,
  VMMDevReq_GetDisplayChangeRequestEx: 80,
  VMMDevReq_GetDisplayChangeRequestMulti: 81,
  VMMDevReq_QueryCredentials: 100,
  VMMDevReq_ReportCredentialsJudgement: 101,
  VMMDevReq_ReportGuestStats: 110,
  VMMDevReq_GetMemBalloonChangeRequest: 111,
  VMMDevReq_GetStatisticsChangeRequest: 112,
  VMMDevReq_ChangeMemBalloon: 113,
  VMMDevReq_GetVRDPChangeRequest: 150,
  VMMDevReq_LogString: 200,
  VMMDevReq_GetCpuHotPlugRequest: 210,
  VMMDevReq_SetCpuHotPlugStatus: 211,
  VMMDevReq_RegisterSharedModule: 212,
  VMMDevReq_UnregisterSharedModule: 213,
  VMMDevReq_CheckSharedModules: 214,
  VMMDevReq_GetPageSharingStatus: 215,
  VMMDevReq_DebugIsPageShared: 216,
  VMMDevReq_GetSessionId: 217,
  VMMDevReq_WriteCoreDump: 218,
  VMMDevReq_GuestHeartbeat: 219,
  VMMDevReq_HeartbeatConfigure: 220,
  VMMDevReq_NtBugCheck: 221,
  VMMDevReq_VideoUpdateMonitorPositions: 222,
  /** Since VirtualBox 7.0. */
  VMMDevReq_GetMouseStatusEx: 223,
} as const;

export type VmmdevRequestName = keyof typeof VMMDEV_REQUEST_TYPE;

const REQUEST_NAMES = new Map<number, VmmdevRequestName>(
  Object.entries(VMMDEV_REQUEST_TYPE).map(([name, type]) => [type, name as VmmdevRequestName]),
);

/** The name of a request's number, if the header has one. */
export function vmmdevRequestName(type: number): VmmdevRequestName | undefined {
  return REQUEST_NAMES.get(type);
}

/** Who asks, in `fRequestor`: one value of each mask, and single bits. */
export const VMMDEV_REQUESTOR = {
  VMMDEV_REQUESTOR_USR_NOT_GIVEN: 0x0,
  VMMDEV_REQUESTOR_USR_DRV: 0x1,
  VMMDEV_REQUESTOR_USR_DRV_OTHER: 0x2,
  VMMDEV_REQUESTOR_USR_ROOT: 0x3,
  VMMDEV_REQUESTOR_USR_SYSTEM: 0x4,
  VMMDEV_REQUESTOR_USR_RESERVED1: 0x5,
  VMMDEV_REQUESTOR_USR_USER: 0x6,
  VMMDEV_REQUESTOR_USR_GUEST: 0x7,
  VMMDEV_REQUESTOR_USR_MASK: 0x7,
  VMMDEV_REQUESTOR_KERNEL: 0x0,
  VMMDEV_REQUESTOR_USERMODE: 0x8,
  VMMDEV_REQUESTOR_MODE_MASK: 0x8,
  VMMDEV_REQUESTOR_CON_DONT_KNOW: 0x0,
  VMMDEV_REQUESTOR_CON_NO: 0x10,
  VMMDEV_REQUESTOR_CON_YES: 0x20,
  VMMDEV_REQUESTOR_CON_USER: 0x30,
  VMMDEV_REQUESTOR_CON_MASK: 0x30,
  /** The caller is in the group of the node. */
  VMMDEV_REQUESTOR_GRP_VBOX: 0x80,
  VMMDEV_REQUESTOR_GRP_WHEEL: 0x100,
  VMMDEV_REQUESTOR_TRUST_NOT_GIVEN: 0x0,
  VMMDEV_REQUESTOR_TRUST_UNTRUSTED: 0x1000,
  VMMDEV_REQUESTOR_TRUST_LOW: 0x2000,
  VMMDEV_REQUESTOR_TRUST_MEDIUM: 0x3000,
  VMMDEV_REQUESTOR_TRUST_MEDIUM_PLUS: 0x4000,
  VMMDEV_REQUESTOR_TRUST_HIGH: 0x5000,
  VMMDEV_REQUESTOR_TRUST_SYSTEM: 0x6000,
  VMMDEV_REQUESTOR_TRUST_PROTECTED: 0x7000,
  VMMDEV_REQUESTOR_TRUST_MASK: 0x7000,
  /** The call came by /dev/vboxuser. */
  VMMDEV_REQUESTOR_USER_DEVICE: 0x8000,
  VMMDEV_REQUESTOR_NO_USER_DEVICE: 0x10000,
  /** What the host takes a guest's driver for that doesn't tell who asks. */
  VMMDEV_REQUESTOR_LEGACY: 0xffffffff,
  VMMDEV_REQUESTOR_LOWEST: 0x901f,
} as const;

/** The host's features, as masks. */
export const VMMDEV_HVF = {
  VMMDEV_HVF_HGCM_PHYS_PAGE_LIST: 0x1,
  VMMDEV_HVF_HGCM_EMBEDDED_BUFFERS: 0x2,
  VMMDEV_HVF_HGCM_CONTIGUOUS_PAGE_LIST: 0x4,
  VMMDEV_HVF_HGCM_NO_BOUNCE_PAGE_LIST: 0x8,
  VMMDEV_HVF_FAST_IRQ_ACK: 0x80000000,
} as const;

/** What the host wants the guest to look at, as masks. */
export const VMMDEV_EVENT = {
  VMMDEV_EVENT_MOUSE_CAPABILITIES_CHANGED: 0x1,
  VMMDEV_EVENT_HGCM: 0x2,
  VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST: 0x4,
  VMMDEV_EVENT_JUDGE_CREDENTIALS: 0x8,
  VMMDEV_EVENT_RESTORED: 0x10,
  VMMDEV_EVENT_SEAMLESS_MODE_CHANGE_REQUEST: 0x20,
  VMMDEV_EVENT_BALLOON_CHANGE_REQUEST: 0x40,
  VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST: 0x80,
  VMMDEV_EVENT_VRDP: 0x100,
  VMMDEV_EVENT_MOUSE_POSITION_CHANGED: 0x200,
  VMMDEV_EVENT_CPU_HOTPLUG: 0x400,
} as const;
export const VMMDEV_EVENT_VALID_EVENT_MASK = 0x7ff;

export type VmmdevEventName = keyof typeof VMMDEV_EVENT;

/** What the guest can do, as masks. */
export const VMMDEV_GUEST_SUPPORTS = {
  VMMDEV_GUEST_SUPPORTS_SEAMLESS: 0x1,
  VMMDEV_GUEST_SUPPORTS_GUEST_HOST_WINDOW_MAPPING: 0x2,
  VMMDEV_GUEST_SUPPORTS_GRAPHICS: 0x4,
} as const;
export const VMMDEV_GUEST_CAPABILITIES_MASK = 0x7;
