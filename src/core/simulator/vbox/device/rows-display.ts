/**
 * Requests about mouse, display and remote desktop, as a host without a screen answers them: it wants no change, takes
 * what it is told, and keeps nothing. Source: VirtualBox' VMMDev.cpp.
 */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDEV_EVENT } from '../../../abi/vmmdev.js';
import {
  RTPOINT,
  RTRECT,
  VMMDEV_DISPLAY,
  VMMDEV_MOUSE_GUEST_MASK,
  VMMDEV_SEAMLESS_MODE,
  VMMDevDisplayChangeRequest,
  VMMDevDisplayChangeRequest2,
  VMMDevDisplayChangeRequestEx,
  VMMDevDisplayChangeRequestMulti,
  VMMDevDisplayDef,
  VMMDevGetHeightReductionRequest,
  VMMDevReqMousePointer,
  VMMDevReqMouseStatus,
  VMMDevReqMouseStatusEx,
  VMMDevSeamlessChangeRequest,
  VMMDevVideoAccelEnable,
  VMMDevVideoAccelFlush,
  VMMDevVideoModeSupportedRequest,
  VMMDevVideoModeSupportedRequest2,
  VMMDevVideoSetVisibleRegion,
  VMMDevVideoUpdateMonitorPositions,
  VMMDevVRDPChangeRequest,
} from '../../../abi/vmmdev-display.js';
import type { DeviceParts } from './parts.js';
import { type Changed, ok, type Request, type RequestRow, row } from './row.js';

const { VINF_SUCCESS, VERR_INVALID_PARAMETER } = VBOX_STATUS;

/** Bytes of the header's struct for a pointer, which has one word of a shape. */
const POINTER_LEAST = VMMDevReqMousePointer.size + 4;
/** The guest sends a shape with it. */
const VBOX_MOUSE_POINTER_SHAPE = 0x4;
/** Pixels of a pointer, each way. */
const MOST_POINTER = 8192;
/** Displays of a VM. */
const MOST_DISPLAYS = 64;
/** Bytes of the ring for acceleration in VMMDevMemory, which guest and host have to agree on. */
const VBVA_RING_BUFFER_SIZE = 4193280;
const VBVA_F_STATUS_ACCEPTED = 0x1;
/** What a list of rectangles or points may have. */
const MOST_ELEMENTS = 0x100000;

/** Nobody has asked for a size, a depth or a place. */
const NO_CHANGE = { xres: 0, yres: 0, bpp: 0 } as const;

export const DISPLAY_ROWS: readonly RequestRow[] = [
  row('VMMDevReq_GetMouseStatus', VMMDevReqMouseStatus, ({ state }) => ok(mouseStatus(state))),
  row('VMMDevReq_SetMouseStatus', VMMDevReqMouseStatus, ({ state }, { mouseFeatures }) => {
    const host = state.mouseFeatures & ~VMMDEV_MOUSE_GUEST_MASK;
    state.mouseFeatures = host | (mouseFeatures & VMMDEV_MOUSE_GUEST_MASK);
    return VINF_SUCCESS;
  }),
  row('VMMDevReq_GetMouseStatusEx', VMMDevReqMouseStatusEx, ({ state }, { Core }) =>
    ok({ Core: { ...Core, ...mouseStatus(state) }, dz: 0, dw: 0, fButtons: 0 }),
  ),
  row('VMMDevReq_SetPointerShape', VMMDevReqMousePointer, setPointerShape, {
    size: { least: POINTER_LEAST },
  }),
  row('VMMDevReq_GetDisplayChangeRequest', VMMDevDisplayChangeRequest, () => ok(NO_CHANGE)),
  row('VMMDevReq_GetDisplayChangeRequest2', VMMDevDisplayChangeRequest2, () =>
    ok({ ...NO_CHANGE, display: 0 }),
  ),
  row('VMMDevReq_GetDisplayChangeRequestEx', VMMDevDisplayChangeRequestEx, () =>
    ok({ ...NO_CHANGE, display: 0, cxOrigin: 0, cyOrigin: 0, fChangeOrigin: 0, fEnabled: 0 }),
  ),
  row('VMMDevReq_GetDisplayChangeRequestMulti', VMMDevDisplayChangeRequestMulti, displays, {
    size: { least: VMMDevDisplayChangeRequestMulti.size + VMMDevDisplayDef.size },
  }),
  // No screen is there that a mode would not fit.
  row('VMMDevReq_VideoModeSupported', VMMDevVideoModeSupportedRequest, () => ok({ fSupported: 1 })),
  row('VMMDevReq_VideoModeSupported2', VMMDevVideoModeSupportedRequest2, () =>
    ok({ fSupported: 1 }),
  ),
  row('VMMDevReq_GetHeightReduction', VMMDevGetHeightReductionRequest, () =>
    ok({ heightReduction: 0 }),
  ),
  row('VMMDevReq_VideoAccelEnable', VMMDevVideoAccelEnable, enableAcceleration, {
    size: { least: VMMDevVideoAccelEnable.size },
  }),
  row('VMMDevReq_VideoAccelFlush', VMMDevVideoAccelFlush, () => VINF_SUCCESS, {
    size: { least: VMMDevVideoAccelFlush.size },
  }),
  row(
    'VMMDevReq_VideoSetVisibleRegion',
    VMMDevVideoSetVisibleRegion,
    (_device, { cRect }, { bytes }) =>
      checkList(cRect, RTRECT.size, bytes.length - VMMDevVideoSetVisibleRegion.size),
    { size: { least: VMMDevVideoSetVisibleRegion.size } },
  ),
  row(
    'VMMDevReq_VideoUpdateMonitorPositions',
    VMMDevVideoUpdateMonitorPositions,
    (_device, { cPositions }, { bytes }) =>
      checkList(cPositions, RTPOINT.size, bytes.length - VMMDevVideoUpdateMonitorPositions.size),
    { size: { least: VMMDevVideoUpdateMonitorPositions.size } },
  ),
  row('VMMDevReq_GetSeamlessChangeRequest', VMMDevSeamlessChangeRequest, () =>
    ok({ mode: VMMDEV_SEAMLESS_MODE.VMMDev_Seamless_Disabled }),
  ),
  row('VMMDevReq_GetVRDPChangeRequest', VMMDevVRDPChangeRequest, () =>
    ok({ u8VRDPActive: 0, u32VRDPExperienceLevel: 0 }),
  ),
];

/** The pointer of a host without a mouse stays in its corner. */
function mouseStatus({ mouseFeatures }: { mouseFeatures: number }) {
  return { mouseFeatures, pointerXPos: 0, pointerYPos: 0 };
}

/** A shape is a mask of one bit a pixel, to a multiple of 4 bytes, and the pixels. */
function setPointerShape(
  _device: DeviceParts,
  { fFlags, width, height }: { fFlags: number; width: number; height: number },
  { bytes }: Request,
): number {
  const hasShape = (fFlags & VBOX_MOUSE_POINTER_SHAPE) !== 0 && bytes.length > POINTER_LEAST;
  if (!hasShape) return VINF_SUCCESS;
  if (width > MOST_POINTER || height > MOST_POINTER) return VERR_INVALID_PARAMETER;
  const mask = Math.ceil(width / 8) * height;
  const shape = Math.ceil(mask / 4) * 4 + width * 4 * height;
  const fits = VMMDevReqMousePointer.size + shape <= bytes.length;
  return fits ? VINF_SUCCESS : VERR_INVALID_PARAMETER;
}

/** With the event's acknowledge what is new, which nothing is; else all that are asked for, each disabled. */
function displays(
  _device: DeviceParts,
  { eventAck, cDisplays }: { eventAck: number; cDisplays: number },
  { view }: Request,
): Changed<{ cDisplays: number }> | number {
  const first = VMMDevDisplayChangeRequestMulti.size;
  const fits = first + cDisplays * VMMDevDisplayDef.size <= view.byteLength;
  if (cDisplays === 0 || cDisplays > MOST_DISPLAYS || !fits) return VERR_INVALID_PARAMETER;
  if (eventAck === VMMDEV_EVENT.VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST) return ok({ cDisplays: 0 });
  const { VMMDEV_DISPLAY_DISABLED: fDisplayFlags } = VMMDEV_DISPLAY;
  for (let idDisplay = 0; idDisplay < cDisplays; idDisplay++) {
    const at = first + idDisplay * VMMDevDisplayDef.size;
    VMMDevDisplayDef.write(view, at, { ...VMMDevDisplayDef.zero(), fDisplayFlags, idDisplay });
  }
  return VINF_SUCCESS;
}

/** The request is in order, but without a screen nothing is accelerated. */
function enableAcceleration(
  { log }: DeviceParts,
  { cbRingBuffer, fu32Status }: { cbRingBuffer: number; fu32Status: number },
): Changed<{ fu32Status: number }> | number {
  if (cbRingBuffer !== VBVA_RING_BUFFER_SIZE) {
    const [told, right] = [cbRingBuffer, VBVA_RING_BUFFER_SIZE].map((size) => size.toString(16));
    const text = `VMMDevReq_VideoAccelEnable guest ring buffer size 0x${told}, should be 0x${right}!!`;
    log.few('acceleration', 16, text);
    return VERR_INVALID_PARAMETER;
  }
  return ok({ fu32Status: (fu32Status | VBVA_F_STATUS_ACCEPTED) >>> 0 });
}

function checkList(count: number, elementSize: number, bytes: number): number {
  const fits = count <= MOST_ELEMENTS && count * elementSize === bytes;
  return fits ? VINF_SUCCESS : VERR_INVALID_PARAMETER;
}
