import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { FieldType } from '../../../src/core/abi/layout.js';
import {
  array,
  bytes,
  i8,
  i16,
  i32,
  i64,
  pointer,
  struct,
  u8,
  u16,
  u32,
  u64,
} from '../../../src/core/abi/layout.js';

const point = struct('point', { x: i16, y: i32 });
const sample = struct('sample', {
  kind: u8,
  size: u64,
  name: bytes(5),
  flags: u16,
  points: array(point, 2),
  buffer: pointer,
  last: i8,
});

interface Kind {
  type: FieldType<unknown>;
  value: fc.Arbitrary<unknown>;
}

function integer(type: FieldType<number>, min: number, max: number): Kind {
  return { type, value: fc.integer({ min, max }) };
}

const SCALARS: Kind[] = [
  integer(u8, 0, 0xff),
  integer(i8, -0x80, 0x7f),
  integer(u16, 0, 0xffff),
  integer(i16, -0x8000, 0x7fff),
  integer(u32, 0, 0xffffffff),
  integer(i32, -0x80000000, 0x7fffffff),
  { type: u64, value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  { type: i64, value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
];

const kind: fc.Arbitrary<Kind> = fc.oneof(
  fc.constantFrom(...SCALARS),
  fc.integer({ min: 0, max: 20 }).map((count) => ({
    type: bytes(count),
    value: fc.uint8Array({ minLength: count, maxLength: count }),
  })),
  fc.tuple(fc.constantFrom(...SCALARS), fc.integer({ min: 0, max: 5 })).map(([element, count]) => ({
    type: array(element.type, count),
    value: fc.array(element.value, { minLength: count, maxLength: count }),
  })),
);

/** A layout of up to ten fields, with a value that fits it. */
const layoutAndValue = fc
  .tuple(fc.array(kind, { minLength: 1, maxLength: 10 }), fc.boolean())
  .chain(([kinds, packed]) => {
    const members = Object.fromEntries(kinds.map(({ type }, i) => [`f${i}`, type]));
    const values = Object.fromEntries(kinds.map(({ value }, i) => [`f${i}`, value]));
    const layout = struct('random', members, { packed });
    return fc.record({
      layout: fc.constant(layout),
      packed: fc.constant(packed),
      value: fc.record(values, { noNullPrototype: true }),
    });
  });

t.test('fields stand at multiples of their alignment, as in C', async (t) => {
  t.strictSame(
    sample.fields.map(({ name, offset }) => [name, offset]),
    [
      ['kind', 0],
      ['size', 8],
      ['name', 16],
      ['flags', 22],
      ['points', 24],
      ['buffer', 40],
      ['last', 48],
    ],
  );
  t.equal(sample.size, 56, 'the whole is padded to its largest alignment');
  t.equal(sample.align, 8);
  t.equal(sample.offset('points'), 24);
});

t.test('a packed struct has no padding', async (t) => {
  const packed = struct('packed', { a: u8, b: u64, c: u16 }, { packed: true });
  t.strictSame(
    packed.fields.map(({ offset }) => offset),
    [0, 1, 9],
  );
  t.equal(packed.size, 11);
  t.equal(packed.align, 1);
});

t.test('numbers are little endian', async (t) => {
  const data = struct('n', { a: u16, b: u32, c: i64 }).encode({ a: 0x1234, b: 0xdeadbeef, c: -2n });
  t.equal(Buffer.from(data).toString('hex'), '34120000efbeaddefeffffffffffffff');
});

t.test('what is left out is zero, and padding is zero', async (t) => {
  const data = sample.encode({ last: -1, points: [{ x: 1, y: 2 }] });
  t.equal(data.length, sample.size);
  const found = [...data.entries()].filter(([, byte]) => byte !== 0);
  t.strictSame(found, [
    [24, 1],
    [28, 2],
    [48, 0xff],
  ]);
  t.strictSame(sample.zero(), sample.decode(new Uint8Array(sample.size)));
});

t.test('writing a struct into a buffer clears the padding that was there', async (t) => {
  const view = new DataView(new Uint8Array(16).fill(0xff).buffer);
  point.write(view, 4, { x: 1, y: 2 });
  t.equal(Buffer.from(view.buffer).toString('hex'), 'ffffffff0100000002000000ffffffff');
});

t.test('input that is too short is a RangeError that says how short', async (t) => {
  t.throws(() => sample.decode(new Uint8Array(55)), RangeError);
  t.throws(() => sample.decode(new Uint8Array(0)), {
    message: /^sample is 56 bytes, only 0 given/,
  });
});

t.test('input that is longer is read from its start', async (t) => {
  const data = Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0, 9, 9);
  t.strictSame(point.decode(data), { x: 1, y: 2 });
});

t.test('a view into a larger buffer is read at its own place', async (t) => {
  const data = Uint8Array.of(9, 9, 9, 1, 0, 0, 0, 2, 0, 0, 0).subarray(3);
  t.strictSame(point.decode(data), { x: 1, y: 2 });
});

t.test('decoded bytes are a copy', async (t) => {
  const layout = struct('copy', { name: bytes(2) });
  const data = Uint8Array.of(1, 2);
  const { name } = layout.decode(data);
  data[0] = 7;
  t.strictSame(name, Uint8Array.of(1, 2));
});

t.test('bytes and elements that do not fit are a RangeError', async (t) => {
  t.throws(() => sample.encode({ name: new Uint8Array(6) }), RangeError);
  t.throws(() => struct('a', { a: array(u8, 2) }).encode({ a: [1, 2, 3] }), RangeError);
});

t.test('fewer bytes and elements are filled up with zeros', async (t) => {
  const layout = struct('short', { name: bytes(3), list: array(u8, 3) });
  const data = layout.encode({ name: Uint8Array.of(1), list: [2] });
  t.equal(Buffer.from(data).toString('hex'), '010000020000');
});

t.test('asking for a field that is not there is a RangeError', async (t) => {
  const loose: { offset(field: string): number } = sample;
  t.throws(() => loose.offset('nothing'), RangeError);
});

t.test('decoding gives back what was encoded', async () => {
  fc.assert(
    fc.property(layoutAndValue, ({ layout, value }) => {
      assert.deepEqual(layout.decode(layout.encode(value)), value);
    }),
    { numRuns: 300 },
  );
});

t.test('fields are in order, aligned, and do not overlap', async () => {
  fc.assert(
    fc.property(layoutAndValue, ({ layout, packed }) => {
      let end = 0;
      for (const field of layout.fields) {
        const align = packed ? 1 : field.type.align;
        if (field.offset % align !== 0) throw new Error(`${field.name} is not aligned`);
        if (field.offset < end || field.offset - end >= align) throw new Error('a gap or overlap');
        end = field.offset + field.size;
      }
      if (layout.size % layout.align !== 0) throw new Error('the size is not aligned');
      if (layout.size < end || layout.size - end >= layout.align) throw new Error('a wrong end');
    }),
    { numRuns: 300 },
  );
});

t.test('every byte outside of the fields is written as zero', async () => {
  fc.assert(
    fc.property(layoutAndValue, ({ layout, value }) => {
      const data = layout.encode(value);
      for (const { offset, size } of layout.fields) data.fill(0, offset, offset + size);
      if (data.some((byte) => byte !== 0)) throw new Error('padding is not zero');
    }),
    { numRuns: 300 },
  );
});

t.test('any input that is too short is refused', async () => {
  fc.assert(
    fc.property(layoutAndValue, fc.nat(), ({ layout, value }, cut) => {
      if (layout.size === 0) return;
      const data = layout.encode(value).subarray(0, cut % layout.size);
      let refused = false;
      try {
        layout.decode(data);
      } catch (error) {
        refused = error instanceof RangeError;
      }
      if (!refused) throw new Error(`${data.length} of ${layout.size} bytes were taken`);
    }),
  );
});
