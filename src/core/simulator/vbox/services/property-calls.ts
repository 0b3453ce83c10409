/**
 * The functions of VBoxGuestPropSvc that a guest may call, as a table: number, parameters, handler. Follows
 * VBoxGuestPropSvc.cpp of VirtualBox.
 */
import { GUEST_PROP_FN } from '../../../abi/guest-prop.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { HgcmCall, HgcmParameter } from '../hgcm-service.js';
import { Patterns } from './patterns.js';
import { flagsText } from './property-flags.js';
import type { PropertyProfile } from './property-profile.js';
import type { GuestProperty, PropertyStore } from './property-store.js';
import {
  Refusal,
  readFlags,
  readName,
  readPatternList,
  readPatterns,
  readValue,
  textBytes,
} from './property-texts.js';

/** What the functions need of the service. */
export interface PropertyHost {
  readonly profile: PropertyProfile;
  readonly store: PropertyStore;
  /** The status of a call that asks for a change, or undefined when it waits for one. */
  nextChange(call: HgcmCall, patterns: string, timestamp: bigint): number | undefined;
}

/** What a parameter has to be, and what it is read as. An `out` is only written, and stays as it is when it can't be. */
interface Kinds {
  name: string;
  value: string;
  /** Undefined when it may be left out and is. */
  flags: number | undefined;
  patterns: string;
  patternList: Uint8Array;
  time: bigint;
  buffer: Uint8Array;
  out: HgcmParameter;
}
type Kind = keyof Kinds;
type Values<K extends readonly Kind[]> = { [I in keyof K]: Kinds[K[I]] };

type Reader<T> = (parameter: HgcmParameter, profile: PropertyProfile) => T | Refusal;

const INVALID = new Refusal(VBOX_STATUS.VERR_INVALID_PARAMETER);

const READERS: { [K in Kind]: Reader<Kinds[K]> } = {
  name: text(readName),
  value: text(readValue),
  flags: text(readFlags),
  patterns: text(readPatterns),
  patternList: text(readPatternList),
  time: (parameter) => (parameter.type === 'u64' ? parameter.value : INVALID),
  buffer: (parameter) => (parameter.type === 'buffer' ? parameter.data : INVALID),
  out: (parameter) => parameter,
};

interface Row {
  readonly number: number;
  run(host: PropertyHost, call: HgcmCall): number | undefined;
}

/** Every function by its number. */
export const PROPERTY_CALLS: ReadonlyMap<number, Row> = new Map(
  [
    row(
      GUEST_PROP_FN.GUEST_PROP_FN_GET_PROP,
      ['name', 'buffer', 'out', 'out'],
      ({ store }, _call, name, buffer, timestamp, size) => {
        const property = store.get(name);
        if (property === undefined) return VBOX_STATUS.VERR_NOT_FOUND;
        const data = textBytes(property.value, flagsText(property.flags));
        setU32(size, data.length);
        if (data.length > buffer.length) return VBOX_STATUS.VERR_BUFFER_OVERFLOW;
        buffer.set(data);
        setU64(timestamp, property.timestamp);
        return VBOX_STATUS.VINF_SUCCESS;
      },
    ),
    // With three parameters both set the flags, with two both clear them.
    ...[GUEST_PROP_FN.GUEST_PROP_FN_SET_PROP, GUEST_PROP_FN.GUEST_PROP_FN_SET_PROP_VALUE].map(
      (number) =>
        row(
          number,
          ['name', 'value', 'flags'],
          ({ store }, _call, name, value, flags) => store.set('guest', name, value, flags ?? 0),
          { optional: 1 },
        ),
    ),
    row(GUEST_PROP_FN.GUEST_PROP_FN_DEL_PROP, ['name'], ({ store }, _call, name) =>
      store.delete('guest', name),
    ),
    row(
      GUEST_PROP_FN.GUEST_PROP_FN_ENUM_PROPS,
      ['patternList', 'buffer', 'out'],
      ({ store }, _call, patterns, buffer, size) => {
        const data = enumeration(store.matching(new Patterns(patterns)));
        setU32(size, data.length);
        if (data.length > buffer.length) return VBOX_STATUS.VERR_BUFFER_OVERFLOW;
        buffer.set(data);
        return VBOX_STATUS.VINF_SUCCESS;
      },
    ),
    row(
      GUEST_PROP_FN.GUEST_PROP_FN_GET_NOTIFICATION,
      ['patterns', 'time', 'buffer', 'out'],
      (host, call, patterns, timestamp) => host.nextChange(call, patterns, timestamp),
    ),
  ].map((entry) => [entry.number, entry]),
);

/** Writes a change into the parameters of a GET_NOTIFICATION, and gives its status. */
export function writeNotification(
  { parameters: [, timestamp, buffer, size] }: HgcmCall,
  change: GuestProperty,
  deleted: boolean,
  { deletedMark }: PropertyProfile,
): number {
  const mark = deletedMark ? [deleted ? '1' : '0'] : [];
  const data = textBytes(change.name, change.value, flagsText(change.flags), ...mark);
  setU64(timestamp, change.timestamp);
  setU32(size, data.length);
  if (buffer?.type !== 'buffer') return VBOX_STATUS.VERR_INVALID_PARAMETER;
  if (data.length > buffer.data.length) return VBOX_STATUS.VERR_BUFFER_OVERFLOW;
  buffer.data.set(data);
  return VBOX_STATUS.VINF_SUCCESS;
}

/** Four NULs stand at the end, where a next property would have its four texts. */
function enumeration(properties: readonly GuestProperty[]): Uint8Array {
  return textBytes(
    ...properties.flatMap(({ name, value, timestamp, flags }) => [
      name,
      value,
      timestamp.toString(),
      flagsText(flags),
    ]),
    '',
    '',
    '',
    '',
  );
}

/** A row whose handler gets the parameters as their kinds say, undefined for one at the end that was left out. */
function row<const K extends readonly Kind[]>(
  number: number,
  kinds: K,
  handler: (host: PropertyHost, call: HgcmCall, ...values: Values<K>) => number | undefined,
  { optional = 0 } = {},
): Row {
  return {
    number,
    run(host, call) {
      const { length } = call.parameters;
      if (length > kinds.length || length < kinds.length - optional) return INVALID.status;
      const values: unknown[] = [];
      for (const [index, parameter] of call.parameters.entries()) {
        const kind = kinds[index];
        if (kind === undefined) return INVALID.status;
        const value = READERS[kind](parameter, host.profile);
        if (value instanceof Refusal) return value.status;
        values.push(value);
      }
      return handler(host, call, ...(values as unknown as Values<K>));
    },
  };
}

function text<T>(read: (data: Uint8Array, profile: PropertyProfile) => T | Refusal): Reader<T> {
  return (parameter, profile) =>
    parameter.type === 'buffer' ? read(parameter.data, profile) : INVALID;
}

function setU32(parameter: HgcmParameter | undefined, value: number): void {
  if (parameter?.type === 'u32') parameter.value = value;
}

function setU64(parameter: HgcmParameter | undefined, value: bigint): void {
  if (parameter?.type === 'u64') parameter.value = value;
}
