import fc from 'fast-check';
import t from 'tap';
import {
  decodeRecords,
  encodeRecords,
  MAXIMUM_SNAPLEN,
  pcapFileHeader,
} from '../../../src/core/abi/pcap.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));

t.test('a file begins with its version, the longest packet and the type of link', async (t) => {
  const header = 'd4c3b2a1 0200 0400 00000000 00000000 00000400 0f010000';
  t.equal(hex(pcapFileHeader(MAXIMUM_SNAPLEN)), header.replace(/ /g, ''));
});

t.test('a record is its time, both lengths, and what was captured', async (t) => {
  const frame = new Uint8Array([1, 2, 3]);
  const records = [
    { timeUs: 1_700_000_000_123_456, frame, length: 3 },
    { timeUs: 4_294_967_295_999_999, frame: frame.subarray(1), length: 0x10203 },
  ];
  const data = bytes(`
    00f15365 40e20100 03000000 03000000 010203
    ffffffff 3f420f00 02000000 03020100 0203`);
  t.equal(hex(encodeRecords(records)), hex(data));
  t.strictSame(decodeRecords(data), records);
});

t.test('frames of records that were read are not copies', async (t) => {
  const data = encodeRecords([{ timeUs: 0, frame: new Uint8Array(5), length: 5 }]);
  t.equal(decodeRecords(data)[0]?.frame.buffer, data.buffer);
});

t.test('a cut record is refused', async (t) => {
  const data = encodeRecords([{ timeUs: 0, frame: new Uint8Array(5), length: 5 }]);
  for (let length = 1; length < data.length; length++) {
    t.throws(() => decodeRecords(data.subarray(0, length)), RangeError, `${length} bytes`);
  }
});

t.test('what was written is read', async () => {
  const record = fc.record({
    timeUs: fc.integer({ min: 0, max: 2 ** 32 * 1_000_000 - 1 }),
    frame: fc.uint8Array({ maxLength: 300 }),
    length: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  });
  fc.assert(
    fc.property(fc.array(record), (records) => {
      const read = decodeRecords(encodeRecords(records));
      const plain = read.map((each) => ({ ...each, frame: [...each.frame] }));
      const wanted = records.map((each) => ({ ...each, frame: [...each.frame] }));
      return JSON.stringify(plain) === JSON.stringify(wanted);
    }),
  );
});
