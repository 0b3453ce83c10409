/** System variables of FreeBSD. */
import { SystemError } from '../../abi/errno.js';
import type { Libc } from '../../native/libc.js';
import { check } from './errors.js';

/** The longest value that is read, bytes. */
const LONGEST = 4096;

/**
 * Reads a variable, or writes it. Strings are given as text, integers of 4 and 8 bytes as a decimal number.
 * @throws SystemError ENOENT for an unknown name, and on a system that has no variables of this kind.
 */
export function sysctl(libc: Libc, name: string, value: string | undefined): string {
  if (process.platform !== 'freebsd')
    throw new SystemError('ENOENT', { syscall: 'sysctl', path: name });
  const written = value === undefined ? new Uint8Array(0) : new TextEncoder().encode(value);
  const read = new Uint8Array(value === undefined ? LONGEST : 0);
  const size = check(libc.sysctl(name, read, written), { syscall: 'sysctl', path: name });
  return readValue(read.subarray(0, size));
}

/** The system doesn't say here what type a value has: text is printable and ends with its one zero byte. */
export function readValue(bytes: Uint8Array): string {
  const isText = bytes.length > 0 && bytes.at(-1) === 0 && bytes.subarray(0, -1).every(isPrintable);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isText && bytes.length === 4) return String(view.getInt32(0, true));
  if (!isText && bytes.length === 8) return String(view.getBigInt64(0, true));
  return new TextDecoder().decode(bytes).replace(/\0+$/, '');
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte !== 0x7f;
}
