/**
 * C structs as data. A layout is a list of fields in the order of the header that it mirrors;
 * offsets, size, encoder and decoder follow from it by the rules of the LP64 ABI
 * (each field at a multiple of its alignment, the whole padded to the largest alignment).
 *
 * Integers of 64 bits are bigint, smaller ones are number. All systems described here are little endian.
 * Padding is written as zero and ignored when read.
 */

/** One field's type: its size and alignment in bytes, and how it is read and written. */
export interface FieldType<T> {
  readonly size: number;
  readonly align: number;
  read(view: DataView, offset: number): T;
  write(view: DataView, offset: number, value: T): void;
  /** What a missing field is encoded as. */
  readonly zero: () => T;
}

function scalar(
  size: number,
  read: (view: DataView, offset: number) => number,
  write: (view: DataView, offset: number, value: number) => void,
): FieldType<number> {
  return { size, align: size, read, write, zero: () => 0 };
}

export const u8 = scalar(
  1,
  (v, o) => v.getUint8(o),
  (v, o, x) => v.setUint8(o, x),
);
export const i8 = scalar(
  1,
  (v, o) => v.getInt8(o),
  (v, o, x) => v.setInt8(o, x),
);
export const u16 = scalar(
  2,
  (v, o) => v.getUint16(o, true),
  (v, o, x) => v.setUint16(o, x, true),
);
export const i16 = scalar(
  2,
  (v, o) => v.getInt16(o, true),
  (v, o, x) => v.setInt16(o, x, true),
);
export const u32 = scalar(
  4,
  (v, o) => v.getUint32(o, true),
  (v, o, x) => v.setUint32(o, x, true),
);
export const i32 = scalar(
  4,
  (v, o) => v.getInt32(o, true),
  (v, o, x) => v.setInt32(o, x, true),
);

export const u64: FieldType<bigint> = {
  size: 8,
  align: 8,
  read: (v, o) => v.getBigUint64(o, true),
  write: (v, o, x) => v.setBigUint64(o, x, true),
  zero: () => 0n,
};
export const i64: FieldType<bigint> = {
  size: 8,
  align: 8,
  read: (v, o) => v.getBigInt64(o, true),
  write: (v, o, x) => v.setBigInt64(o, x, true),
  zero: () => 0n,
};
/** A user-space address. */
export const pointer = u64;

/** A value on its own, as an ioctl or a socket's option has it. */
export function toBytes<T>(type: FieldType<T>, value: T): Uint8Array {
  const data = new Uint8Array(type.size);
  type.write(new DataView(data.buffer), 0, value);
  return data;
}

/** The value that stands first in some bytes. */
export function fromBytes<T>(type: FieldType<T>, data: Uint8Array): T {
  return type.read(new DataView(data.buffer, data.byteOffset, data.byteLength), 0);
}

/** `count` raw bytes (`char[count]` or `uint8_t[count]`); a shorter value is padded with zeros. */
export function bytes(count: number): FieldType<Uint8Array> {
  return {
    size: count,
    align: 1,
    read: (v, o) => new Uint8Array(v.buffer, v.byteOffset + o, count).slice(),
    write: (v, o, x) => {
      if (x.length > count) throw new RangeError(`${x.length} bytes do not fit in ${count}`);
      const target = new Uint8Array(v.buffer, v.byteOffset + o, count);
      target.set(x);
      target.fill(0, x.length);
    },
    zero: () => new Uint8Array(count),
  };
}

/** `count` values of one type, one after the other. */
export function array<T>(type: FieldType<T>, count: number): FieldType<T[]> {
  return {
    size: type.size * count,
    align: type.align,
    read: (v, o) => Array.from({ length: count }, (_, i) => type.read(v, o + i * type.size)),
    write: (v, o, x) => {
      if (x.length > count) throw new RangeError(`${x.length} elements do not fit in ${count}`);
      for (let i = 0; i < count; i++) type.write(v, o + i * type.size, x[i] ?? type.zero());
    },
    zero: () => Array.from({ length: count }, () => type.zero()),
  };
}

type Fields = Record<string, FieldType<unknown>>;
type Value<F extends Fields> = { [K in keyof F]: F[K] extends FieldType<infer T> ? T : never };

/** The object that a layout decodes to. */
export type Decoded<S> = S extends Struct<infer F> ? Value<F> : never;

/** A struct: usable on its own, or as a field of another. */
export interface Struct<F extends Fields> extends FieldType<Value<F>> {
  readonly name: string;
  readonly fields: readonly {
    name: string;
    offset: number;
    size: number;
    type: FieldType<unknown>;
  }[];
  /** Offset of a field in bytes. */
  offset(field: keyof F & string): number;
  /** @throws RangeError when `data` is shorter than the struct. */
  decode(data: Uint8Array): Value<F>;
  /** Encodes into a new array of exactly `size` bytes; fields left out are zero. */
  encode(value: Partial<Value<F>>): Uint8Array<ArrayBuffer>;
}

/** Describes a struct by its fields, in the order and with the names of the header. */
// biome-ignore lint/suspicious/noExplicitAny: FieldType is invariant in T, and only `any` admits every field.
export function struct<F extends Record<string, FieldType<any>>>(
  name: string,
  members: F,
  options: { packed?: boolean } = {},
): Struct<F> {
  let end = 0;
  let align = 1;
  const fields: { name: string; offset: number; size: number; type: FieldType<unknown> }[] = [];
  for (const [field, type] of Object.entries(members)) {
    const fieldAlign = options.packed ? 1 : type.align;
    const offset = roundUp(end, fieldAlign);
    fields.push({ name: field, offset, size: type.size, type });
    end = offset + type.size;
    align = Math.max(align, fieldAlign);
  }
  const size = roundUp(end, align);
  const offsets = new Map(fields.map((field) => [field.name, field.offset]));

  function read(view: DataView, base: number): Value<F> {
    const value: Record<string, unknown> = {};
    for (const field of fields) value[field.name] = field.type.read(view, base + field.offset);
    return value as Value<F>;
  }
  function write(view: DataView, base: number, value: Partial<Value<F>>): void {
    new Uint8Array(view.buffer, view.byteOffset + base, size).fill(0);
    for (const field of fields) {
      const given = (value as Record<string, unknown>)[field.name];
      if (given !== undefined) field.type.write(view, base + field.offset, given);
    }
  }
  return {
    name,
    size,
    align,
    fields,
    read,
    write,
    zero: () => read(new DataView(new ArrayBuffer(size)), 0),
    offset(field) {
      const offset = offsets.get(field);
      if (offset === undefined) throw new RangeError(`${name} has no field ${field}`);
      return offset;
    },
    decode(data) {
      if (data.length < size) {
        throw new RangeError(`${name} is ${size} bytes, only ${data.length} given`);
      }
      return read(new DataView(data.buffer, data.byteOffset, data.byteLength), 0);
    },
    encode(value) {
      const data = new Uint8Array(size);
      write(new DataView(data.buffer), 0, value);
      return data;
    },
  };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
