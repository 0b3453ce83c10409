import { _IO, _IOC, _IOC_READ, _IOC_WRITE } from '../../src/core/abi/linux-ioctl.js';
import * as abi from '../../src/core/abi/vboxguest.js';
import { VMMDEV_REQUEST_TYPE } from '../../src/core/abi/vmmdev.js';
import { VMMDEV_REQUEST_SIZES } from '../../src/core/abi/vmmdev-sizes.js';
import type { Pointer } from '../../src/core/backend/port/node.js';
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
const HEADER = abi.vbg_ioctl_hdr.size;
const MAGIC = 0x56;
const RW = _IOC_READ | _IOC_WRITE;
const MIB = 1024 * 1024;

/** Without the one that ends the waits of a node for good. */
const FIXED = {
  VBG_IOCTL_DRIVER_VERSION_INFO: abi.VBG_IOCTL_DRIVER_VERSION_INFO,
  VBG_IOCTL_HGCM_CONNECT: abi.VBG_IOCTL_HGCM_CONNECT,
  VBG_IOCTL_HGCM_DISCONNECT: abi.VBG_IOCTL_HGCM_DISCONNECT,
  VBG_IOCTL_WAIT_FOR_EVENTS: abi.VBG_IOCTL_WAIT_FOR_EVENTS,
  VBG_IOCTL_CHANGE_FILTER_MASK: abi.VBG_IOCTL_CHANGE_FILTER_MASK,
  VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES: abi.VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES,
  VBG_IOCTL_CHANGE_GUEST_CAPABILITIES: abi.VBG_IOCTL_CHANGE_GUEST_CAPABILITIES,
  VBG_IOCTL_CHECK_BALLOON: abi.VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_WRITE_CORE_DUMP: abi.VBG_IOCTL_WRITE_CORE_DUMP,
} as const;

function body(bytes: number): Uint8Array {
  return new Uint8Array(Math.max(0, bytes - HEADER));
}

/** Sizes that are right and wrong, for calls that are otherwise empty. */
export function sizeCases(): CallCase[] {
  return Object.entries(FIXED).flatMap(([name, request]) => {
    const { in: sizeIn, out: sizeOut } = VBG_IOCTL_SIZES[name as keyof typeof FIXED];
    const bytes = Math.max(sizeIn, sizeOut);
    const row = (
      title: string,
      header: Parameters<typeof argument>[1],
      number: number = request,
    ) => ({
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
  const row = (
    title: string,
    header: Parameters<typeof argument>[1],
    number: number = request,
  ) => ({
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
