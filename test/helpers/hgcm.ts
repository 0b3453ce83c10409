/** A service of the host for tests, and requests to it as a guest's driver writes them. */
import {
  HGCMPageListInfo,
  VMMDEV_HGCM_PARM_TYPE,
  VMMDevHGCMCall,
  VMMDevHGCMConnect,
  VMMDevHGCMDisconnect,
} from '../../src/core/abi/hgcm.js';
import { VMMDEV_REQUEST_TYPE } from '../../src/core/abi/vmmdev.js';
import type { HgcmCall, HgcmService } from '../../src/core/simulator/vbox/hgcm-service.js';
import type { Answered, Rig } from './vmmdev.js';

const TYPE = VMMDEV_HGCM_PARM_TYPE;

/** Function 1 turns each buffer round and adds 1 to each number, at once; 2 waits; others end with their number. */
export class TestService implements HgcmService {
  readonly maxCalls: number;
  readonly waiting: HgcmCall[] = [];
  readonly clients = new Set<number>();
  readonly notes: string[] = [];
  /** What `connect` gives. */
  status = 0;
  /** Calls that wait stay when their client goes. */
  forgets = false;

  constructor(maxCalls = 8) {
    this.maxCalls = maxCalls;
  }

  connect(client: number): number {
    if (this.status >= 0) this.clients.add(client);
    return this.status;
  }

  disconnect(client: number): void {
    this.clients.delete(client);
    this.notes.push(`disconnect ${client}`);
    if (this.forgets) return;
    for (const call of this.waiting.filter((each) => each.client === client)) call.complete(-39);
  }

  call(call: HgcmCall): void {
    if (call.function === 2) this.waiting.push(call);
    else if (call.function === 1) {
      for (const parameter of call.parameters) {
        if (parameter.type === 'buffer') parameter.data.reverse();
        else if (parameter.type === 'u32') parameter.value++;
        else parameter.value++;
      }
      call.complete(0);
    } else call.complete(-call.function);
  }

  cancelled(call: HgcmCall): void {
    this.notes.push(`cancelled ${call.client}`);
  }

  reset(): void {
    this.notes.push('reset');
    this.clients.clear();
  }
}

/** A parameter as it stands in a call: its words, and what it points to in the request. */
export interface Parameter {
  readonly type: number;
  readonly first: number | bigint;
  /** Where it is left out, the offset of `extra` stands there. */
  readonly second?: number;
  readonly extra?: Uint8Array;
}

export function u32(value: number): Parameter {
  return { type: TYPE.VMMDevHGCMParmType_32bit, first: value };
}

export function u64(value: bigint): Parameter {
  return { type: TYPE.VMMDevHGCMParmType_64bit, first: value };
}

export interface PageList {
  readonly type?: number;
  readonly size: number;
  readonly flags?: number;
  readonly offset?: number;
  readonly pages: readonly (number | bigint)[];
  /** What the list says, if that is a lie. */
  readonly count?: number;
}

export function pageList({ type, size, flags = 3, offset = 0, pages, count }: PageList): Parameter {
  const extra = new Uint8Array(HGCMPageListInfo.size + 8 * pages.length);
  extra.set(
    HGCMPageListInfo.encode({ flags, offFirstPage: offset, cPages: count ?? pages.length }),
  );
  const view = new DataView(extra.buffer);
  pages.forEach((page, i) => {
    view.setBigUint64(HGCMPageListInfo.size + 8 * i, BigInt(page), true);
  });
  return { type: type ?? TYPE.VMMDevHGCMParmType_PageList, first: size, extra };
}

/** The bytes of a call, 64-bit unless told otherwise. */
export function callBytes(
  client: number,
  number: number,
  parameters: readonly Parameter[],
  { wide = true, count = parameters.length }: { wide?: boolean; count?: number } = {},
): Uint8Array {
  const each = wide ? 16 : 12;
  const start = VMMDevHGCMCall.size + each * parameters.length;
  const total = parameters.reduce((sum, { extra }) => sum + (extra?.length ?? 0), start);
  const bytes = new Uint8Array(total);
  bytes.set(VMMDevHGCMCall.encode({ u32ClientID: client, u32Function: number, cParms: count }));
  const view = new DataView(bytes.buffer);
  let at = start;
  parameters.forEach(({ type, first, second, extra }, i) => {
    const place = VMMDevHGCMCall.size + each * i;
    view.setUint32(place, type, true);
    if (typeof first === 'bigint') view.setBigUint64(place + 4, first, true);
    else view.setUint32(place + 4, first, true);
    if (second !== undefined || extra !== undefined) view.setUint32(place + 8, second ?? at, true);
    if (extra === undefined) return;
    bytes.set(extra, at);
    at += extra.length;
  });
  return bytes;
}

/** Status, result, whether it is done, of a request of HGCM where it stands. */
export function outcome({ rc, view }: Answered): { rc: number; result: number; done: boolean } {
  return { rc, result: view.getInt32(28, true), done: (view.getUint32(24, true) & 1) !== 0 };
}

/** HGCMConnect. */
export function connect(rig: Rig, name: string, requestor = 0): Answered {
  const achName = new Uint8Array(128);
  achName.set(new TextEncoder().encode(name));
  const bytes = VMMDevHGCMConnect.encode({ loc: { type: 2, achName }, u32ClientID: 77 });
  return settle(rig, VMMDEV_REQUEST_TYPE.VMMDevReq_HGCMConnect, bytes, requestor);
}

/** The number of a new client. */
export function client(rig: Rig, name: string, requestor = 0): number {
  const answered = connect(rig, name, requestor);
  const { result } = outcome(answered);
  if (result !== 0) throw new Error(`HGCMConnect gave ${result}`);
  return VMMDevHGCMConnect.decode(answered.bytes).u32ClientID;
}

export function disconnect(rig: Rig, id: number): Answered {
  const bytes = VMMDevHGCMDisconnect.encode({ u32ClientID: id });
  return settle(rig, VMMDEV_REQUEST_TYPE.VMMDevReq_HGCMDisconnect, bytes);
}

/** A call that stays in the guest's memory. */
export function submit(rig: Rig, bytes: Uint8Array, wide = true, requestor = 0): Answered {
  const { VMMDevReq_HGCMCall32, VMMDevReq_HGCMCall64 } = VMMDEV_REQUEST_TYPE;
  const type = wide ? VMMDevReq_HGCMCall64 : VMMDevReq_HGCMCall32;
  return rig.submit(type, bytes, {}, requestor);
}

/** A call that its service ends at once. */
export function call(
  rig: Rig,
  id: number,
  number: number,
  parameters: readonly Parameter[],
  wide = true,
): Answered {
  const bytes = callBytes(id, number, parameters, { wide });
  const answered = submit(rig, bytes, wide);
  rig.memory.release(answered.address);
  return answered;
}

function settle(rig: Rig, type: number, bytes: Uint8Array, requestor = 0): Answered {
  const answered = rig.submit(type, bytes, {}, requestor);
  rig.memory.release(answered.address);
  return answered;
}
