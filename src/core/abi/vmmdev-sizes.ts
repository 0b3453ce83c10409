/**
 * The sizes of the guest device's requests. Follows vmmdevGetRequestSize() of VirtualBox' include/VBox/VMMDev.h, but
 * counts no element of an array that ends a struct, and has the requests that the header leaves out.
 */
import * as hgcm from './hgcm.js';
import type { VmmdevRequestName } from './vmmdev.js';
import * as display from './vmmdev-display.js';
import * as memory from './vmmdev-memory.js';
import * as requests from './vmmdev-requests.js';

/** Bytes of a request with its header; `element` when an array follows, those of one of its elements. */
export interface RequestSize {
  readonly size: number;
  readonly element?: number;
}

/** Where an array follows, `size` is that of what comes before it. */
export const VMMDEV_REQUEST_SIZES: Readonly<
  Record<Exclude<VmmdevRequestName, 'VMMDevReq_InvalidRequest'>, RequestSize>
> = {
  VMMDevReq_GetMouseStatus: { size: display.VMMDevReqMouseStatus.size },
  VMMDevReq_SetMouseStatus: { size: display.VMMDevReqMouseStatus.size },
  VMMDevReq_SetPointerShape: { size: display.VMMDevReqMousePointer.size, element: 1 },
  VMMDevReq_GetHostVersion: { size: requests.VMMDevReqHostVersion.size },
  VMMDevReq_Idle: { size: requests.VMMDevReqIdle.size },
  VMMDevReq_GetHostTime: { size: requests.VMMDevReqHostTime.size },
  VMMDevReq_GetHypervisorInfo: { size: requests.VMMDevReqHypervisorInfo.size },
  VMMDevReq_SetHypervisorInfo: { size: requests.VMMDevReqHypervisorInfo.size },
  VMMDevReq_RegisterPatchMemory: { size: requests.VMMDevReqPatchMemory.size },
  VMMDevReq_DeregisterPatchMemory: { size: requests.VMMDevReqPatchMemory.size },
  VMMDevReq_SetPowerStatus: { size: requests.VMMDevPowerStateRequest.size },
  VMMDevReq_AcknowledgeEvents: { size: requests.VMMDevEvents.size },
  VMMDevReq_CtlGuestFilterMask: { size: requests.VMMDevCtlGuestFilterMask.size },
  VMMDevReq_ReportGuestInfo: { size: requests.VMMDevReportGuestInfo.size },
  VMMDevReq_GetDisplayChangeRequest: { size: display.VMMDevDisplayChangeRequest.size },
  VMMDevReq_VideoModeSupported: { size: display.VMMDevVideoModeSupportedRequest.size },
  VMMDevReq_GetHeightReduction: { size: display.VMMDevGetHeightReductionRequest.size },
  VMMDevReq_GetDisplayChangeRequest2: { size: display.VMMDevDisplayChangeRequest2.size },
  VMMDevReq_ReportGuestCapabilities: { size: requests.VMMDevReqGuestCapabilities.size },
  VMMDevReq_SetGuestCapabilities: { size: requests.VMMDevReqGuestCapabilities2.size },
  VMMDevReq_VideoModeSupported2: { size: display.VMMDevVideoModeSupportedRequest2.size },
  VMMDevReq_ReportGuestInfo2: { size: requests.VMMDevReportGuestInfo2.size },
  VMMDevReq_ReportGuestStatus: { size: requests.VMMDevReportGuestStatus.size },
  VMMDevReq_HGCMConnect: { size: hgcm.VMMDevHGCMConnect.size },
  VMMDevReq_HGCMDisconnect: { size: hgcm.VMMDevHGCMDisconnect.size },
  VMMDevReq_HGCMCall32: {
    size: hgcm.VMMDevHGCMCall.size,
    element: hgcm.HGCMFunctionParameter32.size,
  },
  VMMDevReq_HGCMCall64: {
    size: hgcm.VMMDevHGCMCall.size,
    element: hgcm.HGCMFunctionParameter64.size,
  },
  VMMDevReq_HGCMCancel: { size: hgcm.VMMDevHGCMCancel.size },
  VMMDevReq_HGCMCancel2: { size: hgcm.VMMDevHGCMCancel2.size },
  VMMDevReq_VideoAccelEnable: { size: display.VMMDevVideoAccelEnable.size },
  VMMDevReq_VideoAccelFlush: { size: display.VMMDevVideoAccelFlush.size },
  VMMDevReq_VideoSetVisibleRegion: {
    size: display.VMMDevVideoSetVisibleRegion.size,
    element: display.RTRECT.size,
  },
  VMMDevReq_GetSeamlessChangeRequest: { size: display.VMMDevSeamlessChangeRequest.size },
  VMMDevReq_ReportGuestUserState: {
    size: requests.VMMDevReportGuestUserState.size,
    element: 1,
  },
  VMMDevReq_GetDisplayChangeRequestEx: { size: display.VMMDevDisplayChangeRequestEx.size },
  VMMDevReq_GetDisplayChangeRequestMulti: {
    size: display.VMMDevDisplayChangeRequestMulti.size,
    element: display.VMMDevDisplayDef.size,
  },
  VMMDevReq_QueryCredentials: { size: requests.VMMDevCredentials.size },
  VMMDevReq_ReportCredentialsJudgement: { size: requests.VMMDevCredentials.size },
  VMMDevReq_ReportGuestStats: { size: memory.VMMDevReportGuestStats.size },
  VMMDevReq_GetMemBalloonChangeRequest: { size: memory.VMMDevGetMemBalloonChangeRequest.size },
  VMMDevReq_GetStatisticsChangeRequest: { size: memory.VMMDevGetStatisticsChangeRequest.size },
  VMMDevReq_ChangeMemBalloon: { size: memory.VMMDevChangeMemBalloon.size, element: 8 },
  VMMDevReq_GetVRDPChangeRequest: { size: display.VMMDevVRDPChangeRequest.size },
  VMMDevReq_LogString: { size: requests.VMMDevReqLogString.size, element: 1 },
  VMMDevReq_GetCpuHotPlugRequest: { size: requests.VMMDevGetCpuHotPlugRequest.size },
  VMMDevReq_SetCpuHotPlugStatus: { size: requests.VMMDevCpuHotPlugStatusRequest.size },
  VMMDevReq_RegisterSharedModule: {
    size: requests.VMMDevSharedModuleRegistrationRequest.size,
    element: requests.VMMDEVSHAREDREGIONDESC.size,
  },
  VMMDevReq_UnregisterSharedModule: {
    size: requests.VMMDevSharedModuleUnregistrationRequest.size,
  },
  VMMDevReq_CheckSharedModules: { size: requests.VMMDevSharedModuleCheckRequest.size },
  VMMDevReq_GetPageSharingStatus: { size: requests.VMMDevPageSharingStatusRequest.size },
  VMMDevReq_DebugIsPageShared: { size: requests.VMMDevPageIsSharedRequest.size },
  VMMDevReq_GetSessionId: { size: requests.VMMDevReqSessionId.size },
  VMMDevReq_WriteCoreDump: { size: requests.VMMDevReqWriteCoreDump.size },
  VMMDevReq_GuestHeartbeat: { size: requests.VMMDevReqGuestHeartbeat.size },
  VMMDevReq_HeartbeatConfigure: { size: requests.VMMDevReqHeartbeat.size },
  VMMDevReq_NtBugCheck: { size: requests.VMMDevReqNtBugCheck.size },
  VMMDevReq_VideoUpdateMonitorPositions: {
    size: display.VMMDevVideoUpdateMonitorPositions.size,
    element: display.RTPOINT.size,
  },
  VMMDevReq_GetMouseStatusEx: { size: display.VMMDevReqMouseStatusEx.size },
};
