/**
 * Which memory of its caller an ioctl has. The kernel does not know the devices that are behind CUSE, so it copies what
 * it is asked for and begins the call again. What is asked depends on the request and on what has been copied, and on
 * nothing else: there is no state between two rounds of a call, and a program that changes its memory meanwhile only
 * harms itself.
 */
import { SystemError } from '../../abi/errno.js';
import { IOC_IN, IOC_OUT, IOCPARM_MASK } from '../../abi/freebsd-ioctl.js';
import { FUSE_IOCTL_MAX_IOV } from '../../abi/fuse.js';
import {
  HGCMFunctionParameter32,
  HGCMFunctionParameter64,
  VMMDEV_HGCM_PARM_TYPE,
  VMMDEV_MAX_HGCM_PARMS,
} from '../../abi/hgcm.js';
import { ioctlParts } from '../../abi/linux-ioctl.js';
import {
  VBG_IOCTL_HDR_VERSION,
  VBG_IOCTL_HGCM_CALL_32,
  VBG_IOCTL_HGCM_CALL_64,
  vbg_ioctl_hdr,
  vbg_ioctl_hgcm_call,
} from '../../abi/vboxguest.js';
import { MAX_TRANSFER, type UserRange } from './message.js';

/** The memory of one call. The argument comes first in both; further ranges are those that it points to. */
export interface CallRanges {
  /** What is copied from the program. */
  readonly into: readonly UserRange[];
  /** What is copied to it. */
  readonly out: readonly UserRange[];
  /** The argument is not copied back, so that all of `out` is what it points to. */
  readonly argumentStays?: boolean;
}

/**
 * The ranges of a call. `copied` is what the kernel has sent of them in the round before; when the answer is the same
 * as then, the call has all that it needs.
 */
export type RangesOf = (request: number, argument: bigint, copied: Uint8Array) => CallRanges;

/** Bytes of some ranges. */
export function totalLength(ranges: readonly UserRange[]): number {
  return ranges.reduce((total, { length }) => total + length, 0);
}

/** @throws SystemError ENOMEM for more than the kernel carries in one call, which is what it would say itself. */
export function checkTransfer({ into, out }: CallRanges): void {
  const tooMany = into.length + out.length > FUSE_IOCTL_MAX_IOV;
  if (!tooMany && totalLength(into) <= MAX_TRANSFER && totalLength(out) <= MAX_TRANSFER) return;
  throw new SystemError('ENOMEM', {
    syscall: 'ioctl',
    message: `CUSE carries ${MAX_TRANSFER} bytes of one ioctl`,
  });
}

/** FreeBSD's: the request itself tells the size and the direction. */
export const freebsdRanges: RangesOf = (request, base) => {
  const argument = { base, length: (request >>> 16) & IOCPARM_MASK };
  const has = (bit: number) => argument.length > 0 && (request & bit) !== 0;
  return { into: has(IOC_IN) ? [argument] : [], out: has(IOC_OUT) ? [argument] : [] };
};

const NO_RANGES: CallRanges = { into: [], out: [] };

/**
 * Those of VirtualBox's guest device: the request or the header tells the size, and the parameters of HGCM point to
 * buffers. Where the header makes no sense it is all that the driver gets to see, which refuses it.
 */
export const vboxRanges: RangesOf = (request, base, copied) => {
  const { size: told } = ioctlParts(request);
  if (told >= vbg_ioctl_hdr.size) return withBuffers(request, { base, length: told }, copied);
  const header = { base, length: vbg_ioctl_hdr.size };
  if (copied.length < header.length) return { ...NO_RANGES, into: [header] };
  const { version, size_in, size_out } = vbg_ioctl_hdr.decode(copied);
  if (version !== VBG_IOCTL_HDR_VERSION || size_in < header.length) {
    return { ...NO_RANGES, into: [header] };
  }
  const into = { base, length: size_in };
  return { into: [into], out: [{ base, length: size_out === 0 ? size_in : size_out }] };
};

function withBuffers(request: number, argument: UserRange, copied: Uint8Array): CallRanges {
  const layout = PARAMETERS.get((request & ~SIZE_MASK) >>> 0);
  const call = copied.subarray(0, argument.length);
  const buffers =
    layout === undefined || call.length < argument.length ? [] : buffersOf(call, layout);
  // A buffer that only comes from the host is copied in too: the host may fill a part of it, and the rest stays.
  const into = buffers.map(({ range }) => range);
  const out = buffers.filter(({ fromHost }) => fromHost).map(({ range }) => range);
  return { into: [argument, ...into], out: [argument, ...out] };
}

const SIZE_MASK = 0x3fff0000;

interface ParameterLayout {
  readonly size: number;
  decode(data: Uint8Array): { type: number; size: number; linearAddr: bigint | number };
}

const PARAMETERS = new Map<number, ParameterLayout>([
  [VBG_IOCTL_HGCM_CALL_32(0), HGCMFunctionParameter32],
  [VBG_IOCTL_HGCM_CALL_64(0), HGCMFunctionParameter64],
]);

const {
  VMMDevHGCMParmType_LinAddr,
  VMMDevHGCMParmType_LinAddr_In,
  VMMDevHGCMParmType_LinAddr_Out,
} = VMMDEV_HGCM_PARM_TYPE;

/** The types of parameters that are buffers, and whether the host may write to them. */
const FROM_HOST = new Map<number, boolean>([
  [VMMDevHGCMParmType_LinAddr, true],
  [VMMDevHGCMParmType_LinAddr_In, false],
  [VMMDevHGCMParmType_LinAddr_Out, true],
]);

interface Buffer {
  readonly range: UserRange;
  readonly fromHost: boolean;
}

/** The buffers that the parameters of a call of HGCM point to; none where the driver refuses the call. */
function buffersOf(call: Uint8Array, layout: ParameterLayout): Buffer[] {
  if (call.length < vbg_ioctl_hgcm_call.size) return [];
  const { parm_count } = vbg_ioctl_hgcm_call.decode(call);
  const end = vbg_ioctl_hgcm_call.size + parm_count * layout.size;
  if (parm_count > VMMDEV_MAX_HGCM_PARMS || end > call.length) return [];
  const buffers: Buffer[] = [];
  for (let at = vbg_ioctl_hgcm_call.size; at < end; at += layout.size) {
    const { type, size, linearAddr } = layout.decode(call.subarray(at));
    const fromHost = FROM_HOST.get(type);
    if (fromHost === undefined || size === 0) continue;
    buffers.push({ range: { base: BigInt(linearAddr), length: size }, fromHost });
  }
  return buffers;
}
