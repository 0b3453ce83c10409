/** Memory that an ioctl's argument points to, on its way to the simulated host and back. */
import { u64 } from '../../abi/layout.js';
import type { Pointer } from '../port/node.js';

/** Where the first range lies in the address space that the simulated host is shown. */
const FIRST_ADDRESS = 0x10000000;
/** Between two ranges there is a hole, so that who reads too far fails. */
const PAGE = 4096;

/** The argument with addresses in it, followed by what they point to. */
export function withMemory(argument: Uint8Array, pointers: readonly Pointer[]) {
  if (pointers.length === 0) return { bytes: argument, memory: undefined };
  const data = argument.slice();
  const view = new DataView(data.buffer);
  let address = FIRST_ADDRESS;
  const memory = pointers.map(({ at, to }) => {
    const place = { address, length: to.length };
    u64.write(view, at, BigInt(address));
    address += (Math.ceil(to.length / PAGE) + 1) * PAGE;
    return place;
  });
  return { bytes: Buffer.concat([data, ...pointers.map(({ to }) => to)]), memory };
}

/** Puts what the call has written where it belongs; gives the argument as the call left it. */
export function takeMemory(
  written: unknown,
  binary: Uint8Array,
  pointers: readonly Pointer[],
): Uint8Array {
  if (!Array.isArray(written)) return binary;
  let end = binary.length;
  for (const index of written.toReversed()) {
    const to = pointers[index]?.to;
    if (to === undefined) continue;
    to.set(binary.subarray(end - to.length, end));
    end -= to.length;
  }
  return binary.slice(0, end);
}
