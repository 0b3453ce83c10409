/**
 * The guest device's requests about mouse, display and remote desktop. Mirrors VirtualBox' include/VBox/VMMDev.h. A
 * struct that ends in an array is described without it: its `size` is where the array begins. A bool is one byte.
 */
import { i32, struct, u8, u32 } from './layout.js';
import { VMMDevRequestHeader } from './vmmdev.js';

const header = VMMDevRequestHeader;

/** VMMDevReq_GetMouseStatus and VMMDevReq_SetMouseStatus; features as in VMMDEV_MOUSE. */
export const VMMDevReqMouseStatus = struct('VMMDevReqMouseStatus', {
  header,
  mouseFeatures: u32,
  pointerXPos: i32,
  pointerYPos: i32,
});

/** VMMDevReq_GetMouseStatusEx, since VirtualBox 7.0: the wheels and VMMDEV_MOUSE_BUTTON too. */
export const VMMDevReqMouseStatusEx = struct('VMMDevReqMouseStatusEx', {
  Core: VMMDevReqMouseStatus,
  dz: i32,
  dw: i32,
  fButtons: u32,
});

/** Buttons that are down, as masks; since VirtualBox 7.0. */
export const VMMDEV_MOUSE_BUTTON = {
  VMMDEV_MOUSE_BUTTON_LEFT: 0x1,
  VMMDEV_MOUSE_BUTTON_RIGHT: 0x2,
  VMMDEV_MOUSE_BUTTON_MIDDLE: 0x4,
  VMMDEV_MOUSE_BUTTON_X1: 0x8,
  VMMDEV_MOUSE_BUTTON_X2: 0x10,
} as const;

/** What both sides can do with the pointer, and what they want, as masks. */
export const VMMDEV_MOUSE = {
  VMMDEV_MOUSE_GUEST_CAN_ABSOLUTE: 0x1,
  VMMDEV_MOUSE_HOST_WANTS_ABSOLUTE: 0x2,
  VMMDEV_MOUSE_GUEST_NEEDS_HOST_CURSOR: 0x4,
  VMMDEV_MOUSE_HOST_CANNOT_HWPOINTER: 0x8,
  VMMDEV_MOUSE_NEW_PROTOCOL: 0x10,
  VMMDEV_MOUSE_HOST_RECHECKS_NEEDS_HOST_CURSOR: 0x20,
  VMMDEV_MOUSE_HOST_HAS_ABS_DEV: 0x40,
  /** Since VirtualBox 7.0, as the next one. */
  VMMDEV_MOUSE_GUEST_USES_FULL_STATE_PROTOCOL: 0x80,
  VMMDEV_MOUSE_HOST_USES_FULL_STATE_PROTOCOL: 0x100,
} as const;
/** The features that a guest may set, in VirtualBox 7.0. */
export const VMMDEV_MOUSE_GUEST_MASK = 0x95;
/** The features that a host may set, in VirtualBox 7.0. */
export const VMMDEV_MOUSE_HOST_MASK = 0x16a;
/** The guest's features of which the host tells its own user interface. */
export const VMMDEV_MOUSE_NOTIFY_HOST_MASK = 0x5;
/** The host's features of which the guest gets an event. */
export const VMMDEV_MOUSE_NOTIFY_GUEST_MASK = 0x2;
/** Positions are in a range of their own, whatever the display's size. */
export const VMMDEV_MOUSE_RANGE_MIN = 0;
export const VMMDEV_MOUSE_RANGE_MAX = 0xffff;

/** VMMDevReq_SetPointerShape; the shape follows: a mask of one bit a pixel, and pixels of 32 bits. */
export const VMMDevReqMousePointer = struct('VMMDevReqMousePointer', {
  header,
  fFlags: u32,
  xHot: u32,
  yHot: u32,
  width: u32,
  height: u32,
});

export const VMMDevDisplayChangeRequest = struct('VMMDevDisplayChangeRequest', {
  header,
  xres: u32,
  yres: u32,
  bpp: u32,
  eventAck: u32,
});

export const VMMDevDisplayChangeRequest2 = struct('VMMDevDisplayChangeRequest2', {
  header,
  xres: u32,
  yres: u32,
  bpp: u32,
  eventAck: u32,
  display: u32,
});

export const VMMDevDisplayChangeRequestEx = struct('VMMDevDisplayChangeRequestEx', {
  header,
  xres: u32,
  yres: u32,
  bpp: u32,
  eventAck: u32,
  display: u32,
  cxOrigin: u32,
  cyOrigin: u32,
  fChangeOrigin: u8,
  fEnabled: u8,
});

/** One display of a VMMDevDisplayChangeRequestMulti. */
export const VMMDevDisplayDef = struct('VMMDevDisplayDef', {
  fDisplayFlags: u32,
  idDisplay: u32,
  xOrigin: i32,
  yOrigin: i32,
  cx: u32,
  cy: u32,
  cBitsPerPixel: u32,
});

/** Which fields of a VMMDevDisplayDef count, and what the display is. */
export const VMMDEV_DISPLAY = {
  VMMDEV_DISPLAY_PRIMARY: 0x1,
  VMMDEV_DISPLAY_DISABLED: 0x2,
  VMMDEV_DISPLAY_ORIGIN: 0x4,
  VMMDEV_DISPLAY_CX: 0x8,
  VMMDEV_DISPLAY_CY: 0x10,
  VMMDEV_DISPLAY_BPP: 0x20,
} as const;

/** VMMDevDisplayDefs follow. */
export const VMMDevDisplayChangeRequestMulti = struct('VMMDevDisplayChangeRequestMulti', {
  header,
  eventAck: u32,
  cDisplays: u32,
});

export const VMMDevVideoModeSupportedRequest = struct('VMMDevVideoModeSupportedRequest', {
  header,
  width: u32,
  height: u32,
  bpp: u32,
  fSupported: u8,
});

export const VMMDevVideoModeSupportedRequest2 = struct('VMMDevVideoModeSupportedRequest2', {
  header,
  display: u32,
  width: u32,
  height: u32,
  bpp: u32,
  fSupported: u8,
});

/** Pixels that the host's own menus take away. */
export const VMMDevGetHeightReductionRequest = struct('VMMDevGetHeightReductionRequest', {
  header,
  heightReduction: u32,
});

export const VMMDevVideoAccelEnable = struct('VMMDevVideoAccelEnable', {
  header,
  u32Enable: u32,
  cbRingBuffer: u32,
  fu32Status: u32,
});

export const VMMDevVideoAccelFlush = struct('VMMDevVideoAccelFlush', { header });

/** RTRECTs follow. */
export const VMMDevVideoSetVisibleRegion = struct('VMMDevVideoSetVisibleRegion', {
  header,
  cRect: u32,
});

/** A rectangle, in pixels; of VirtualBox' iprt/types.h. */
export const RTRECT = struct('RTRECT', { xLeft: i32, yTop: i32, xRight: i32, yBottom: i32 });

/** RTPOINTs follow. */
export const VMMDevVideoUpdateMonitorPositions = struct('VMMDevVideoUpdateMonitorPositions', {
  header,
  cPositions: u32,
});

/** A point, in pixels; of VirtualBox' iprt/types.h. */
export const RTPOINT = struct('RTPOINT', { x: i32, y: i32 });

export const VMMDevSeamlessChangeRequest = struct('VMMDevSeamlessChangeRequest', {
  header,
  mode: u32,
  eventAck: u32,
});

export const VMMDEV_SEAMLESS_MODE = {
  VMMDev_Seamless_Disabled: 0,
  VMMDev_Seamless_Visible_Region: 1,
  VMMDev_Seamless_Host_Window: 2,
} as const;

export const VMMDevVRDPChangeRequest = struct('VMMDevVRDPChangeRequest', {
  header,
  u8VRDPActive: u8,
  u32VRDPExperienceLevel: u32,
});
