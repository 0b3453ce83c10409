/**
 * The parameters of a call of HGCM. A program's buffers are copied to memory of the kernel, and the host gets lists of
 * their pages. Follows hgcm_call_preprocess(), hgcm_call_init_call() and hgcm_call_copy_back_result() in
 * vboxguest_utils.c.
 *
 * All are parameters of 64-bit programs here; hgcm-forms.ts makes those of 32-bit ones so.
 */
import { SystemError } from '../../../abi/errno.js';
import {
  HGCMFunctionParameter_PageList,
  HGCMFunctionParameter64,
  HGCMPageListInfo,
  VBOX_HGCM_F_PARM_DIRECTION,
  VMMDEV_HGCM_PARM_TYPE,
  VMMDevHGCMCall,
} from '../../../abi/hgcm.js';
import { VBG_MAX_HGCM_USER_PARM } from '../../../abi/vboxguest.js';
import type { UserMemory } from '../../node.js';
import { encodeRequest } from './host-requests.js';
import type { Vbg } from './vbg.js';

const {
  VMMDevHGCMParmType_LinAddr,
  VMMDevHGCMParmType_LinAddr_In,
  VMMDevHGCMParmType_LinAddr_Out,
  VMMDevHGCMParmType_PageList,
} = VMMDEV_HGCM_PARM_TYPE;
const {
  VBOX_HGCM_F_PARM_DIRECTION_TO_HOST,
  VBOX_HGCM_F_PARM_DIRECTION_FROM_HOST,
  VBOX_HGCM_F_PARM_DIRECTION_BOTH,
} = VBOX_HGCM_F_PARM_DIRECTION;

/** Which way a program's buffer goes. */
const DIRECTIONS = new Map<number, number>([
  [VMMDevHGCMParmType_LinAddr, VBOX_HGCM_F_PARM_DIRECTION_BOTH],
  [VMMDevHGCMParmType_LinAddr_In, VBOX_HGCM_F_PARM_DIRECTION_TO_HOST],
  [VMMDevHGCMParmType_LinAddr_Out, VBOX_HGCM_F_PARM_DIRECTION_FROM_HOST],
]);

const PAGE_SIZE = 4096;
const PAGE_ADDRESS_SIZE = 8;
const SIZE_OFFSET = HGCMFunctionParameter64.offset('size');

/**
 * Bytes of the buffers of all calls of a guest that are under way. The kernel has only its memory for a limit; a
 * simulated guest may have more of it than there is. A single call may have more than the host takes.
 */
export const MAX_BOUNCE_BYTES = 160 * 1024 * 1024;

/** A program's buffer, and its copy. */
interface Bounce {
  readonly index: number;
  readonly type: number;
  readonly userAddress: bigint;
  readonly size: number;
  /** Physical address of the copy; 0 when there is nothing to copy. */
  readonly address: number;
}

/** Who calls what. */
export interface HgcmTarget {
  readonly requestor: number;
  readonly client: number;
  readonly function: number;
}

export class HgcmParameters {
  readonly #vbg: Vbg;
  readonly #memory: UserMemory;
  /** Bytes of HGCMFunctionParameter64, one after the other. */
  readonly bytes: Uint8Array;
  readonly #bounces: Bounce[] = [];
  #request = 0;

  constructor(vbg: Vbg, bytes: Uint8Array, memory: UserMemory) {
    this.#vbg = vbg;
    this.bytes = bytes;
    this.#memory = memory;
  }

  get count(): number {
    return this.bytes.length / HGCMFunctionParameter64.size;
  }

  /**
   * Copies the program's buffers, and writes the request: its address. `release` is due in any case.
   * @throws SystemError E2BIG for a buffer above the limit, EFAULT, ENOMEM.
   */
  prepare(target: HgcmTarget): number {
    for (let index = 0; index < this.count; index++) this.#copyIn(index);
    const data = this.#encode(target);
    this.#request = this.#vbg.host.allocate(data.length);
    this.#vbg.host.write(this.#request, data);
    return this.#request;
  }

  /** Takes over what the host has changed. @throws SystemError EFAULT. */
  copyBack(): void {
    const size = HGCMFunctionParameter64.size;
    const answer = this.#vbg.host.read(this.#request + VMMDevHGCMCall.size, this.bytes.length);
    for (let index = 0; index < this.count; index++) {
      const at = index * size;
      const bounce = this.#bounces.find((one) => one.index === index);
      if (bounce === undefined) this.bytes.set(answer.subarray(at, at + size), at);
      else this.#copyOut(bounce, new DataView(answer.buffer, answer.byteOffset + at, size));
    }
  }

  /** Gives all memory back. */
  release(): void {
    const { host } = this.#vbg;
    if (this.#request !== 0) host.release(this.#request);
    for (const { address } of this.#bounces) if (address !== 0) host.release(address);
    this.forget();
  }

  /** Leaves the memory to the host, which may still write to it. */
  forget(): void {
    for (const { size } of this.#bounces.splice(0)) this.#vbg.hgcm.bounceBytes -= size;
    this.#request = 0;
  }

  #copyIn(index: number): void {
    const { host, hgcm } = this.#vbg;
    const parameter = this.bytes.subarray(index * HGCMFunctionParameter64.size);
    const { type, size, linearAddr: userAddress } = HGCMFunctionParameter64.decode(parameter);
    const direction = DIRECTIONS.get(type);
    if (direction === undefined) return;
    if (size > VBG_MAX_HGCM_USER_PARM) throw new SystemError('E2BIG');
    if (hgcm.bounceBytes + size > MAX_BOUNCE_BYTES) throw new SystemError('ENOMEM');
    const address = size === 0 ? 0 : host.allocate(size);
    hgcm.bounceBytes += size;
    this.#bounces.push({ index, type, userAddress, size, address });
    // What only comes from the host is zero before.
    if (direction === VBOX_HGCM_F_PARM_DIRECTION_FROM_HOST || size === 0) return;
    host.write(address, this.#memory.read(userAddress, size));
  }

  /** Copies a buffer to the program: what the host says is in it, and no more than there is room for. */
  #copyOut({ index, type, userAddress, size, address }: Bounce, answer: DataView): void {
    const hostSize = answer.getUint32(SIZE_OFFSET, true);
    const at = index * HGCMFunctionParameter64.size + SIZE_OFFSET;
    this.bytes.set(new Uint8Array(answer.buffer, answer.byteOffset + SIZE_OFFSET, 4), at);
    const copied = Math.min(hostSize, size);
    if (type === VMMDevHGCMParmType_LinAddr_In || copied === 0) return;
    this.#memory.write(userAddress, this.#vbg.host.read(address, copied));
  }

  #encode({ requestor, client, function: fn }: HgcmTarget): Uint8Array {
    const listsAt = VMMDevHGCMCall.size + this.bytes.length;
    const lists = this.#bounces.filter(({ size }) => size > 0);
    const end = lists.reduce((total, { size }) => total + pageListSize(size), listsAt);
    const fields = { u32ClientID: client, u32Function: fn, cParms: this.count };
    const name = 'VMMDevReq_HGCMCall64';
    const data = encodeRequest(VMMDevHGCMCall, name, requestor, fields, end);
    data.set(this.bytes, VMMDevHGCMCall.size);
    let offset = listsAt;
    for (const bounce of this.#bounces) {
      const at = VMMDevHGCMCall.size + bounce.index * HGCMFunctionParameter64.size;
      const { type, size } = bounce;
      if (size === 0) {
        data.set(HGCMFunctionParameter64.encode({ type, size: 0, linearAddr: 0n }), at);
        continue;
      }
      data.fill(0, at, at + HGCMFunctionParameter64.size);
      const list = { type: VMMDevHGCMParmType_PageList, size, offset };
      data.set(HGCMFunctionParameter_PageList.encode(list), at);
      writePageList(data, offset, bounce);
      offset += pageListSize(size);
    }
    return data;
  }
}

function pageListSize(size: number): number {
  return HGCMPageListInfo.size + PAGE_ADDRESS_SIZE * Math.ceil(size / PAGE_SIZE);
}

function writePageList(data: Uint8Array, offset: number, { type, size, address }: Bounce): void {
  const cPages = Math.ceil(size / PAGE_SIZE);
  const flags = DIRECTIONS.get(type) ?? VBOX_HGCM_F_PARM_DIRECTION_BOTH;
  data.set(HGCMPageListInfo.encode({ flags, offFirstPage: 0, cPages }), offset);
  const view = new DataView(data.buffer, data.byteOffset + offset + HGCMPageListInfo.size);
  for (let page = 0; page < cPages; page++) {
    view.setBigUint64(page * PAGE_ADDRESS_SIZE, BigInt(address + page * PAGE_SIZE), true);
  }
}
