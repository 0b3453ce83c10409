/**
 * Calls of VirtualBox' driver, byte by byte: right ones, and wrong ones of each kind. They are made of two drivers, and
 * what comes of them is compared.
 */
import {
  HGCMServiceLocation,
  VMMDEV_HGCM_LOC,
  VMMDEV_HGCM_PARM_TYPE,
} from '../../src/core/abi/hgcm.js';
import { _IO, _IOC, _IOC_READ, _IOC_WRITE } from '../../src/core/abi/linux-ioctl.js';
import * as abi from '../../src/core/abi/vboxguest.js';
import { VMMDEV_REQUEST_TYPE } from '../../src/core/abi/vmmdev.js';
import { VMMDEV_REQUEST_SIZES } from '../../src/core/abi/vmmdev-sizes.js';
import type { Pointer } from '../../src/core/backend/port.js';
import { argument } from '../core/simulator/vbox/driver/guest.js';

export interface CallCase {
  readonly title: string;
  readonly request: number;
  readonly argument: Uint8Array;
  readonly pointers?: readonly Pointer[];
  /** Bytes of the answer that differ at each time: from, to. */
  readonly differs?: readonly [number, number];
}

const { VBG_IOCTL_SIZES } = abi;
type FixedName = keyof typeof VBG_IOCTL_SIZES;

const HEADER = abi.vbg_ioctl_hdr.size;
const MAGIC = 0x56;
const RW = _IOC_READ | _IOC_WRITE;
const MIB = 1024 * 1024;

/** Calls that would go on for ever, or change what later ones do, are right only elsewhere. */
const FIXED = (Object.keys(VBG_IOCTL_SIZES) as FixedName[]).filter(
  (name) => name !== 'VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS',
);

function body(bytes: number): Uint8Array {
  return new Uint8Array(Math.max(0, bytes - HEADER));
}

/** Sizes that are right and wrong, for calls that are otherwise empty. */
export function sizeCases(): CallCase[] {
  return FIXED.flatMap((name) => {
    const { in: sizeIn, out: sizeOut } = VBG_IOCTL_SIZES[name];
    const request = abi[name];
    const bytes = Math.max(sizeIn, sizeOut);
    const row = (title: string, header: Parameters<typeof argument>[1], number = request) => ({
      title: `${name}: ${title}`,
      request: number,
      argument: argument(body(bytes), { sizeIn, sizeOut, length: bytes + 8, ...header }),
    });
    return [
      row('right sizes', {}),
      row('no size_out', { sizeOut: 0 }),
      row('size_in 4 too small', { sizeIn: sizeIn - 4 }),
      row('size_in 4 too large', { sizeIn: sizeIn + 4 }),
      row('size_out 4 too small', { sizeOut: sizeOut - 4 }),
      row('size_out 4 too large', { sizeOut: sizeOut + 4 }),
      row('both the larger size', { sizeIn: bytes, sizeOut: bytes }),
      row('a type', { type: 1 }),
      row('reserved and rc given', { reserved: 0xffffffff, rc: -5 }),
      row('no size in the number', {}, _IOC(RW, MAGIC, request & 0xff, 0)),
      row('no direction in the number', {}, _IOC(0, MAGIC, request & 0xff, bytes)),
    ];
  });
}

export function headerCases(): CallCase[] {
  const request = abi.VBG_IOCTL_CHECK_BALLOON;
  const sizes = { sizeIn: HEADER, sizeOut: 32, length: 40 };
  const row = (title: string, header: Parameters<typeof argument>[1], number = request) => ({
    title: `header: ${title}`,
    request: number,
    argument: argument([], { ...sizes, ...header }),
  });
  const big = abi.VBG_IOCTL_VMMDEV_REQUEST_BIG;
  return [
    row('version 0', { version: 0 }),
    row('version 0x10002', { version: 0x10002 }),
    row('size_in 0', { sizeIn: 0 }),
    row('size_in 23', { sizeIn: 23 }),
    row('size_out 23', { sizeOut: 23 }),
    row('size_out 1', { sizeOut: 1 }),
    row('size_in above 16 MiB, big', { sizeIn: 16 * MIB + 1, sizeOut: 0 }, big),
    row('size_out above 16 MiB, big', { sizeOut: 16 * MIB + 1 }, big),
    row('size_in above 16 MiB, not big', { sizeIn: 16 * MIB + 1, sizeOut: 0 }),
    row('sizes of 2 MiB that are not there', { sizeIn: 2 * MIB, sizeOut: 2 * MIB, type: 4 }, big),
  ];
}

/** Every number below 64, as a call without a size and with that of the header. A system of 32 bits has no 7. */
export function numberCases(): CallCase[] {
  const numbers = Array.from({ length: 64 }, (_, nr) => nr).filter((nr) => nr !== 7);
  return numbers.flatMap((nr) =>
    [_IO(MAGIC, nr), _IOC(RW, MAGIC, nr, HEADER), _IOC(RW, MAGIC ^ 1, nr, HEADER)]
      .filter((request) => request !== abi.VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS)
      .map((request) => ({
        title: `number ${nr}: 0x${request.toString(16)}`,
        request,
        argument: argument([]),
      })),
  );
}

/** Requests for VMMDev, empty, by their numbers, and by others. */
export function requestCases(): CallCase[] {
  const named = Object.entries(VMMDEV_REQUEST_TYPE).map(([name, type]) => {
    const size = (VMMDEV_REQUEST_SIZES as Record<string, { size: number }>)[name]?.size ?? HEADER;
    return requestCase(`request ${type}, ${name}`, type, size);
  });
  const others = [0, 6, 31, 224, 300, 0x7fffffff, 0xffffffff].map((type) =>
    requestCase(`request ${type}, which there is not`, type, 64),
  );
  const content = [0, 1, 20, 100, 101, 1000, 0x7fffffff, 0x7ffffffe].map((word) =>
    requestCase(`request 55 with ${word}`, 55, 28, [word]),
  );
  const sizes = [24, 31, 33, 36, 1023, 1024, 4096, 5000].map((size) =>
    requestCase(`request 10 of ${size} bytes`, VMMDEV_REQUEST_TYPE.VMMDevReq_GetHostTime, size),
  );
  const late = requestCase('request 2: given back as the host has it', 2, 36, [0x11, 3, 4]);
  return [...named, ...others, ...content, ...sizes, late];
}

function requestCase(title: string, type: number, size: number, words: number[] = []): CallCase {
  const bytes = new Uint8Array(Math.max(0, size - HEADER));
  new Uint32Array(bytes.buffer, 0, words.length).set(words);
  const isTime = type === VMMDEV_REQUEST_TYPE.VMMDevReq_GetHostTime;
  return {
    title,
    request: size < 1024 ? abi.VBG_IOCTL_VMMDEV_REQUEST(size) : abi.VBG_IOCTL_VMMDEV_REQUEST_BIG,
    argument: argument(bytes, { type, sizeIn: size, sizeOut: size }),
    ...(isTime ? { differs: [HEADER, HEADER + 8] as const } : {}),
  };
}

export function logCases(): CallCase[] {
  const texts = ['', 'a', 'a line\n', 'no end', 'two\nlines\n', 'x'.repeat(126), 'y'.repeat(300)];
  return texts.flatMap((text) =>
    ['', '\0', '\0behind'].map((end) => {
      const bytes = new TextEncoder().encode(text + end);
      return {
        title: `log ${JSON.stringify((text + end).slice(0, 20))}, ${bytes.length} bytes`,
        request: abi.VBG_IOCTL_LOG,
        argument: argument(bytes, { sizeOut: HEADER, length: HEADER + bytes.length }),
      };
    }),
  );
}

const LOCATIONS: readonly [string, number, Uint8Array][] = [
  ['a service', VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing, text('VmmctlEcho')],
  ['a service of the other kind', VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost, text('VmmctlEcho')],
  ['no kind', VMMDEV_HGCM_LOC.VMMDevHGCMLoc_Invalid, text('VmmctlEcho')],
  ['kind 3', 3, text('VmmctlEcho')],
  ['an unknown service', VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing, text('NoSuchService')],
  ['an empty name', VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing, text('')],
  [
    'a name without an end',
    VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing,
    text('z'.repeat(128)),
  ],
];

export function connectCases(): CallCase[] {
  const connects = LOCATIONS.map(([title, type, achName]) => ({
    title: `connect: ${title}`,
    request: abi.VBG_IOCTL_HGCM_CONNECT,
    argument: argument(HGCMServiceLocation.encode({ type, achName }), {
      sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_HGCM_CONNECT.out,
    }),
  }));
  const disconnects = [0, 2, 77, 0xffffffff, 2].map((client, index) => ({
    title: `disconnect ${index}: client ${client}`,
    request: abi.VBG_IOCTL_HGCM_DISCONNECT,
    argument: argument([client], { sizeOut: HEADER }),
  }));
  return [...connects, ...disconnects];
}

const TYPE = VMMDEV_HGCM_PARM_TYPE;
type Parameter =
  | readonly [type: number, first: number, second: number]
  | readonly [type: number, Uint8Array];

interface CallHeader {
  client?: number;
  function?: number;
  timeoutMs?: number;
  count?: number;
  /** Bytes less or more than the parameters have. */
  more?: number;
}

const pattern = (bytes: number) => new Uint8Array(bytes).map((_, i) => i * 7 + (i >> 8));

/** Calls of the first client, a client of the echo service, with parameters of 32 bits. */
export function hgcmCases(): CallCase[] {
  const value = (n: number): Parameter => [TYPE.VMMDevHGCMParmType_32bit, n, 0];
  const wide = (low: number, high: number): Parameter => [TYPE.VMMDevHGCMParmType_64bit, low, high];
  const both = (bytes: number): Parameter => [TYPE.VMMDevHGCMParmType_LinAddr, pattern(bytes)];
  const given = (bytes: number): Parameter => [TYPE.VMMDevHGCMParmType_LinAddr_In, pattern(bytes)];
  const taken = (bytes: number): Parameter => [
    TYPE.VMMDevHGCMParmType_LinAddr_Out,
    pattern(bytes).reverse(),
  ];
  const many = (count: number) => Array.from({ length: count }, (_, n) => value(n));
  const types = Array.from({ length: 16 }, (_, type) =>
    hgcmCase(`a parameter of type ${type}`, [[type, 0, 0]], { function: 9 }),
  );
  return [
    hgcmCase('no parameters', []),
    hgcmCase('an unknown function', [], { function: 1000 }),
    hgcmCase('numbers', [value(0xfffffffe), value(0)]),
    hgcmCase('numbers of 64 bits', [wide(1, 0x80000000), wide(0, 0)]),
    hgcmCase('a short buffer', [given(5), taken(9)]),
    hgcmCase('a buffer of a page', [given(4096), taken(4096)]),
    hgcmCase('a buffer of many pages', [given(9_001), taken(9_500)]),
    hgcmCase('buffers both ways', [both(5000), both(6000)]),
    hgcmCase('empty buffers', [given(0), taken(0)]),
    hgcmCase('an empty buffer without an address', [[TYPE.VMMDevHGCMParmType_LinAddr_In, 0, 0]]),
    hgcmCase('a buffer nowhere', [[TYPE.VMMDevHGCMParmType_LinAddr_In, 16, 0x10]]),
    hgcmCase('a buffer for the answer nowhere', [[TYPE.VMMDevHGCMParmType_LinAddr_Out, 16, 0x10]]),
    hgcmCase('a buffer above the limit', [
      [TYPE.VMMDevHGCMParmType_LinAddr_In, 24 * MIB + 1, 4096],
    ]),
    ...types,
    hgcmCase('a failure of the service', [value(0xfffffffe)], { function: 3 }),
    hgcmCase('a status above zero', [value(2900)], { function: 3 }),
    hgcmCase('a while', [value(100)], { function: 2 }),
    hgcmCase('longer than the time-out', [], { function: 4, timeoutMs: 200 }),
    hgcmCase('no time at all', [], { function: 4, timeoutMs: 0 }),
    hgcmCase('32 parameters', many(32)),
    hgcmCase('33 parameters', many(33)),
    hgcmCase('more told than given', [value(1)], { count: 2 }),
    hgcmCase('fewer told than given', [value(1), value(2), value(3)], { count: 2 }),
    hgcmCase('four bytes too many', [value(1), value(2)], { more: 4 }),
    hgcmCase('four bytes too few', [value(1), value(2)], { more: -4 }),
    hgcmCase('65535 told', [value(1)], { count: 0xffff }),
    hgcmCase('client 0', [], { client: 0 }),
    hgcmCase('client -1', [], { client: 0xffffffff }),
    hgcmCase('a client of nobody', [], { client: 5000 }),
  ];
}

function hgcmCase(
  title: string,
  parameters: readonly Parameter[],
  header: CallHeader = {},
): CallCase {
  const {
    client = 1,
    function: fn = 1,
    timeoutMs = 10_000,
    count = parameters.length,
    more = 0,
  } = header;
  const head = abi.vbg_ioctl_hgcm_call.encode({
    client_id: client,
    function: fn,
    timeout_ms: timeoutMs,
    parm_count: count,
  });
  const pointers: Pointer[] = [];
  const encoded = parameters.map(([type, first, second = 0], index) => {
    if (typeof first === 'number') return words(type, first, second);
    pointers.push({ at: head.length + index * 12 + 8, to: first });
    return words(type, first.length, 0);
  });
  const bytes = Buffer.concat([
    head.subarray(HEADER),
    ...encoded,
    new Uint8Array(Math.max(0, more)),
  ]);
  const size = HEADER + bytes.length + Math.min(0, more);
  return {
    title: `call: ${title}`,
    request: abi.VBG_IOCTL_HGCM_CALL_32(size),
    argument: argument(new Uint8Array(bytes), { sizeIn: size, sizeOut: size, length: size }),
    pointers,
  };
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
