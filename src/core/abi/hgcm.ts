/**
 * HGCM, the calls from a guest to services of its host. Mirrors the parts of VirtualBox' include/VBox/VMMDev.h and
 * VMMDevCoreTypes.h that are about it; Linux include/uapi/linux/vbox_vmmdev_types.h has the same layouts under other
 * names. The limits of the host are those of its VMMDev and HGCM sources.
 */
import { bytes, i32, struct, u16, u32 } from './layout.js';
import { packedU64, VMMDevRequestHeader } from './vmmdev.js';

/** The services by the names with which a guest connects. Not every host has them all. */
export const HGCM_SERVICES = [
  'VBoxSharedFolders',
  'VBoxSharedClipboard',
  'VBoxHostChannel',
  'VBoxDragAndDropSvc',
  'VBoxGuestPropSvc',
  'VBoxGuestControlSvc',
] as const;

/** Kinds of service locations. The host treats both valid ones as the second. */
export const VMMDEV_HGCM_LOC = {
  VMMDevHGCMLoc_Invalid: 0,
  VMMDevHGCMLoc_LocalHost: 1,
  VMMDevHGCMLoc_LocalHost_Existing: 2,
} as const;

/** Names a service: the kind of location, and a name that ends with a NUL within its 128 bytes. */
export const HGCMServiceLocation = struct('HGCMServiceLocation', {
  type: u32,
  achName: bytes(128),
});

/** Types of parameters. Programs may pass 1, 2 and 4 to 6; the driver and the host share the others. */
export const VMMDEV_HGCM_PARM_TYPE = {
  VMMDevHGCMParmType_Invalid: 0,
  VMMDevHGCMParmType_32bit: 1,
  VMMDevHGCMParmType_64bit: 2,
  VMMDevHGCMParmType_PhysAddr: 3,
  /** Memory of the program that goes to the host and back; the next two go one way. */
  VMMDevHGCMParmType_LinAddr: 4,
  VMMDevHGCMParmType_LinAddr_In: 5,
  VMMDevHGCMParmType_LinAddr_Out: 6,
  /** Memory of the kernel; Linux calls these three LINADDR_KERNEL. */
  VMMDevHGCMParmType_LinAddr_Locked: 7,
  VMMDevHGCMParmType_LinAddr_Locked_In: 8,
  VMMDevHGCMParmType_LinAddr_Locked_Out: 9,
  VMMDevHGCMParmType_PageList: 10,
  VMMDevHGCMParmType_Embedded: 11,
  VMMDevHGCMParmType_ContiguousPageList: 12,
  VMMDevHGCMParmType_NoBouncePageList: 13,
} as const;

/** Which way a buffer goes, in the flags of a page list or of embedded data. */
export const VBOX_HGCM_F_PARM_DIRECTION = {
  VBOX_HGCM_F_PARM_DIRECTION_NONE: 0,
  VBOX_HGCM_F_PARM_DIRECTION_TO_HOST: 1,
  VBOX_HGCM_F_PARM_DIRECTION_FROM_HOST: 2,
  VBOX_HGCM_F_PARM_DIRECTION_BOTH: 3,
} as const;

/**
 * A parameter of a 32-bit program, 12 bytes, with the member `Pointer` of its union: bytes of a buffer, and where it
 * is.
 */
export const HGCMFunctionParameter32 = struct('HGCMFunctionParameter32', {
  type: u32,
  size: u32,
  linearAddr: u32,
});

/** The same with `value64`; a value of 32 bits stands in its lower half. */
export const HGCMFunctionParameter32_value = struct('HGCMFunctionParameter32_value', {
  type: u32,
  value64: packedU64,
});

/** A parameter of a 64-bit program, 16 bytes, with the member `Pointer` of its union. */
export const HGCMFunctionParameter64 = struct('HGCMFunctionParameter64', {
  type: u32,
  size: u32,
  linearAddr: packedU64,
});

/** The same with `value64`, which ends 4 bytes before the parameter does. */
export const HGCMFunctionParameter64_value = struct('HGCMFunctionParameter64_value', {
  type: u32,
  value64: packedU64,
});

/**
 * A parameter with the member `PageList`, in both sizes: bytes of the buffer, and where its HGCMPageListInfo begins,
 * in bytes from the start of the request.
 */
export const HGCMFunctionParameter_PageList = struct('HGCMFunctionParameter_PageList', {
  type: u32,
  size: u32,
  offset: u32,
});

/**
 * A parameter with the member `Embedded`, in both sizes. The lower 8 bits of the first word are its direction, the
 * upper 24 where the data begin, in bytes from the start of the request.
 */
export const HGCMFunctionParameter_Embedded = struct('HGCMFunctionParameter_Embedded', {
  type: u32,
  flagsAndOffset: u32,
  cbData: u32,
});

/** Begins a list of pages; their physical addresses follow, 64 bits each. */
export const HGCMPageListInfo = struct('HGCMPageListInfo', {
  flags: u32,
  offFirstPage: u16,
  cPages: u16,
});

/** In the flags of a request: the host has written its result, or won't any more. */
export const VBOX_HGCM_REQ_DONE = 0x1;
export const VBOX_HGCM_REQ_CANCELLED = 0x2;

/** Begins every request of HGCM but VMMDevHGCMCancel2. */
export const VMMDevHGCMRequestHeader = struct('VMMDevHGCMRequestHeader', {
  header: VMMDevRequestHeader,
  fu32Flags: u32,
  result: i32,
});

const header = VMMDevHGCMRequestHeader;

/** The host writes the client's number. */
export const VMMDevHGCMConnect = struct('VMMDevHGCMConnect', {
  header,
  loc: HGCMServiceLocation,
  u32ClientID: u32,
});

export const VMMDevHGCMDisconnect = struct('VMMDevHGCMDisconnect', { header, u32ClientID: u32 });

/** VMMDevReq_HGCMCall32 and VMMDevReq_HGCMCall64; parameters follow, of the size that the request's number tells. */
export const VMMDevHGCMCall = struct('VMMDevHGCMCall', {
  header,
  u32ClientID: u32,
  u32Function: u32,
  cParms: u32,
});

/** Cancels the request that it lies on; for hosts that don't know VMMDevHGCMCancel2. */
export const VMMDevHGCMCancel = struct('VMMDevHGCMCancel', { header });

/** Cancels the request at a physical address. */
export const VMMDevHGCMCancel2 = struct('VMMDevHGCMCancel2', {
  header: VMMDevRequestHeader,
  physReqToCancel: u32,
});

export const VMMDEV_MAX_HGCM_PARMS = 32;
/** Bytes of all buffers of one call. */
export const VMMDEV_MAX_HGCM_DATA_SIZE = 128 * 1024 * 1024;

/** Who a client belongs to, as the host tells its clients apart. */
export type HgcmClientClass = 'kernel' | 'root' | 'user';

/** Clients at once of each class; one more is VERR_HGCM_TOO_MANY_CLIENTS. */
export const HGCM_MAX_CLIENTS: Readonly<Record<HgcmClientClass, number>> = {
  kernel: 2048,
  root: 1024,
  user: 1024,
};

/** Calls in flight of one client of each class; one more is VERR_HGCM_TOO_MANY_CLIENT_CALLS. */
export const HGCM_MAX_CLIENT_CALLS: Readonly<Record<HgcmClientClass, number>> = {
  kernel: 8192,
  root: 4096,
  user: 2048,
};

/** Bytes that calls may hold on the host for each class of requestors: the bounds between which a host sets them. */
export const HGCM_HEAP_BUDGET = {
  min: 32 * 1024 * 1024,
  maxVirtualBox6: 512 * 1024 * 1024,
  maxVirtualBox7: 1024 * 1024 * 1024,
} as const;
