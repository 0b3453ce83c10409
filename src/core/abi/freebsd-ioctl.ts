/**
 * Numbers of FreeBSD's ioctls. Mirrors sys/sys/ioccom.h: direction, size of the argument (13 bits),
 * group and number within the group. Numbers are unsigned.
 */
import type { FieldType } from './layout.js';

export const IOC_VOID = 0x20000000;
export const IOC_OUT = 0x40000000;
export const IOC_IN = 0x80000000;
export const IOC_INOUT = 0xc0000000;
export const IOCPARM_SHIFT = 13;
export const IOCPARM_MASK = (1 << IOCPARM_SHIFT) - 1;

/** Which way the argument is copied, as the caller sees it: `in` goes to the kernel. */
export type IoctlDirection = 'void' | 'out' | 'in' | 'inout';

const DIRECTIONS: Record<IoctlDirection, number> = {
  void: IOC_VOID,
  out: IOC_OUT,
  in: IOC_IN,
  inout: IOC_INOUT,
};

/** One ioctl: everything that a caller or a model needs to know of its number and argument. */
export interface Ioctl<T> {
  /** The header's name. */
  readonly name: string;
  readonly number: number;
  /** One character. */
  readonly group: string;
  readonly nr: number;
  readonly direction: IoctlDirection;
  /** Of the argument, bytes; 0 where there is none. */
  readonly size: number;
  /** The argument; null where there is none. */
  readonly layout: FieldType<T> | null;
}

/**
 * The number of an ioctl. `size` is that of its argument in bytes.
 * @throws RangeError when a part does not fit in its bits.
 */
export function _IOC(direction: IoctlDirection, group: string, nr: number, size: number): number {
  const letter = group.charCodeAt(0);
  if (group.length !== 1 || letter > 0xff) throw new RangeError(`no ioctl group: ${group}`);
  if (!Number.isInteger(nr) || nr < 0 || nr > 0xff) throw new RangeError(`no ioctl number: ${nr}`);
  if (!Number.isInteger(size) || size < 0 || size > IOCPARM_MASK) {
    throw new RangeError(`an ioctl's argument is at most ${IOCPARM_MASK} bytes, not ${size}`);
  }
  return (DIRECTIONS[direction] | (size << 16) | (letter << 8) | nr) >>> 0;
}

/** An ioctl without an argument. */
export function _IO(group: string, nr: number): number {
  return _IOC('void', group, nr, 0);
}

/** An ioctl whose argument is only copied out. */
export function _IOR(group: string, nr: number, argument: { size: number }): number {
  return _IOC('out', group, nr, argument.size);
}

/** An ioctl whose argument is only copied in. */
export function _IOW(group: string, nr: number, argument: { size: number }): number {
  return _IOC('in', group, nr, argument.size);
}

/** An ioctl whose argument is copied in, and out again when the call succeeds. */
export function _IOWR(group: string, nr: number, argument: { size: number }): number {
  return _IOC('inout', group, nr, argument.size);
}

/** Describes an ioctl for a table. @throws RangeError as `_IOC` does. */
export function ioctl<T>(
  name: string,
  group: string,
  nr: number,
  direction: IoctlDirection,
  layout: FieldType<T> | null,
): Ioctl<T> {
  const size = layout === null ? 0 : layout.size;
  return { name, number: _IOC(direction, group, nr, size), group, nr, direction, size, layout };
}

/**
 * The parts of a number, for messages. A direction is undefined when no macro of the header makes
 * it.
 */
export function ioctlParts(number: number): {
  direction: IoctlDirection | undefined;
  size: number;
  group: string;
  nr: number;
} {
  const bits = (number & 0xe0000000) >>> 0;
  const direction = (Object.keys(DIRECTIONS) as IoctlDirection[]).find(
    (name) => DIRECTIONS[name] === bits,
  );
  return {
    direction,
    size: (number >>> 16) & IOCPARM_MASK,
    group: String.fromCharCode((number >>> 8) & 0xff),
    nr: number & 0xff,
  };
}
