/** The ioctls of both nodes, as a table. Follows vbg_core_ioctl() and what it calls in vboxguest_core.c. */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES,
  VBG_IOCTL_CHANGE_FILTER_MASK,
  VBG_IOCTL_CHANGE_GUEST_CAPABILITIES,
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_DRIVER_VERSION_INFO,
  VBG_IOCTL_HDR_TYPE_DEFAULT,
  VBG_IOCTL_HGCM_CALL_32,
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_HGCM_CONNECT,
  VBG_IOCTL_HGCM_DISCONNECT,
  VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS,
  VBG_IOCTL_LOG,
  VBG_IOCTL_LOG_ALT,
  VBG_IOCTL_SIZES,
  VBG_IOCTL_VMMDEV_REQUEST,
  VBG_IOCTL_VMMDEV_REQUEST_BIG,
  VBG_IOCTL_VMMDEV_REQUEST_BIG_ALT,
  VBG_IOCTL_WAIT_FOR_EVENTS,
  VBG_IOCTL_WRITE_CORE_DUMP,
} from '../../../abi/vboxguest.js';
import type { PendingIoctl } from '../../node.js';
import { fail, type IoctlCall } from './call.js';
import { hgcmCall32, hgcmCall64, hgcmConnect, hgcmDisconnect } from './hgcm-ioctls.js';
import { hex } from './kernel-log.js';
import {
  acquireCapabilities,
  changeCapabilities,
  changeFilterMask,
  checkBalloon,
  driverVersionInfo,
  interruptAllWaits,
  waitForEvents,
  writeCoreDump,
  writeLog,
} from './session-ioctls.js';
import { vmmdevRequest } from './vmmdev-request.js';

type Handler = (call: IoctlCall) => PendingIoctl | undefined;

/** One ioctl. Its handler finds the argument checked as the row says, and changes the data to the answer. */
export interface IoctlRow {
  readonly name: string;
  /** The whole number; without the size where any size is taken. */
  readonly request: number;
  readonly anySize: boolean;
  /** Exact sizes of the argument as it comes and goes, in bytes, header included; the handler checks when left out. */
  readonly sizes?: { readonly in: number; readonly out: number };
  /** The type in the header is that of a request to the host, and not 0. */
  readonly isRequest?: true;
  readonly handler: Handler;
}

type FixedName = keyof typeof VBG_IOCTL_SIZES;

function fixed(name: FixedName, request: number, handler: Handler): IoctlRow {
  return { name, request, anySize: false, sizes: VBG_IOCTL_SIZES[name], handler };
}

function sized(name: string, request: number, handler: Handler): IoctlRow {
  return { name, request, anySize: true, handler };
}

/** All ioctls, in the order of their numbers. */
export const VBG_IOCTLS: readonly IoctlRow[] = [
  fixed('VBG_IOCTL_DRIVER_VERSION_INFO', VBG_IOCTL_DRIVER_VERSION_INFO, driverVersionInfo),
  {
    ...sized('VBG_IOCTL_VMMDEV_REQUEST', VBG_IOCTL_VMMDEV_REQUEST(0), vmmdevRequest),
    isRequest: true,
  },
  {
    name: 'VBG_IOCTL_VMMDEV_REQUEST_BIG',
    request: VBG_IOCTL_VMMDEV_REQUEST_BIG,
    anySize: false,
    isRequest: true,
    handler: vmmdevRequest,
  },
  {
    name: 'VBG_IOCTL_VMMDEV_REQUEST_BIG_ALT',
    request: VBG_IOCTL_VMMDEV_REQUEST_BIG_ALT,
    anySize: false,
    isRequest: true,
    handler: vmmdevRequest,
  },
  fixed('VBG_IOCTL_HGCM_CONNECT', VBG_IOCTL_HGCM_CONNECT, hgcmConnect),
  fixed('VBG_IOCTL_HGCM_DISCONNECT', VBG_IOCTL_HGCM_DISCONNECT, hgcmDisconnect),
  sized('VBG_IOCTL_HGCM_CALL_32', VBG_IOCTL_HGCM_CALL_32(0), hgcmCall32),
  sized('VBG_IOCTL_HGCM_CALL_64', VBG_IOCTL_HGCM_CALL_64(0), hgcmCall64),
  sized('VBG_IOCTL_LOG', VBG_IOCTL_LOG, writeLog),
  sized('VBG_IOCTL_LOG_ALT', VBG_IOCTL_LOG_ALT(0), writeLog),
  fixed('VBG_IOCTL_WAIT_FOR_EVENTS', VBG_IOCTL_WAIT_FOR_EVENTS, waitForEvents),
  fixed(
    'VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS',
    VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS,
    interruptAllWaits,
  ),
  fixed('VBG_IOCTL_CHANGE_FILTER_MASK', VBG_IOCTL_CHANGE_FILTER_MASK, changeFilterMask),
  fixed(
    'VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES',
    VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES,
    acquireCapabilities,
  ),
  fixed(
    'VBG_IOCTL_CHANGE_GUEST_CAPABILITIES',
    VBG_IOCTL_CHANGE_GUEST_CAPABILITIES,
    changeCapabilities,
  ),
  fixed('VBG_IOCTL_CHECK_BALLOON', VBG_IOCTL_CHECK_BALLOON, checkBalloon),
  fixed('VBG_IOCTL_WRITE_CORE_DUMP', VBG_IOCTL_WRITE_CORE_DUMP, writeCoreDump),
];

const SIZE_MASK = 0x3fff0000;
const EXACT = new Map(
  VBG_IOCTLS.filter(({ anySize }) => !anySize).map((row) => [row.request, row]),
);
const SIZED = new Map(VBG_IOCTLS.filter(({ anySize }) => anySize).map((row) => [row.request, row]));

/** The row of an ioctl's number. */
export function findIoctl(request: number): IoctlRow | undefined {
  return EXACT.get(request) ?? SIZED.get((request & ~SIZE_MASK) >>> 0);
}

/** Runs an ioctl. @throws SystemError EINVAL (type, sizes), ENOTTY, and what the handlers do. */
export function runIoctl(call: IoctlCall, request: number): PendingIoctl | undefined {
  const row = findIoctl(request);
  call.rc = VBOX_STATUS.VINF_SUCCESS;
  if (call.header.size_out === 0) call.sizeOut = call.header.size_in;
  const { type, size_in, size_out } = call.header;
  if (row?.isRequest === undefined && type !== VBG_IOCTL_HDR_TYPE_DEFAULT) {
    fail('EINVAL', `the header's type has to be ${VBG_IOCTL_HDR_TYPE_DEFAULT}`);
  }
  if (row === undefined) {
    const { log } = call.session.vbg;
    log.printLimited(`Userspace made an unknown ioctl req ${hex(request)}`);
    fail('ENOTTY');
  }
  const { sizes } = row;
  if (sizes !== undefined && (size_in !== sizes.in || size_out !== sizes.out)) {
    fail('EINVAL', `${row.name} takes ${sizes.in} bytes and gives ${sizes.out}`);
  }
  return row.handler(call);
}
