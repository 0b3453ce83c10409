/** Calls of the nodes for the fuzz tests, right and wrong, and a program's memory that watches what is touched. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SystemError } from '../../../../../src/core/abi/errno.js';
import {
  HGCMFunctionParameter32,
  HGCMFunctionParameter64,
  VMMDEV_HGCM_PARM_TYPE,
} from '../../../../../src/core/abi/hgcm.js';
import { VBGL_IOCTLS } from '../../../../../src/core/abi/vboxguest.js';
import type { UserMemory } from '../../../../../src/core/simulator/node.js';
import { VBG_IOCTLS } from '../../../../../src/core/simulator/vbox/driver/ioctls.js';
import { argument } from './guest.js';

/** Where the program's memory begins. */
export const BASE = 0x10000n;
const MEMORY_BYTES = 0x10000;
const HGCM_CALL_32 = 6;
const HGCM_CALL_64 = 7;
const HGCM_PARAMETERS_AT = 40;

/** A program's memory that knows what the call may touch: what its parameters name. */
export class Watched implements UserMemory {
  readonly #ranges: readonly { from: bigint; to: bigint }[];

  constructor(request: number, bytes: Uint8Array | number) {
    this.#ranges = typeof bytes === 'number' ? [] : namedRanges(request, bytes);
  }

  read(address: bigint, length: number): Uint8Array {
    this.#check(address, length);
    return new Uint8Array(length).fill(0x5a);
  }

  write(address: bigint, data: Uint8Array): void {
    this.#check(address, data.length);
  }

  #check(address: bigint, length: number): void {
    const end = address + BigInt(length);
    const named = this.#ranges.some(({ from, to }) => address >= from && end <= to);
    assert.ok(named, `${length} bytes at ${address} were not named`);
    if (address < BASE || end > BASE + BigInt(MEMORY_BYTES)) throw new SystemError('EFAULT');
  }
}

function namedRanges(request: number, bytes: Uint8Array): { from: bigint; to: bigint }[] {
  const nr = request & 0xff;
  if (nr !== HGCM_CALL_32 && nr !== HGCM_CALL_64) return [];
  const layout = nr === HGCM_CALL_32 ? HGCMFunctionParameter32 : HGCMFunctionParameter64;
  const ranges: { from: bigint; to: bigint }[] = [];
  for (let at = HGCM_PARAMETERS_AT; at + layout.size <= bytes.length; at += layout.size) {
    const { size, linearAddr } = layout.decode(bytes.subarray(at));
    const from = BigInt(linearAddr);
    ranges.push({ from, to: from + BigInt(size) });
  }
  return ranges;
}

const word = fc.oneof(
  fc.constantFrom(0, 1, 2, 4, 5, 6, 10, 20, 24, 32, 0x40, 100, 0x7ff, 0x10000, 0xffffffff),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const size = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 23, 24, 40, 0x400001, 0x1000001, 0xffffffff) },
);
const type = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 230 }) },
  { weight: 1, arbitrary: word },
);
/** Rows of the table. */
export const known = fc.constantFrom(...VBG_IOCTLS, ...VBG_IOCTLS, ...VBG_IOCTLS);
/** Numbers of calls that only VirtualBox' own driver knows. */
export const foreign = fc.constantFrom(...Object.values(VBGL_IOCTLS));

/** A number and an argument that may fit it, or may not. */
export const anyCall = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({
        row: known,
        words: fc.array(word, { maxLength: 40 }),
        sizeIn: size,
        sizeOut: size,
        type,
      })
      .map(({ row, words, sizeIn, sizeOut, type }) => {
        const header = {
          type: row.isRequest ? type : type % 5 === 1 ? type : 0,
          sizeIn: sizeIn ?? row.sizes?.in ?? 24 + 4 * words.length,
          sizeOut: sizeOut ?? row.sizes?.out ?? 24 + 4 * words.length,
        };
        const length = Math.min(Math.max(header.sizeIn, header.sizeOut), 4096);
        return { request: row.request, bytes: argument(words, { ...header, length }) };
      }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      request: fc.oneof(foreign, fc.integer({ min: -0x80000000, max: 0xffffffff })),
      bytes: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.integer()),
    }),
  },
);

const parameter = fc.record({
  type: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(1, 2, 4, 5, 6) },
    { weight: 1, arbitrary: fc.constantFrom(...Object.values(VMMDEV_HGCM_PARM_TYPE)) },
  ),
  size: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 9000 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 0x1800000, 0x1800001, 0xffffffff) },
  ),
  at: fc.oneof(
    { weight: 6, arbitrary: fc.bigInt({ min: BASE, max: BASE + 0x8000n }) },
    { weight: 1, arbitrary: fc.constantFrom(0n, BASE - 1n, 0xfffffffffffffff0n) },
  ),
});

/** A call of HGCM: parameters that fit, a count that may lie, in both forms. */
export const hgcmCall = fc
  .record({
    bits: fc.constantFrom(32, 64),
    client: fc.integer({ min: 0, max: 12 }),
    fn: fc.integer({ min: 0, max: 5 }),
    timeoutMs: fc.constantFrom(0, 5, 100, 0xffffffff),
    parameters: fc.array(parameter, { maxLength: 6 }),
    count: fc.oneof(
      { weight: 6, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom(0, 32, 33, 0xffff) },
    ),
    sizeIn: size,
  })
  .map(({ bits, client, fn, timeoutMs, parameters, count = parameters.length, sizeIn }) => {
    const wide = bits === 64;
    const encoded = parameters.map((one) =>
      wide
        ? HGCMFunctionParameter64.encode({ ...one, linearAddr: one.at })
        : HGCMFunctionParameter32.encode({ ...one, linearAddr: Number(one.at & 0xffffffffn) }),
    );
    const head = Uint32Array.from([client, fn, timeoutMs, (count << 16) >>> 0]);
    const body = [new Uint8Array(head.buffer), ...encoded].flatMap((part) => [...part]);
    const header = sizeIn === undefined ? {} : { sizeIn, length: Math.min(sizeIn, 4096) };
    const request = wide ? 0xc0005607 : 0xc0005606;
    return { request, bytes: argument(Uint8Array.from(body), header) };
  });

/** A call that connects to a service. */
export function connectArgument(service: string) {
  const location = new Uint8Array(132);
  location[0] = 2;
  location.set(new TextEncoder().encode(service), 4);
  return { request: 0xc09c5604, bytes: argument(location, { sizeOut: 28 }) };
}

/** Connects to the fuzz tests' service, or to none. */
export const connectCall = fc.constantFrom('Any', 'Any', 'Any', 'Nobody').map(connectArgument);
