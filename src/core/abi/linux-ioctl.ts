/**
 * Numbers of Linux's ioctls. Mirrors include/uapi/asm-generic/ioctl.h: direction (2 bits), size of
 * the argument (14 bits), type and number. Directions are the program's: `write` goes to the
 * kernel. Not for the architectures with a header of their own (mips, powerpc, sparc, alpha,
 * parisc).
 */

export const _IOC_NONE = 0;
export const _IOC_WRITE = 1;
export const _IOC_READ = 2;
export const _IOC_NRBITS = 8;
export const _IOC_TYPEBITS = 8;
export const _IOC_SIZEBITS = 14;
export const _IOC_DIRBITS = 2;

const _IOC_TYPESHIFT = _IOC_NRBITS;
const _IOC_SIZESHIFT = _IOC_TYPESHIFT + _IOC_TYPEBITS;
const _IOC_DIRSHIFT = _IOC_SIZESHIFT + _IOC_SIZEBITS;

/**
 * The number of an ioctl, unsigned. `type` is a byte (the headers' letter), `size` that of the
 * argument in bytes.
 * @throws RangeError when a part does not fit in its bits.
 */
export function _IOC(direction: number, type: number, nr: number, size: number): number {
  within('direction', direction, _IOC_DIRBITS);
  within('type', type, _IOC_TYPEBITS);
  within('number', nr, _IOC_NRBITS);
  within('size', size, _IOC_SIZEBITS);
  const high = (direction << _IOC_DIRSHIFT) | (size << _IOC_SIZESHIFT);
  return (high | (type << _IOC_TYPESHIFT) | nr) >>> 0;
}

/** An ioctl without an argument, or with a plain integer. */
export function _IO(type: number, nr: number): number {
  return _IOC(_IOC_NONE, type, nr, 0);
}

/** An ioctl whose argument the kernel writes. */
export function _IOR(type: number, nr: number, argument: { size: number }): number {
  return _IOC(_IOC_READ, type, nr, argument.size);
}

/** An ioctl whose argument the kernel reads. */
export function _IOW(type: number, nr: number, argument: { size: number }): number {
  return _IOC(_IOC_WRITE, type, nr, argument.size);
}

/** An ioctl whose argument the kernel reads and writes. */
export function _IOWR(type: number, nr: number, argument: { size: number }): number {
  return _IOC(_IOC_READ | _IOC_WRITE, type, nr, argument.size);
}

/** The parts of a number, for messages. */
export function ioctlParts(number: number): {
  direction: number;
  type: number;
  nr: number;
  size: number;
} {
  return {
    direction: number >>> _IOC_DIRSHIFT,
    type: (number >>> _IOC_TYPESHIFT) & 0xff,
    nr: number & 0xff,
    size: (number >>> _IOC_SIZESHIFT) & ((1 << _IOC_SIZEBITS) - 1),
  };
}

function within(what: string, value: number, bits: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new RangeError(`an ioctl's ${what} has ${bits} bits: ${value}`);
  }
}
