/**
 * Parameters of a call as they stand in a guest's request: read into what a service gets, and written back when the call
 * has ended. Every offset, count and address in them is the guest's, and may lie. Source: VirtualBox' VMMDevHGCM.cpp.
 */
import {
  HGCMFunctionParameter32,
  HGCMFunctionParameter64,
  HGCMPageListInfo,
  VBOX_HGCM_F_PARM_DIRECTION,
  VMMDEV_HGCM_PARM_TYPE,
  VMMDEV_MAX_HGCM_DATA_SIZE,
  VMMDEV_MAX_HGCM_PARMS,
  VMMDevHGCMCall,
} from '../../../abi/hgcm.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { HgcmParameter } from '../hgcm-service.js';
import type { PhysicalMemory } from '../platform.js';

const { VERR_INVALID_FLAGS, VERR_INVALID_PARAMETER, VERR_INVALID_POINTER, VERR_NO_MEMORY } =
  VBOX_STATUS;
const {
  VBOX_HGCM_F_PARM_DIRECTION_TO_HOST: TO_HOST,
  VBOX_HGCM_F_PARM_DIRECTION_FROM_HOST: FROM_HOST,
  VBOX_HGCM_F_PARM_DIRECTION_BOTH: BOTH,
} = VBOX_HGCM_F_PARM_DIRECTION;
const TYPE = VMMDEV_HGCM_PARM_TYPE;

const PAGE_SIZE = 4096;
const ADDRESS_SIZE = 8;
/** Where a parameter has its first and its second word after the type. */
const FIRST = 4;
const SECOND = 8;

/** A parameter, and how it gets back: into the request as it stands in the guest's memory, and into that memory. */
export interface GuestParameter {
  readonly host: HgcmParameter;
  store(request: DataView): void;
}

export interface CallSource {
  /** The whole request. */
  readonly request: DataView;
  /** Parameters have 16 bytes, not 12. */
  readonly wide: boolean;
  readonly memory: PhysicalMemory;
  /** Whether the call may hold so many bytes more. */
  charge(bytes: number): boolean;
}

interface Reading extends CallSource {
  /** Where the parameters end; what they point to in the request has to come after. */
  readonly extra: number;
}

/** Part of the guest's memory, and where in the buffer it begins. */
interface Piece {
  readonly address: number;
  readonly length: number;
  readonly at: number;
}

type Reader = (at: number, from: Reading) => GuestParameter | number;

/** A type that has no row is refused. */
const READERS: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [TYPE.VMMDevHGCMParmType_32bit, value32],
  [TYPE.VMMDevHGCMParmType_64bit, value64],
  [TYPE.VMMDevHGCMParmType_LinAddr, linear],
  [TYPE.VMMDevHGCMParmType_LinAddr_In, linear],
  [TYPE.VMMDevHGCMParmType_LinAddr_Out, linear],
  [TYPE.VMMDevHGCMParmType_PageList, pageList],
  [TYPE.VMMDevHGCMParmType_Embedded, embedded],
  [TYPE.VMMDevHGCMParmType_ContiguousPageList, pageList],
  [TYPE.VMMDevHGCMParmType_NoBouncePageList, pageList],
]);

/** How many parameters the request has room for. */
export function parameterRoom(request: DataView, wide: boolean): number {
  const size = (wide ? HGCMFunctionParameter64 : HGCMFunctionParameter32).size;
  const room = Math.floor((request.byteLength - VMMDevHGCMCall.size) / size);
  return Math.min(room, VMMDEV_MAX_HGCM_PARMS);
}

/** The parameters of a call, or the status with which it is refused. `count` is at most `parameterRoom`. */
export function readParameters(count: number, source: CallSource): GuestParameter[] | number {
  const { size } = source.wide ? HGCMFunctionParameter64 : HGCMFunctionParameter32;
  const from = { ...source, extra: VMMDevHGCMCall.size + count * size };
  const parameters: GuestParameter[] = [];
  for (let at = VMMDevHGCMCall.size; at < from.extra; at += size) {
    const reader = READERS.get(source.request.getUint32(at, true));
    const parameter = reader?.(at, from) ?? VERR_INVALID_PARAMETER;
    if (typeof parameter === 'number') return parameter;
    parameters.push(parameter);
  }
  return parameters;
}

function value32(at: number, { request }: Reading): GuestParameter {
  const host = { type: 'u32' as const, value: request.getUint32(at + FIRST, true) };
  return { host, store: (to) => to.setUint32(at + FIRST, host.value, true) };
}

function value64(at: number, { request }: Reading): GuestParameter {
  const host = { type: 'u64' as const, value: request.getBigUint64(at + FIRST, true) };
  return { host, store: (to) => to.setBigUint64(at + FIRST, host.value, true) };
}

/**
 * A buffer at an address of the guest's program. To reach it takes the guest's page tables, which the simulated guest
 * has none of; only an empty one is taken.
 */
function linear(at: number, { request }: Reading): GuestParameter | number {
  if (request.getUint32(at + FIRST, true) !== 0) return VERR_INVALID_PARAMETER;
  return { host: { type: 'buffer', data: new Uint8Array(0) }, store: () => undefined };
}

/** A buffer within the request. */
function embedded(at: number, { request, extra, charge }: Reading): GuestParameter | number {
  const first = request.getUint32(at + FIRST, true);
  const size = request.getUint32(at + SECOND, true);
  const flags = first & 0xff;
  const offset = first >>> 8;
  if (size > VMMDEV_MAX_HGCM_DATA_SIZE) return VERR_INVALID_PARAMETER;
  if (!isDirection(flags)) return VERR_INVALID_FLAGS;
  if (offset < extra || offset + size > request.byteLength) return VERR_INVALID_PARAMETER;
  if (!charge(size)) return VERR_NO_MEMORY;
  const data = new Uint8Array(size);
  if ((flags & TO_HOST) !== 0) data.set(bytesOf(request).subarray(offset, offset + size));
  return {
    host: { type: 'buffer', data },
    store: (to) => {
      to.setUint32(at + SECOND, size, true);
      if ((flags & FROM_HOST) !== 0) bytesOf(to).set(data, offset);
    },
  };
}

/** A buffer in pages of the guest's memory, which a list within the request names. */
function pageList(at: number, from: Reading): GuestParameter | number {
  const { request, memory, charge } = from;
  const type = request.getUint32(at, true);
  const size = request.getUint32(at + FIRST, true);
  const list = listAt(request.getUint32(at + SECOND, true), type, size, from);
  if (typeof list === 'number') return list;
  const { flags, pieces } = list;
  if (!pieces.every((piece) => isRam(memory, piece))) return VERR_INVALID_PARAMETER;
  if (!charge(size + pieces.length * ADDRESS_SIZE)) return VERR_NO_MEMORY;
  const data = new Uint8Array(size);
  if ((flags & TO_HOST) !== 0) {
    for (const piece of pieces) data.set(memory.read(piece.address, piece.length), piece.at);
  }
  return {
    host: { type: 'buffer', data },
    store: (to) => {
      // Only the host's newer kinds tell the size again.
      if (type !== TYPE.VMMDevHGCMParmType_PageList) to.setUint32(at + FIRST, size, true);
      if ((flags & FROM_HOST) !== 0) writePieces(memory, pieces, data);
    },
  };
}

/** Checks the list at an offset of the request, and takes from it what the buffer needs. */
function listAt(
  offset: number,
  type: number,
  size: number,
  { request, extra }: Reading,
): { flags: number; pieces: Piece[] } | number {
  // The header's struct has one address in it, so a list without any is refused too.
  const end = offset + HGCMPageListInfo.size + ADDRESS_SIZE;
  if (size > VMMDEV_MAX_HGCM_DATA_SIZE) return VERR_INVALID_PARAMETER;
  if (offset < extra || end > request.byteLength) return VERR_INVALID_PARAMETER;
  const { flags, offFirstPage, cPages } = HGCMPageListInfo.read(request, offset);
  const room = 1 + Math.floor((request.byteLength - end) / ADDRESS_SIZE);
  if (cPages === 0 || cPages > room) return VERR_INVALID_PARAMETER;
  if (!isDirection(flags)) return VERR_INVALID_FLAGS;
  if (offFirstPage >= PAGE_SIZE) return VERR_INVALID_PARAMETER;
  const contiguous = type === TYPE.VMMDevHGCMParmType_ContiguousPageList;
  const exact = contiguous ? 1 : Math.ceil((offFirstPage + size) / PAGE_SIZE);
  if (type !== TYPE.VMMDevHGCMParmType_PageList && cPages !== exact) return VERR_INVALID_PARAMETER;
  const first = offset + HGCMPageListInfo.size;
  const pages = Array.from({ length: cPages }, (_, i) =>
    request.getBigUint64(first + i * ADDRESS_SIZE, true),
  );
  if (type === TYPE.VMMDevHGCMParmType_NoBouncePageList && !areAligned(pages, offFirstPage)) {
    return VERR_INVALID_POINTER;
  }
  const frames = pages.map((page) => Number(page & ~0xfffn));
  const unit = contiguous ? Number.POSITIVE_INFINITY : PAGE_SIZE;
  return { flags, pieces: piecesOf(frames, offFirstPage, size, unit) };
}

/** The buffer's pieces, in their order; a list may have more pages than it needs, or fewer. */
function piecesOf(frames: number[], offset: number, size: number, unit: number): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const frame of frames) {
    const skip = at === 0 ? offset : 0;
    const length = Math.min(unit - skip, size - at);
    if (length === 0) break;
    pieces.push({ address: frame + skip, length, at });
    at += length;
  }
  return pieces;
}

/** The first page may have the offset in it. */
function areAligned(pages: readonly bigint[], offset: number): boolean {
  return pages.every((page, i) => {
    const low = Number(page & 0xfffn);
    return low === 0 || (i === 0 && low === offset);
  });
}

function writePieces(memory: PhysicalMemory, pieces: readonly Piece[], data: Uint8Array): void {
  for (const piece of pieces) {
    // The VM's memory may have become smaller since.
    if (!isRam(memory, piece)) continue;
    memory.write(piece.address, data.subarray(piece.at, piece.at + piece.length));
  }
}

function isRam(memory: PhysicalMemory, { address, length }: Piece): boolean {
  return address + length <= memory.size;
}

function isDirection(flags: number): boolean {
  return flags !== 0 && (flags & ~BOTH) === 0;
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
