/** Calls of VirtualBox' driver that are about services of the host, byte by byte: right ones, and wrong ones. */
import {
  HGCMServiceLocation,
  VMMDEV_HGCM_LOC,
  VMMDEV_HGCM_PARM_TYPE,
} from '../../src/core/abi/hgcm.js';
import * as abi from '../../src/core/abi/vboxguest.js';
import type { Pointer } from '../../src/core/backend/port/node.js';
import { argument } from '../core/simulator/vbox/driver/guest.js';
import type { CallCase } from './vboxguest-calls.js';

const { VBG_IOCTL_SIZES } = abi;
const HEADER = abi.vbg_ioctl_hdr.size;
const MIB = 1024 * 1024;

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

/** Calls of a client of the echo service, with parameters of 32 bits. */
export function hgcmCases(echo: number): CallCase[] {
  const value = (n: number): Parameter => [TYPE.VMMDevHGCMParmType_32bit, n, 0];
  const wide = (low: number, high: number): Parameter => [TYPE.VMMDevHGCMParmType_64bit, low, high];
  const both = (bytes: number): Parameter => [TYPE.VMMDevHGCMParmType_LinAddr, pattern(bytes)];
  const given = (bytes: number): Parameter => [TYPE.VMMDevHGCMParmType_LinAddr_In, pattern(bytes)];
  const taken = (bytes: number): Parameter => [
    TYPE.VMMDevHGCMParmType_LinAddr_Out,
    pattern(bytes).reverse(),
  ];
  const many = (count: number) => Array.from({ length: count }, (_, n) => value(n));
  const hgcmCase = (title: string, parameters: readonly Parameter[], header: CallHeader = {}) =>
    callCase(title, parameters, { client: echo, ...header });
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

function callCase(
  title: string,
  parameters: readonly Parameter[],
  header: CallHeader = {},
): CallCase {
  const {
    client = 0,
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
