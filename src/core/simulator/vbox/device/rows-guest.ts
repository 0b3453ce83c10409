/** Requests about the guest itself, its events and the time. Source: VirtualBox' VMMDev.cpp. */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDevRequestHeader } from '../../../abi/vmmdev.js';
import {
  VMMDEV_POWER_STATE,
  VMMDevCtlGuestFilterMask,
  VMMDevEvents,
  VMMDevPowerStateRequest,
  VMMDevReportGuestInfo,
  VMMDevReportGuestInfo2,
  VMMDevReportGuestStatus,
  VMMDevReportGuestUserState,
  VMMDevReqGuestCapabilities,
  VMMDevReqGuestCapabilities2,
  VMMDevReqGuestHeartbeat,
  VMMDevReqHeartbeat,
  VMMDevReqHostTime,
  VMMDevReqHostVersion,
  VMMDevReqIdle,
  VMMDevReqLogString,
  VMMDevReqNtBugCheck,
  VMMDevReqSessionId,
  VMMDevReqWriteCoreDump,
} from '../../../abi/vmmdev-requests.js';
import type { DeviceParts, PowerRequest } from './parts.js';
import { ok, type Request, type RequestRow, row } from './row.js';

const STATUS = VBOX_STATUS;

/** What each state is in the log, and for whoever owns the VM. */
const POWER: Readonly<Record<number, { request: PowerRequest; text: string }>> = {
  [VMMDEV_POWER_STATE.VMMDevPowerState_Pause]: {
    request: 'pause',
    text: 'VMMDev: Guest requests the VM to be suspended (paused)',
  },
  [VMMDEV_POWER_STATE.VMMDevPowerState_PowerOff]: {
    request: 'power-off',
    text: 'VMMDev: Guest requests the VM to be turned off',
  },
  [VMMDEV_POWER_STATE.VMMDevPowerState_SaveState]: {
    request: 'save-state',
    text: 'VMMDev: Guest requests the VM to be saved and powered off',
  },
};

/** Bytes of the header's struct for a report on a user, which has one byte of each part, padded. */
const USER_STATE_LEAST = VMMDevReportGuestUserState.size + 4;
/** Bytes that each part of a report on a user may have, and the whole request. */
const USER_STATE_LIMITS = { cbUser: 256, cbDomain: 256, cbDetails: 1024, request: 2048 } as const;

export const GUEST_ROWS: readonly RequestRow[] = [
  row(
    'VMMDevReq_GetHostVersion',
    VMMDevReqHostVersion,
    ({ config }) => ok({ ...config.hostVersion, features: config.features }),
    { early: true },
  ),
  // It gives the rest of a time slice away, which nobody has here; the status is the guest's own.
  row('VMMDevReq_Idle', VMMDevReqIdle, () => undefined, { size: { least: VMMDevReqIdle.size } }),
  row('VMMDevReq_GetHostTime', VMMDevReqHostTime, ({ config, platform }) => {
    if (config.getHostTimeDisabled) return STATUS.VERR_NOT_SUPPORTED;
    return ok({ time: BigInt(Math.floor(platform.clock.wallMs())) });
  }),
  row('VMMDevReq_SetPowerStatus', VMMDevPowerStateRequest, setPowerStatus),
  row('VMMDevReq_AcknowledgeEvents', VMMDevEvents, ({ events }) =>
    ok({ events: events.acknowledge() }),
  ),
  row('VMMDevReq_CtlGuestFilterMask', VMMDevCtlGuestFilterMask, ({ events }, masks) => {
    events.changeFilter(masks.u32OrMask, masks.u32NotMask);
    return STATUS.VINF_SUCCESS;
  }),
  row(
    'VMMDevReq_ReportGuestInfo',
    VMMDevReportGuestInfo,
    ({ report, events }, { guestInfo }) => {
      const rc = report.report(guestInfo);
      events.ready = rc === STATUS.VINF_SUCCESS;
      if (events.ready) events.lowerInterrupt();
      return rc;
    },
    { early: true },
  ),
  row(
    'VMMDevReq_ReportGuestInfo2',
    VMMDevReportGuestInfo2,
    ({ report, events }, { guestInfo }) => {
      const rc = report.reportAdditions(guestInfo);
      if (rc === STATUS.VINF_SUCCESS) events.lowerInterrupt();
      return rc;
    },
    { early: true },
  ),
  row('VMMDevReq_ReportGuestStatus', VMMDevReportGuestStatus, ({ facilities }, { guestStatus }) =>
    facilities.report(guestStatus),
  ),
  row('VMMDevReq_ReportGuestUserState', VMMDevReportGuestUserState, reportUserState, {
    size: { least: USER_STATE_LEAST },
  }),
  row('VMMDevReq_ReportGuestCapabilities', VMMDevReqGuestCapabilities, ({ report }, { caps }) =>
    report.setCapabilities(caps),
  ),
  row('VMMDevReq_SetGuestCapabilities', VMMDevReqGuestCapabilities2, ({ report }, masks) =>
    report.changeCapabilities(masks.u32OrMask, masks.u32NotMask),
  ),
  row('VMMDevReq_LogString', VMMDevReqLogString, logString, {
    size: { least: VMMDevReqLogString.size },
  }),
  row('VMMDevReq_GetSessionId', VMMDevReqSessionId, ({ state }) =>
    ok({ idSession: state.sessionId }),
  ),
  row(
    'VMMDevReq_WriteCoreDump',
    VMMDevReqWriteCoreDump,
    ({ config }) =>
      config.guestCoreDumpEnabled ? STATUS.VERR_PATH_NOT_FOUND : STATUS.VERR_ACCESS_DENIED,
    { early: true },
  ),
  row('VMMDevReq_GuestHeartbeat', VMMDevReqGuestHeartbeat, ({ heartbeat }) => heartbeat.beat(), {
    size: { least: VMMDevReqGuestHeartbeat.size },
  }),
  row('VMMDevReq_HeartbeatConfigure', VMMDevReqHeartbeat, ({ heartbeat }, { fEnabled }) =>
    ok({ cNsInterval: heartbeat.configure(fEnabled !== 0) }),
  ),
  row('VMMDevReq_NtBugCheck', VMMDevRequestHeader, ntBugCheck, {
    size: { exact: [VMMDevReqNtBugCheck.size, VMMDevRequestHeader.size] },
  }),
];

/** The wish is written down; a VM's state is its owner's. */
function setPowerStatus(
  { config, log, state }: DeviceParts,
  { powerState }: { powerState: number },
): number {
  const wish = POWER[powerState];
  if (wish === undefined) return STATUS.VERR_INVALID_PARAMETER;
  if (wish.request === 'save-state' && !config.allowGuestToSaveState) {
    log.line(`${wish.text}, declined`);
    return STATUS.VERR_ACCESS_DENIED;
  }
  log.line(wish.text);
  state.powerRequest = wish.request;
  return STATUS.VINF_SUCCESS;
}

/** It is checked, and told to nobody. */
function reportUserState(
  _device: DeviceParts,
  { status }: { status: { cbUser: number; cbDomain: number; cbDetails: number } },
  { bytes }: Request,
): number {
  const { cbUser, cbDomain, cbDetails } = status;
  const limits = USER_STATE_LIMITS;
  const isLong =
    cbUser > limits.cbUser || cbDomain > limits.cbDomain || cbDetails > limits.cbDetails;
  if (isLong || bytes.length > limits.request) return STATUS.VERR_TOO_MUCH_DATA;
  const domain = VMMDevReportGuestUserState.size + cbUser;
  const details = domain + cbDomain;
  if (cbUser === 0 || details + cbDetails > bytes.length) return STATUS.VERR_INVALID_PARAMETER;
  const texts = [bytes.subarray(VMMDevReportGuestUserState.size, domain)];
  if (cbDomain > 0) texts.push(bytes.subarray(domain, details));
  if (texts.some((text) => !text.includes(0))) return STATUS.VERR_INVALID_PARAMETER;
  return texts.every(isUtf8) ? STATUS.VINF_SUCCESS : STATUS.VERR_INVALID_UTF8_ENCODING;
}

/** Whether what comes before the NUL is UTF-8: what isn't would be decoded to a replacement that has other bytes. */
function isUtf8(text: Uint8Array): boolean {
  const before = text.subarray(0, text.indexOf(0));
  const again = new TextEncoder().encode(
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(before),
  );
  return again.length === before.length && again.every((byte, i) => byte === before[i]);
}

/** Only a debug build of the host knows it. */
function logString({ config, log }: DeviceParts, _fields: unknown, { bytes }: Request): number {
  if (!config.logString) return STATUS.VERR_NOT_IMPLEMENTED;
  const text = bytes.subarray(VMMDevReqLogString.size);
  // The header's struct ends at a multiple of 4, and is the least that is taken.
  if (text.length < 4 || text.at(-1) !== 0) return STATUS.VERR_INVALID_PARAMETER;
  log.line(`DEBUG LOG: ${new TextDecoder().decode(text.subarray(0, text.indexOf(0)))}`);
  return STATUS.VINF_SUCCESS;
}

function ntBugCheck({ log }: DeviceParts, _fields: unknown, { bytes }: Request): number {
  if (bytes.length === VMMDevRequestHeader.size) log.line('VMMDev: NT BugCheck w/o data.');
  return STATUS.VINF_SUCCESS;
}
