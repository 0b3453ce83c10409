/** A request as the device has it, and the rows of the table that says what becomes of it. */
import type { Decoded, FieldType, Struct } from '../../../abi/layout.js';
import {
  VMMDEV_REQUEST_TYPE,
  VMMDevRequestHeader,
  type VmmdevRequestName,
} from '../../../abi/vmmdev.js';
import type { DeviceParts } from './parts.js';

const RC = VMMDevRequestHeader.offset('rc');

/** A copy of a guest's request. What a handler writes here goes back to the guest. */
export interface Request {
  readonly address: number;
  readonly type: number;
  /** Who asks, of VMMDEV_REQUESTOR. */
  readonly requestor: number;
  readonly bytes: Uint8Array;
  /** Of the same bytes. */
  readonly view: DataView;
}

/** Bytes of the whole request: one of some sizes, or so many at least. Others are VERR_INVALID_PARAMETER. */
export type SizeRule = { readonly exact: readonly number[] } | { readonly least: number };

export interface RequestRow {
  readonly number: number;
  readonly name: VmmdevRequestName;
  /** The largest struct that its handler reads. */
  readonly layout: { readonly name: string; readonly size: number };
  readonly size: SizeRule;
  /** The guest may ask before it has reported itself. */
  readonly early: boolean;
  /** Gives the request's status; undefined leaves what the guest has written there. */
  readonly handler: (device: DeviceParts, request: Request) => number | undefined;
}

interface RowOptions {
  readonly size?: SizeRule;
  readonly early?: boolean;
}

/** A success that changes fields of the request. */
export interface Changed<T> {
  readonly rc: number;
  readonly fields: Partial<T>;
}

/** A success with the fields that it changes. */
export function ok<T>(fields: Partial<T>): Changed<T> {
  return { rc: 0, fields };
}

/** Describes a row. Without a rule of its own the size is the layout's. */
export function row<F extends Record<string, FieldType<unknown>>>(
  name: VmmdevRequestName,
  layout: Struct<F>,
  handler: (
    device: DeviceParts,
    fields: Decoded<Struct<F>>,
    request: Request,
  ) => Changed<Decoded<Struct<F>>> | number | undefined,
  { size = { exact: [layout.size] }, early = false }: RowOptions = {},
): RequestRow {
  return {
    number: VMMDEV_REQUEST_TYPE[name],
    name,
    layout,
    size,
    early,
    handler: (device, request) => {
      const answer = handler(device, layout.read(request.view, 0), request);
      if (typeof answer !== 'object') return answer;
      writeFields(layout, request.view, answer.fields);
      return answer.rc;
    },
  };
}

/** Whether a rule takes a size. */
export function takesSize(rule: SizeRule, size: number): boolean {
  return 'least' in rule ? size >= rule.least : rule.exact.includes(size);
}

/** Writes single fields, so that the rest and its padding come back as they were. */
function writeFields<F extends Record<string, FieldType<unknown>>>(
  layout: Struct<F>,
  view: DataView,
  changed: Partial<Decoded<Struct<F>>>,
): void {
  const values = new Map<string, unknown>(Object.entries(changed));
  for (const { name, offset, type } of layout.fields) {
    if (values.has(name)) type.write(view, offset, values.get(name));
  }
}

/** Writes the status. */
export function setStatus(view: DataView, rc: number): void {
  view.setInt32(RC, rc, true);
}
