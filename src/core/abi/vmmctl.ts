/**
 * The control device of bhyve's VMs, /dev/vmmctl. Mirrors sys/dev/vmm/vmm_dev.h (the part for
 * vmmctl) and sys/dev/vmm/vmm_param.h (lengths of names).
 */
import { ioctl } from './freebsd-ioctl.js';
import { array, bytes, i32, struct, u32 } from './layout.js';

/** The longest name of a node below /dev, bytes. Source: sys/sys/param.h. */
export const SPECNAMELEN = 255;
export const VM_MAX_PREFIXLEN = 10;
export const VM_MAX_SUFFIXLEN = 15;
/** A floor that the header checks the maximum against; names may be shorter. */
export const VM_MIN_NAMELEN = 6;
/** The longest name of a VM, bytes without the terminator. */
export const VM_MAX_NAMELEN = SPECNAMELEN - VM_MAX_PREFIXLEN - VM_MAX_SUFFIXLEN - 1;

/** The VM is destroyed at the last close of the descriptor that it was created on. */
export const VMMCTL_CREATE_DESTROY_ON_CLOSE = 0x1;
export const VMMCTL_FLAGS_MASK = VMMCTL_CREATE_DESTROY_ON_CLOSE;

/**
 * The flag of the reviewed draft (D31325), where a VM is destroyed at the last close unless it is
 * set. No release has it; the draft gave no other flag, so it is the first bit, as in what came
 * after.
 */
export const VMMCTL_DRAFT_CREATE_PERSISTENT = 0x1;

/** Since the flag for destroy-on-close. All of `reserved` has to be zero. */
export const vmmctl_vm_create = struct('vmmctl_vm_create', {
  name: bytes(VM_MAX_NAMELEN + 1),
  flags: u32,
  reserved: array(i32, 15),
});

/**
 * As FreeBSD 15.0 had it: the same size and number, what became `flags` is the first reserved word.
 */
export const vmmctl_vm_create_v1 = struct('vmmctl_vm_create_v1', {
  name: bytes(VM_MAX_NAMELEN + 1),
  reserved: array(i32, 16),
});

export const vmmctl_vm_destroy = struct('vmmctl_vm_destroy', {
  name: bytes(VM_MAX_NAMELEN + 1),
  reserved: array(i32, 16),
});

/** The ioctls of /dev/vmmctl. */
export const VMMCTL_IOCTLS = {
  VMMCTL_VM_CREATE: ioctl('VMMCTL_VM_CREATE', 'V', 0, 'inout', vmmctl_vm_create),
  VMMCTL_VM_DESTROY: ioctl('VMMCTL_VM_DESTROY', 'V', 1, 'inout', vmmctl_vm_destroy),
} as const;

export const VMMCTL_VM_CREATE = VMMCTL_IOCTLS.VMMCTL_VM_CREATE.number;
export const VMMCTL_VM_DESTROY = VMMCTL_IOCTLS.VMMCTL_VM_DESTROY.number;

/**
 * Where a byte that is no UTF-8 goes in a string: a lone surrogate, which no valid text contains.
 */
const ESCAPE = 0xdc00;

/**
 * A name as the kernel's interfaces carry it: UTF-8, without a terminator.
 * What `decodeName` made of other bytes becomes those bytes again.
 */
export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts = [...name].map((character) => {
    const code = character.charCodeAt(0);
    const escaped = character.length === 1 && code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff;
    return escaped ? Uint8Array.of(code - ESCAPE) : encoder.encode(character);
  });
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/**
 * The text of a C string, up to its terminator or the end of the bytes. The kernel compares bytes,
 * so different bytes give different strings, also where they are no UTF-8.
 */
export function decodeName(data: Uint8Array): string {
  const end = data.indexOf(0);
  const text = end < 0 ? data : data.subarray(0, end);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text);
  } catch {
    return Array.from(text, (byte) => String.fromCharCode(byte < 0x80 ? byte : ESCAPE + byte)).join(
      '',
    );
  }
}
