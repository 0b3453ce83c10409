/** A simulated vmm(4) and its callers, for tests. */
import { isErrorCode, SystemError } from '../../src/core/abi/errno.js';
import { VM_PROT_ALL, VMM_IOCTLS, vm_memmap, vm_memseg } from '../../src/core/abi/vmm.js';
import {
  encodeName,
  VMMCTL_VM_CREATE,
  VMMCTL_VM_DESTROY,
  vmmctl_vm_create,
  vmmctl_vm_destroy,
} from '../../src/core/abi/vmmctl.js';
import { VirtualClock } from '../../src/core/simulator/clock.js';
import {
  type Caller,
  type OpenNode,
  type PromptNode,
  ROOT,
} from '../../src/core/simulator/node.js';
import { GID_VMM } from '../../src/core/simulator/vmm/access.js';
import { DEFAULT_VMM_CONFIG, type VmmConfig } from '../../src/core/simulator/vmm/config.js';
import { Vmm } from '../../src/core/simulator/vmm/registry.js';
import { promptly } from './promptly.js';

export const DESTROY_ON_CLOSE = 0x1;

/** A host with the default configuration, changed as told. */
export function vmmHost(change: Partial<VmmConfig> = {}): Vmm {
  return new Vmm({ clock: new VirtualClock(), config: { ...DEFAULT_VMM_CONFIG, ...change } });
}

/** A user in the group vmm, without capabilities. */
export function user(uid: number, change: Partial<Caller> = {}): Caller {
  return { uid, gid: uid, groups: [GID_VMM], capabilities: new Set(), jail: '', ...change };
}

/** Root in a jail. */
export function jailed(jail: string): Caller {
  return { ...ROOT, jail };
}

/** The code of the SystemError that a call throws, or `ok`. Other errors pass. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof SystemError && isErrorCode(error.code)) return error.code;
    throw error;
  }
  return 'ok';
}

/** A node whose calls are not expected to wait. */
export function prompt(node: OpenNode): PromptNode {
  return {
    ioctl: (...call) => promptly(node.ioctl(...call)),
    close: () => node.close(),
  };
}

/** The argument of VMMCTL_VM_CREATE. */
export function createArgument(name: string | Uint8Array, flags = 0): Uint8Array {
  return vmmctl_vm_create.encode({
    name: typeof name === 'string' ? encodeName(name) : name,
    flags,
  });
}

/** Creates a VM through /dev/vmmctl. */
export function create(node: OpenNode, name: string | Uint8Array, flags = 0) {
  return prompt(node).ioctl(VMMCTL_VM_CREATE, createArgument(name, flags));
}

/** Destroys a VM through /dev/vmmctl. */
export function destroy(node: OpenNode, name: string | Uint8Array) {
  const bytes = typeof name === 'string' ? encodeName(name) : name;
  return prompt(node).ioctl(VMMCTL_VM_DESTROY, vmmctl_vm_destroy.encode({ name: bytes }));
}

/** Allocates a segment through /dev/vmm/NAME; `len` in bytes. */
export function allocMemseg(node: OpenNode, segid: number, len: bigint, name = '') {
  return prompt(node).ioctl(
    VMM_IOCTLS.VM_ALLOC_MEMSEG.number,
    vm_memseg.encode({ segid, len, name: encodeName(name) }),
  );
}

/** Maps part of a segment through /dev/vmm/NAME: of segment 0, from its beginning, unless told. */
export function mapMemseg(
  node: OpenNode,
  map: { gpa: bigint; len: bigint; segid?: number; segoff?: bigint; prot?: number },
) {
  const argument = vm_memmap.encode({ prot: VM_PROT_ALL, ...map });
  return prompt(node).ioctl(VMM_IOCTLS.VM_MMAP_MEMSEG.number, argument);
}

/** Names of the VMs that a caller sees. */
export function names(vmm: Vmm, caller: Caller = ROOT): string[] {
  return vmm.visible(caller).map(({ name }) => name);
}
