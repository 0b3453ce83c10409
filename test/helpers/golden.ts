/** Compares layouts with golden values: sizes, offsets and numbers that a C compiler gave. */
import { readFileSync } from 'node:fs';
import type { FieldType } from '../../src/core/abi/layout.js';
import { i8, i16, i32, i64, u8, u16, u32, u64 } from '../../src/core/abi/layout.js';

export interface GoldenField {
  name: string;
  /** Bytes. */
  offset: number;
  size: number;
  type: string;
  /** Of a bit-field, from the start of the struct. */
  bit_offset_abs?: number;
  bit_width?: number;
}

export interface GoldenStruct {
  size: number;
  align?: number;
  fields: GoldenField[];
}

export interface GoldenIoctl {
  group: string;
  nr: number;
  dir: string;
  size: number;
  value: number;
  struct: string | null;
}

export interface GoldenAbi<I = GoldenIoctl> {
  constants: Record<string, number>;
  errno_freebsd?: Record<string, number>;
  ioctls: Record<string, I>;
  structs: Record<string, GoldenStruct>;
}

/** The part of a layout that can be compared, whatever its fields decode to. */
export interface ComparedLayout {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: readonly {
    name: string;
    offset: number;
    size: number;
    type: FieldType<unknown>;
  }[];
}

const SCALARS: Record<string, FieldType<unknown>> = {
  u8,
  u16,
  u32,
  u64,
  i8,
  i16,
  i32,
  i64,
  ptr: u64,
  le16: u16,
  le32: u32,
  le64: u64,
};

/** Reads test/fixtures/abi/NAME.json. Tests run in the root of the project. */
export function readGolden<I = GoldenIoctl>(name: string): GoldenAbi<I> {
  return JSON.parse(readFileSync(`test/fixtures/abi/${name}.json`, 'utf8'));
}

/** Whether a module's export is a layout of a struct. */
export function isLayout(value: unknown): value is ComparedLayout {
  return typeof value === 'object' && value !== null && 'fields' in value && 'decode' in value;
}

/**
 * What differs between a layout and its golden struct, one sentence each; none when they agree.
 * Bit-fields of the golden struct need only lie inside of a field that the struct does not name.
 */
export function compareStruct(layout: ComparedLayout, golden: GoldenStruct): string[] {
  const differences: string[] = [];
  const expect = (what: string, found: unknown, wanted: unknown) => {
    if (found !== wanted) differences.push(`${layout.name}: ${what} is ${found}, not ${wanted}`);
  };
  expect('size', layout.size, golden.size);
  if (golden.align !== undefined) expect('alignment', layout.align, golden.align);
  const whole = golden.fields.filter((field) => field.bit_width === undefined);
  for (const field of whole) {
    const ours = layout.fields.find(({ name }) => name === field.name);
    if (ours === undefined) {
      differences.push(`${layout.name}: ${field.name} is missing`);
      continue;
    }
    expect(`offset of ${field.name}`, ours.offset, field.offset);
    expect(`size of ${field.name}`, ours.size, field.size);
    const scalar = SCALARS[field.type];
    if (scalar !== undefined) expect(`${field.name} as ${field.type}`, ours.type === scalar, true);
  }
  const names = new Set(whole.map(({ name }) => name));
  const rest = layout.fields.filter(({ name }) => !names.has(name));
  const bits = golden.fields.filter((field) => field.bit_width !== undefined);
  for (const field of bits) {
    const first = field.bit_offset_abs ?? 0;
    const last = first + (field.bit_width ?? 0) - 1;
    const holder = rest.find(
      ({ offset, size }) => offset * 8 <= first && last < (offset + size) * 8,
    );
    if (holder === undefined) differences.push(`${layout.name}: no field holds ${field.name}`);
  }
  for (const field of rest) {
    const holds = bits.some(
      ({ bit_offset_abs: bit = 0 }) =>
        field.offset * 8 <= bit && bit < (field.offset + field.size) * 8,
    );
    if (!holds) differences.push(`${layout.name}: the header has no ${field.name}`);
  }
  return differences;
}
