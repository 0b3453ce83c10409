/** What tests need that make VMs of KVM, and small images of real mode for these. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { loadLibc } from '../../src/core/native/libc.js';

const KVM_CREATE_VM = 0xae01;
const O_RDWR = 2;

/**
 * Whether this machine has a KVM that may be used. When it does not, the test is over: return from it. That is no failure
 * in CI either, where nothing that could be installed would bring one.
 */
export async function requireKvm(t: Test): Promise<boolean> {
  const why = await kvmMissing();
  if (why !== undefined) t.plan(0, why);
  return why === undefined;
}

/** Why there is no KVM for the test, as a sentence. */
export async function kvmMissing(): Promise<string | undefined> {
  if (process.arch !== 'x64') return `This test runs images for x86-64, not for ${process.arch}.`;
  const libc = await loadLibc();
  const node = libc.open('/dev/kvm', O_RDWR, 0);
  if (node < 0) return `This test needs /dev/kvm, which can't be opened here: errno ${-node}.`;
  const vm = libc.ioctl(node, KVM_CREATE_VM, 0);
  if (vm >= 0) libc.close(vm);
  libc.close(node);
  return vm < 0 ? `This test needs a KVM that makes VMs; this one says errno ${-vm}.` : undefined;
}

/** A directory whose path leaves room for a socket's, removed with the test. */
export function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-kvm-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** Where images stand when nothing speaks against it. */
export const AT = 0x1000;

export const IMAGES = {
  /** mov dx,0x3f8; mov al,'A'; out dx,al; mov al,'\n'; out dx,al; hlt; jmp $-1: sixteen bytes with what fills it up. */
  writes: bytes(
    ...[0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xb0, 0x0a],
    ...[0xee, 0xf4, 0xeb, 0xfd, 0x90, 0x90, 0x90, 0x90],
  ),
  /** jmp $: for ever. */
  loops: bytes(0xeb, 0xfe),
  /** in al,0x60; out 0x61,al; hlt: what it reads it writes. */
  echoes: bytes(0xe4, 0x60, 0xe6, 0x61, 0xf4),
  /** mov ax,0xb800; mov ds,ax; mov al,[0]; mov [1],al; hlt: reads and writes 0xb8000. */
  mmio: bytes(0xb8, 0x00, 0xb8, 0x8e, 0xd8, 0xa0, 0, 0, 0xa2, 1, 0, 0xf4),
  /** mov ax,0xb800; mov ds,ax; mov al,'A'; mov [4],al; mov al,[0]; mov [4],al; hlt: writes a letter, then what it reads. */
  echoesDevice: bytes(
    ...[0xb8, 0x00, 0xb8, 0x8e, 0xd8, 0xb0, 0x41, 0xa2, 4, 0],
    ...[0xa0, 0, 0, 0xa2, 4, 0, 0xf4],
  ),
  /** mov si,0x2000; mov cx,4; mov dx,0x10; rep outsb; hlt: what stands at 0x2000 goes to a port. */
  writesMuch: bytes(0xbe, 0, 0x20, 0xb9, 4, 0, 0xba, 0x10, 0, 0xf3, 0x6e, 0xf4),
  /** mov di,0x2000; mov cx,4; mov dx,0x10; rep insb; hlt: the other way round. */
  readsMuch: bytes(0xbf, 0, 0x20, 0xb9, 4, 0, 0xba, 0x10, 0, 0xf3, 0x6c, 0xf4),
  /** out 0x80,al; jmp back to it: exits for ever. */
  exits: bytes(0xe6, 0x80, 0xeb, 0xfc),
} as const;
