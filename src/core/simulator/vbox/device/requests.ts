/**
 * THE TABLE of requests: for each its number, the struct that its handler reads, what size it has to have, whether a guest
 * may ask before it has reported itself, and its handler.
 */
import {
  VMMDevHGCMCall,
  VMMDevHGCMCancel,
  VMMDevHGCMCancel2,
  VMMDevHGCMConnect,
  VMMDevHGCMDisconnect,
} from '../../../abi/hgcm.js';
import { type RequestRow, row } from './row.js';
import { DISPLAY_ROWS } from './rows-display.js';
import { GUEST_ROWS } from './rows-guest.js';
import { HOST_ROWS } from './rows-host.js';

const HGCM_ROWS: readonly RequestRow[] = [
  row(
    'VMMDevReq_HGCMConnect',
    VMMDevHGCMConnect,
    ({ hgcm }, _fields, request) => hgcm.connect(request),
    { size: { least: VMMDevHGCMConnect.size } },
  ),
  row(
    'VMMDevReq_HGCMDisconnect',
    VMMDevHGCMDisconnect,
    ({ hgcm }, _fields, request) => hgcm.disconnect(request),
    { size: { least: VMMDevHGCMDisconnect.size } },
  ),
  row('VMMDevReq_HGCMCall32', VMMDevHGCMCall, ({ hgcm }, _fields, request) => hgcm.call(request), {
    size: { least: VMMDevHGCMCall.size },
  }),
  row('VMMDevReq_HGCMCall64', VMMDevHGCMCall, ({ hgcm }, _fields, request) => hgcm.call(request), {
    size: { least: VMMDevHGCMCall.size },
  }),
  row(
    'VMMDevReq_HGCMCancel',
    VMMDevHGCMCancel,
    ({ hgcm }, _fields, request) => hgcm.cancel(request),
    { size: { least: VMMDevHGCMCancel.size } },
  ),
  row(
    'VMMDevReq_HGCMCancel2',
    VMMDevHGCMCancel2,
    ({ hgcm }, _fields, request) => hgcm.cancel2(request),
    { size: { least: VMMDevHGCMCancel2.size } },
  ),
];

/** By number. */
export const REQUESTS: ReadonlyMap<number, RequestRow> = new Map(
  [...GUEST_ROWS, ...DISPLAY_ROWS, ...HOST_ROWS, ...HGCM_ROWS].map((entry) => [
    entry.number,
    entry,
  ]),
);
