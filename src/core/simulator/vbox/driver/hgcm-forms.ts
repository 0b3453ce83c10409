/**
 * Parameters of 64-bit and of 32-bit programs. The driver works on the former; the latter are made so first, and
 * copied back in the end. Follows vbg_hgcm_call32() in vboxguest_utils.c, without its fault of writing beyond what it
 * has allocated.
 */
import {
  HGCMFunctionParameter32,
  HGCMFunctionParameter64,
  VMMDEV_HGCM_PARM_TYPE,
} from '../../../abi/hgcm.js';

const { VMMDevHGCMParmType_32bit, VMMDevHGCMParmType_64bit } = VMMDEV_HGCM_PARM_TYPE;

/** Where a value begins, or the size of a buffer. */
const VALUE_OFFSET = HGCMFunctionParameter64.offset('size');

/** How the parameters of one kind of programs are made those of the driver, and what has changed goes back. */
export interface ParameterForm {
  /** Bytes of a parameter. */
  readonly size: number;
  widen(bytes: Uint8Array): Uint8Array;
  narrow(wide: Uint8Array, target: Uint8Array): void;
}

export const FORM_64: ParameterForm = {
  size: HGCMFunctionParameter64.size,
  widen: (bytes) => bytes.slice(),
  narrow: (wide, target) => target.set(wide),
};
export const FORM_32: ParameterForm = { size: HGCMFunctionParameter32.size, widen, narrow };

/** How many bytes of a 32-bit program's parameter come back, behind its type. */
const NARROW_SIZES = new Map<number, number>([[VMMDevHGCMParmType_64bit, 8]]);

/** The parameters of a 32-bit program as those of a 64-bit one. */
function widen(narrow: Uint8Array): Uint8Array {
  const count = narrow.length / HGCMFunctionParameter32.size;
  const wide = new Uint8Array(count * HGCMFunctionParameter64.size);
  for (let index = 0; index < count; index++) {
    const at = index * HGCMFunctionParameter32.size;
    const parameter = narrow.subarray(at, at + HGCMFunctionParameter32.size);
    wide.set(parameter, index * HGCMFunctionParameter64.size);
    const { type } = HGCMFunctionParameter32.decode(parameter);
    const rest =
      index * HGCMFunctionParameter64.size + HGCMFunctionParameter32.offset('linearAddr');
    if (type === VMMDevHGCMParmType_32bit) wide.fill(0, rest, rest + 4);
  }
  return wide;
}

/** Writes what has changed back to the parameters of a 32-bit program: values, and sizes of buffers. */
function narrow(wide: Uint8Array, target: Uint8Array): void {
  for (let at = 0, from = 0; at < target.length; at += HGCMFunctionParameter32.size) {
    const { type } = HGCMFunctionParameter32.decode(target.subarray(at));
    const length = NARROW_SIZES.get(type) ?? 4;
    target.set(wide.subarray(from + VALUE_OFFSET, from + VALUE_OFFSET + length), at + VALUE_OFFSET);
    from += HGCMFunctionParameter64.size;
  }
}
